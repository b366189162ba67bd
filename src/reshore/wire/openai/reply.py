"""Replies of upstreams as chunks: streams event by event, and whole ones as if streamed at once.

Servers that speak OpenAI's dialect differ in what they call a model's reasoning, in how they number
tool calls and in where they put their token counts. What leaves here keeps the contract of `Chunk`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

import msgspec
from msgspec import Struct

from reshore.errors import BadReply
from reshore.types import (
    Chunk,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    TopLogprob,
    Usage,
)
from reshore.wire.openai.glance import UsageBody

# Index of a chunk that belongs to no choice.
_NO_CHOICE = -1
_FINISHES = frozenset(get_args(FinishReason))


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Said(Struct, gc=False):
    """A delta of a stream, or a message.

    `content` of Mistral's reasoning models is an array of parts. Reasoning is `reasoning_content`
    at DeepSeek, llama.cpp and SGLang, `reasoning` at OpenRouter, Ollama and vLLM.
    """

    content: Any = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Top(Struct, gc=False):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class _Token(Struct, gc=False):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: list[_Top] | None = None


class _Logprobs(Struct, gc=False):
    """A chat's (`content`), or the four parallel lists of a text completion."""

    content: list[_Token] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class _Choice(Struct, gc=False):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Event(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: UsageBody | None = None


_event = msgspec.json.Decoder(_Event)


class ReplyDecoder:
    """Belongs to the task that reads one reply.

    Args:
        backend: who sends it, for messages.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._usage: Usage | None = None
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._calls: dict[int, _Calls] = {}

    def event(self, payload: bytes) -> list[Chunk]:
        """The chunks of one event, or of a whole reply.

        Raises:
            BadReply: it is not what OpenAI's dialect allows.
        """
        try:
            event = _event.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._bad(f"sent what is no event of OpenAI's dialect ({error})") from error
        if event.usage is not None:
            self._usage = event.usage.usage()
        chunks = [self._chunk(choice) for choice in event.choices or ()]
        return [chunk for chunk in chunks if chunk is not None]

    def end(self) -> list[Chunk]:
        """What comes after the last finish: the token counts, if they are known.

        Raises:
            BadReply: a choice has not finished, or there was none.
        """
        if self._open or not self._finished:
            raise self._bad("ended an answer that was not complete", retryable=True)
        return [] if self._usage is None else [Chunk(index=_NO_CHOICE, usage=self._usage)]

    def _chunk(self, choice: _Choice) -> Chunk | None:
        index = choice.index
        if index in self._finished:
            return None  # vLLM sends an empty delta after the last one
        said = choice.delta or _numbered(choice.message) or _Said(content=choice.text)
        finish = _finish(choice.finish_reason)
        if finish is None:
            self._open.add(index)
        else:
            self._open.discard(index)
            self._finished.add(index)
        chunk = Chunk(
            index=index,
            content=_text(said.content) + (said.refusal or ""),
            reasoning=said.reasoning_content or said.reasoning or "",
            tool_calls=self._deltas(index, said.tool_calls) if said.tool_calls else (),
            logprobs=_tokens(choice.logprobs) if choice.logprobs else (),
            finish_reason=finish,
        )
        news = chunk.content or chunk.reasoning or chunk.tool_calls or chunk.logprobs or finish
        return chunk if news else None

    def _deltas(self, index: int, calls: Sequence[_Call]) -> tuple[ToolCallDelta, ...]:
        numbered = self._calls.setdefault(index, _Calls())
        return tuple(numbered.delta(call) for call in calls)

    def _bad(self, what: str, *, retryable: bool = False) -> BadReply:
        return BadReply(f"{self._backend} {what}", backend=self._backend, retryable=retryable)


class _Calls:
    """Numbers the tool calls of one choice from 0 on, in the order in which they begin."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._ids: dict[int, str] = {}
        self._count = 0

    def delta(self, call: _Call) -> ToolCallDelta:
        number, begins = self._number(call)
        function = call.function or _Function()
        return ToolCallDelta(
            index=number,
            id=call.id if begins else None,
            name=function.name if begins else None,
            arguments=function.arguments or "",
        )

    def _number(self, call: _Call) -> tuple[int, bool]:
        """Google numbers every call of a stream 0, or not at all: a new id is a new call."""
        theirs = call.index or 0
        known = self._numbers.get(theirs)
        if known is not None and not (call.id and call.id != self._ids.get(known, call.id)):
            return known, False
        number = self._numbers[theirs] = self._count
        self._count += 1
        if call.id:
            self._ids[number] = call.id
        return number, True


def _numbered(message: _Said | None) -> _Said | None:
    """The calls of a whole message have no numbers but their places."""
    for place, call in enumerate((message and message.tool_calls) or ()):
        call.index = place
    return message


def _finish(reason: str | None) -> FinishReason | None:
    """OpenAI's four reasons; what others add (`eos`, `abort`) means that it stopped."""
    if reason is None or reason == "":
        return None
    if reason == "function_call":
        return "tool_calls"
    return cast(FinishReason, reason) if reason in _FINISHES else "stop"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(part for part in parts if isinstance(part, str))


def _tokens(logprobs: _Logprobs) -> tuple[TokenLogprob, ...]:
    if logprobs.content is not None:
        return tuple(_token(token) for token in logprobs.content)
    return tuple(
        TokenLogprob(token=token, logprob=logprob or 0.0, top=_likeliest(rivals))
        for token, logprob, rivals in zip(
            logprobs.tokens or (),
            logprobs.token_logprobs or (),
            logprobs.top_logprobs or [None] * len(logprobs.tokens or ()),
            strict=False,
        )
    )


def _token(token: _Token) -> TokenLogprob:
    return TokenLogprob(
        token=token.token,
        logprob=token.logprob,
        bytes=token.bytes,
        top=tuple(
            TopLogprob(token=top.token, logprob=top.logprob, bytes=top.bytes)
            for top in token.top_logprobs or ()
        ),
    )


def _likeliest(rivals: Mapping[str, float] | None) -> tuple[TopLogprob, ...]:
    ordered = sorted((rivals or {}).items(), key=lambda rival: -rival[1])
    return tuple(TopLogprob(token=token, logprob=logprob) for token, logprob in ordered)
