"""Answers of `/api/embed` and the older `/api/embeddings`."""

from __future__ import annotations

from reshore.types import Embeddings
from reshore.wire.ollama.encode import encode_json, nanoseconds
from reshore.wire.openai.encode import floats


def encode_embed(model: str, embeddings: Embeddings, total_ms: float) -> bytes:
    """The body of `POST /api/embed`."""
    return encode_json(
        {
            "model": model,
            "embeddings": [floats(vector) for vector in embeddings.vectors],
            "total_duration": nanoseconds(total_ms),
            "load_duration": nanoseconds(embeddings.load_ms),
            "prompt_eval_count": embeddings.prompt_tokens,
        }
    )


def encode_embedding(embeddings: Embeddings) -> bytes:
    """The body of `POST /api/embeddings`; empty when there was no prompt."""
    vectors = embeddings.vectors
    return encode_json({"embedding": floats(vectors[0]) if vectors else []})
