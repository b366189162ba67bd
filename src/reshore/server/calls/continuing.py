"""Requests that go on where an answer broke off. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec.structs import replace

from reshore.errors import Unsupported
from reshore.types import ChatRequest, CompletionRequest, Message, Sampling

R = TypeVar("R", bound=ChatRequest | CompletionRequest)


def continuing(request: R, said: Sequence[str]) -> R:
    """`request` for whoever is to go on from `said`, the pieces of text that the client has.

    A chat gets them as a message of the assistant's, a completion behind its prompt. What may
    still be generated shrinks by a token a piece.

    Raises:
        Unsupported: several choices; a format that a part of an answer cannot have; a prompt of
            token ids.
    """
    if request.n != 1 or request.response_format.kind != "text":
        raise Unsupported(
            "An answer with several choices, or in a format, cannot be gone on with by another "
            "model; send the request again."
        )
    text = "".join(said)
    request = replace(request, sampling=_left(request, len(said)))
    if isinstance(request, ChatRequest):
        begun = (Message(role="assistant", content=text),) if text else ()
        return replace(request, messages=request.messages + begun)
    if len(request.prompts) != 1 or not isinstance(request.prompts[0], str) or request.suffix:
        raise Unsupported(
            "A completion of several prompts, of token ids or in between two texts cannot be gone "
            "on with by another model; send the request again."
        )
    return replace(request, prompts=(request.prompts[0] + text,), echo=False)


def _left(request: ChatRequest | CompletionRequest, pieces: int) -> Sampling:
    sampling = request.sampling
    if sampling.max_tokens is None or sampling.max_tokens < 0:
        return sampling
    return replace(sampling, max_tokens=max(1, sampling.max_tokens - pieces))
