"""Embeddings: inputs in batches to the engine, vectors cut and renormalised on request."""

from __future__ import annotations

import binascii

import numpy as np

from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.errors import EngineError, RequestError
from reshore.types import Embeddings, EmbedRequest
from reshore.wire.llamacpp.replies import decode_embeddings

# Inputs per engine call: large enough to keep every slot busy, small enough that a body of any
# size is sent in pieces and a client that leaves stops the rest.
_BATCH = 256

_TIMEOUT_S = 600.0


async def embed_inputs(request: EmbedRequest, engine: Engine, client: EngineClient) -> Embeddings:
    """Embed all inputs of `request`, in their order.

    Raises:
        ContextTooLong: an input is longer than the engine's context; nothing is truncated.
        RequestError: more `dimensions` than the model has.
    Cancellation stops between two batches at the latest.
    """
    _check_dimensions(request, engine)
    vectors: list[bytes] = []
    tokens = 0
    for start in range(0, len(request.inputs), _BATCH):
        batch = request.inputs[start : start + _BATCH]
        body = {"input": batch, "encoding_format": "base64"}
        reply = decode_embeddings(
            await client.post(engine, "/v1/embeddings", body, timeout_s=_TIMEOUT_S)
        )
        if len(reply.data) != len(batch):
            raise EngineError(
                f"the engine of {engine.model.name} gave {len(reply.data)} vectors for "
                f"{len(batch)} inputs",
                model=engine.model.name,
                log_tail=engine.log_tail,
            )
        vectors += [binascii.a2b_base64(item.embedding) for item in reply.data]
        tokens += reply.usage.prompt_tokens
    if request.dimensions is not None:
        vectors = [cut(vector, request.dimensions) for vector in vectors]
    return Embeddings(model=engine.model.name, vectors=tuple(vectors), prompt_tokens=tokens)


def cut(vector: bytes, dimensions: int) -> bytes:
    """The first `dimensions` elements of a little-endian float32 vector, scaled to length 1.

    What OpenAI's `dimensions` does (Matryoshka embeddings); a zero vector stays zero.
    """
    head = np.frombuffer(vector, dtype="<f4")[:dimensions]
    norm = float(np.linalg.norm(head))
    return (head / norm if norm else head).astype("<f4").tobytes()


def _check_dimensions(request: EmbedRequest, engine: Engine) -> None:
    length = engine.model.facts.embedding_length
    if request.dimensions is not None and request.dimensions > length:
        raise RequestError(
            f"{engine.model.name} has {length} dimensions, fewer than {request.dimensions}",
            param="dimensions",
            code="invalid_value",
        )
