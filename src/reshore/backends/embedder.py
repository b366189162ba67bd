"""Models that generate, asked for vectors: Ollama embeds with any model, and so do its users. Pure.

The engine that generates is not the one that embeds. llama.cpp could do both in one process, but
then prefills of all requests in smaller batches, and the buffer for the outputs of every token (two
times 512 tokens of the vocabulary, a gigabyte for the largest ones) would come unplanned with the
first vector. So the pool sees two models under one name, each with a plan of its own.
"""

from __future__ import annotations

import msgspec

from reshore.errors import LacksCapability
from reshore.models.facts import Pooling, Servable

HEADER = "x-reshore-pooling"


def as_embedder(model: Servable) -> tuple[Servable, dict[str, str]]:
    """The model as one that embeds, and the notice that says so if it is none by itself.

    Raises:
        LacksCapability: it neither embeds nor generates (it ranks, say).
    """
    if model.embeds:
        return model, {}
    if "completion" not in model.capabilities:
        raise LacksCapability(
            f"{model.name} does not support embeddings; use an embedding model "
            "(`reshore pull all-minilm`)",
            model=model.name,
            capability="embedding",
        )
    embedder = msgspec.structs.replace(
        model,
        capabilities=("embedding",),
        facts=msgspec.structs.replace(model.facts, pooling=Pooling.LAST),
        projector_path=None,
    )
    return embedder, {HEADER: "last"}
