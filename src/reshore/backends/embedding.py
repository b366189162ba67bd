"""Embeddings: inputs in batches to the engine, vectors cut and renormalised on request."""

from __future__ import annotations

import binascii
import logging
import math
import struct
from collections.abc import Sequence
from typing import Any

from reshore.backends.budget import clamp_num_ctx
from reshore.backends.embed_fit import fit_inputs
from reshore.backends.truncation import TRUNCATED_HEADER
from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.errors import ContextTooLong, EngineError, RequestError
from reshore.models.facts import Pooling
from reshore.types import Embeddings, EmbedRequest, Prompt
from reshore.wire.llamacpp.replies import EmbeddingReply, decode_embeddings

log = logging.getLogger("reshore.backends")

# Inputs per engine call: large enough to keep every slot busy, small enough that a body of any
# size is sent in pieces and a client that leaves stops the rest.
_BATCH = 256

_TIMEOUT_S = 600.0


async def embed_inputs(request: EmbedRequest, engine: Engine, client: EngineClient) -> Embeddings:
    """Embed all inputs of `request`, in their order.

    Raises:
        ContextTooLong: an input is longer than the context, and the request does not ask to
            truncate.
        RequestError: more `dimensions` than the model has.
    Cancellation stops between two batches at the latest.
    """
    _check_dimensions(request, engine)
    notices: dict[str, str] = {}
    limit = clamp_num_ctx(request.options, engine, notices)
    vectors: list[bytes] = []
    tokens = cut_inputs = 0
    for start in range(0, len(request.inputs), _BATCH):
        batch = request.inputs[start : start + _BATCH]
        reply, cut_here = await _embed_batch(batch, request, limit, engine, client)
        made = [binascii.a2b_base64(item.embedding) for item in reply.data]
        wanted = request.dimensions
        vectors += made if wanted is None else [cut(vector, wanted) for vector in made]
        tokens += reply.usage.prompt_tokens
        cut_inputs += cut_here
    if cut_inputs:
        notices[TRUNCATED_HEADER] = f"inputs={cut_inputs}"
        log.warning("%s: cut %d inputs to the context length", engine.model.name, cut_inputs)
    return Embeddings(
        model=engine.model.name, vectors=tuple(vectors), prompt_tokens=tokens, notices=notices
    )


async def _embed_batch(
    batch: Sequence[Prompt],
    request: EmbedRequest,
    limit: int | None,
    engine: Engine,
    client: EngineClient,
) -> tuple[EmbeddingReply, int]:
    """The vectors of a batch, and how many of its inputs were cut.

    Without a limit of the request's own nothing is counted before the engine has refused a batch.
    """
    truncate, cut_inputs = request.options.truncate, 0
    if limit is not None:
        batch, cut_inputs = await fit_inputs(batch, limit, engine, client, truncate=truncate)
    try:
        return await _post(batch, request, engine, client), cut_inputs
    except ContextTooLong:
        if not truncate or cut_inputs:
            raise
        batch, cut_inputs = await fit_inputs(batch, _longest(engine), engine, client, truncate=True)
        return await _post(batch, request, engine, client), cut_inputs


def _longest(engine: Engine) -> int:
    """Tokens that an input may have.

    llama.cpp leaves room for an answer behind a prompt that it reads in several batches, as it does
    where the last token makes the vector. Other inputs are read at once and may fill the context.
    """
    by_last = engine.model.facts.pooling == Pooling.LAST
    return engine.context_length - 1 if by_last else engine.context_length


async def _post(
    batch: Sequence[Prompt], request: EmbedRequest, engine: Engine, client: EngineClient
) -> EmbeddingReply:
    body: dict[str, Any] = {"input": batch, "encoding_format": "base64"}
    if not request.normalise:
        body["embd_normalize"] = -1
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
    return reply


def cut(vector: bytes, dimensions: int) -> bytes:
    """The first `dimensions` elements of a little-endian float32 vector, scaled to length 1.

    What OpenAI's `dimensions` does (Matryoshka embeddings); a zero vector stays zero.
    """
    form = f"<{min(dimensions, len(vector) // 4)}f"
    head = struct.unpack_from(form, vector)
    # A vector of 768 takes some 30 µs so, and 4 with NumPy, which costs each start 40 ms and 15 MB.
    norm = math.hypot(*head) or 1.0
    return struct.pack(form, *[element / norm for element in head])


def _check_dimensions(request: EmbedRequest, engine: Engine) -> None:
    length = engine.model.facts.embedding_length
    if request.dimensions is not None and request.dimensions > length:
        raise RequestError(
            f"{engine.model.name} has {length} dimensions, fewer than {request.dimensions}",
            param="dimensions",
            code="invalid_value",
        )
