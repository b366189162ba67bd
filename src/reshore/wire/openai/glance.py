"""What is learned of replies that go by as bytes: who answered, token counts, how it ended."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from reshore.types import ToolCallDelta, Usage

T = TypeVar("T")

# Far beyond any context. Sums of counts without a bound would break a ledger's 64 bits one day.
TokenCount = Annotated[int, Meta(ge=0, le=10**12)]

# Some servers write the field into every reply.
_NO_ERROR = (b"null", b"{}", b'""', b"false")


class Details(Struct, gc=False):
    """What kinds of tokens are counted apart, of prompts or of completions."""

    cached_tokens: TokenCount | None = None
    reasoning_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None
    image_tokens: TokenCount | None = None


_NO_DETAILS = Details()


def usage_of(
    prompt: int | None, completion: int | None, taken: Details | None, given: Details | None
) -> Usage:
    """Counts as they were told, with the details of the prompt and of the completion."""
    taken, given = taken or _NO_DETAILS, given or _NO_DETAILS
    return Usage(
        prompt_tokens=prompt or 0,
        completion_tokens=completion or 0,
        cached_tokens=taken.cached_tokens or 0,
        reasoning_tokens=given.reasoning_tokens,
        prompt_audio_tokens=taken.audio_tokens or 0,
        prompt_image_tokens=taken.image_tokens or 0,
        completion_audio_tokens=given.audio_tokens or 0,
        completion_image_tokens=given.image_tokens or 0,
    )


class UsageBody(Struct, gc=False):
    """OpenAI's `usage`, and what DeepSeek calls its cached tokens."""

    prompt_tokens: TokenCount | None = None
    completion_tokens: TokenCount | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    prompt_cache_hit_tokens: TokenCount | None = None

    def usage(self) -> Usage:
        taken = self.prompt_tokens_details or Details(cached_tokens=self.prompt_cache_hit_tokens)
        given = self.completion_tokens_details
        return usage_of(self.prompt_tokens, self.completion_tokens, taken, given)


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Said(Struct, gc=False):
    content: str | None = None
    tool_calls: Raw = Raw(b"null")


class _Choice(Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None
    delta: _Said | None = None
    message: _Said | None = None
    text: str | None = None

    def said(self) -> str:
        part = self.delta or self.message
        return (part.content if part else self.text) or ""

    def calls(self) -> list[ToolCallDelta]:
        """Its tool calls, or pieces of them; none where they have another shape."""
        part = self.delta or self.message
        found = _part(part.tool_calls, list[_Call]) if part else None
        return [_piece(place, call) for place, call in enumerate(found or ())]


class Glance(Struct, gc=False):
    """A whole reply or one event of a stream, of which no more is decoded than this.

    A part that has another shape than OpenAI gives it counts as absent: what goes by is not ours
    to judge.
    """

    model: str | None = None
    choices: list[_Choice] | None = None
    usage: UsageBody | None = None
    error: Raw = Raw(b"null")

    def is_fault(self) -> bool:
        """Whether it says that something went wrong."""
        return bytes(self.error) not in _NO_ERROR


class _Stranger(Struct, gc=False):
    model: Raw = Raw(b"null")
    choices: Raw = Raw(b"null")
    usage: Raw = Raw(b"null")
    error: Raw = Raw(b"null")


_glance = msgspec.json.Decoder(Glance)
_stranger = msgspec.json.Decoder(_Stranger)


def glance(payload: bytes) -> Glance:
    """Decode what matters of a reply or an event.

    Raises:
        msgspec.DecodeError: it is no JSON object.
    """
    try:
        return _glance.decode(payload)
    except msgspec.ValidationError:
        parts = _stranger.decode(payload)
    return Glance(
        model=_part(parts.model, str),
        choices=_part(parts.choices, list[_Choice]),
        usage=_part(parts.usage, UsageBody),
        error=parts.error,
    )


def _piece(place: int, call: _Call) -> ToolCallDelta:
    function = call.function
    return ToolCallDelta(
        index=place if call.index is None else call.index,
        id=call.id,
        name=function.name if function else None,
        arguments=(function.arguments if function else None) or "",
    )


def _part(raw: Raw, kind: type[T]) -> T | None:
    try:
        return None if bytes(raw) == b"null" else msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        return None
