"""Events of an engine's streams, decoded into chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from reshore.types import (
    Chunk,
    FinishReason,
    Timings,
    TokenLogprob,
    ToolCallDelta,
    TopLogprob,
    Usage,
)
from reshore.wire.llamacpp.faults import EngineFault, FaultEvent

# Index of a chunk that belongs to no choice (usage, timings).
NO_CHOICE = -1

# What the engine sends. Fields we do not use are skipped by the decoder without being built.


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str = ""


class _Call(Struct, gc=False):
    function: _Function
    index: int = 0


class _Delta(Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[_Call, ...] = ()


class _Top(Struct, gc=False):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class _Token(Struct, gc=False):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: tuple[_Top, ...] = ()


class _Logprobs(Struct, gc=False):
    content: tuple[_Token, ...] = ()


class _Choice(Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    text: str = ""
    finish_reason: Literal["stop", "length", "tool_calls"] | None = None
    logprobs: _Logprobs | None = None


class _Details(Struct, gc=False):
    cached_tokens: int = 0


class _Usage(Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Timings(Struct, gc=False):
    prompt_ms: float = 0.0
    predicted_ms: float = 0.0


class _Event(Struct, gc=False):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: EngineFault | None = None


class _Infill(Struct, gc=False):
    content: str = ""
    stop: bool = False
    stop_type: str = ""
    tokens_predicted: int = 0
    tokens_evaluated: int = 0
    completion_probabilities: tuple[_Token, ...] = ()
    error: EngineFault | None = None


_event = msgspec.json.Decoder(_Event)
_infill = msgspec.json.Decoder(_Infill)


def decode_event(payload: bytes) -> Chunk | None:
    """One `data:` payload of a chat or completion stream; None for one without news.

    Raises:
        FaultEvent: the event is an error.
        msgspec.MsgspecError: the payload is not what an engine sends.
    """
    event = _event.decode(payload)
    if event.error is not None:
        raise FaultEvent(event.error)
    if not event.choices:
        return _closing(event)
    choice = event.choices[0]
    delta = choice.delta
    if delta is None:
        return _text_chunk(choice, event)
    news = delta.content or delta.tool_calls or delta.reasoning_content or choice.finish_reason
    if not (news or choice.logprobs):  # a token without text may have logprobs
        return None
    return Chunk(
        index=choice.index,
        content=delta.content or "",
        reasoning=delta.reasoning_content or "",
        tool_calls=_deltas(delta.tool_calls) if delta.tool_calls else (),
        logprobs=_tokens(choice.logprobs.content) if choice.logprobs else (),
        finish_reason=choice.finish_reason,
    )


def decode_infill(payload: bytes) -> Chunk | None:
    """One `data:` payload of an infill stream, whose last event has both finish and counts."""
    event = _infill.decode(payload)
    if event.error is not None:
        raise FaultEvent(event.error)
    if not (event.content or event.stop):
        return None
    finish: FinishReason | None = None
    usage = None
    if event.stop:
        finish = "length" if event.stop_type == "limit" else "stop"
        usage = Usage(
            prompt_tokens=event.tokens_evaluated, completion_tokens=event.tokens_predicted
        )
    return Chunk(
        content=event.content,
        logprobs=_tokens(event.completion_probabilities),
        finish_reason=finish,
        usage=usage,
    )


EventDecoder = Callable[[bytes], Chunk | None]


def _text_chunk(choice: _Choice, event: _Event) -> Chunk | None:
    """A piece of a text completion, whose last event has the finish and the counts in one."""
    if not (choice.text or choice.finish_reason or choice.logprobs):
        return None
    return Chunk(
        index=choice.index,
        content=choice.text,
        logprobs=_tokens(choice.logprobs.content) if choice.logprobs else (),
        finish_reason=choice.finish_reason,
        usage=_usage(event),
        timings=_timings(event),
    )


def _closing(event: _Event) -> Chunk | None:
    if event.usage is None:
        return None
    return Chunk(index=NO_CHOICE, usage=_usage(event), timings=_timings(event))


def _usage(event: _Event) -> Usage | None:
    if event.usage is None:
        return None
    details = event.usage.prompt_tokens_details
    return Usage(
        prompt_tokens=event.usage.prompt_tokens,
        completion_tokens=event.usage.completion_tokens,
        cached_tokens=details.cached_tokens if details else 0,
    )


def _timings(event: _Event) -> Timings | None:
    if event.timings is None:
        return None
    return Timings(prefill_ms=event.timings.prompt_ms, decode_ms=event.timings.predicted_ms)


def _deltas(calls: Sequence[_Call]) -> tuple[ToolCallDelta, ...]:
    """The engine's ids are dropped: whoever streams to the client gives each call its own."""
    return tuple(
        ToolCallDelta(index=call.index, name=call.function.name, arguments=call.function.arguments)
        for call in calls
    )


def _tokens(tokens: Sequence[_Token]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            token=token.token,
            logprob=token.logprob,
            bytes=token.bytes,
            top=tuple(
                TopLogprob(token=top.token, logprob=top.logprob, bytes=top.bytes)
                for top in token.top_logprobs
            ),
        )
        for token in tokens
    )
