"""What the scripted engine answers: from a request to a sequence of steps. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from reshore.config import EchoConfig

T = TypeVar("T")

_DIRECTIVE = "/echo "
_PIECE = re.compile(r"\s*\S+|\s+")
_ARGUMENT_PIECE = re.compile(r".{1,8}", re.DOTALL)

Count = Annotated[int, Meta(ge=0)]
Fault = Literal["", "exit", "hang", "garbage", "cut", "error", "start"]
Finish = Literal["stop", "length", "tool_calls"]


class ScriptedCall(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool call to answer with; arguments that are no text are written as JSON."""

    name: str
    arguments: Any = "{}"

    @property
    def text(self) -> str:
        if isinstance(self.arguments, str):
            return self.arguments
        return msgspec.json.encode(self.arguments).decode()


class Directive(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON object after `/echo `.

    Attributes:
        text: to answer, piece by piece, instead of the user's words.
        tokens: how many; the text is repeated or cut.
        gap_ms, ttft_ms: pauses between the tokens and before the first.
        burst: all in one segment.
        fault, fault_after: what goes wrong after how many tokens: the process exits, the stream
            hangs, an event that is no JSON, a connection cut, an error event.
        finish: the reason to give, whatever happened.
        tool_calls, reasoning: stand after and before the text.
        reflect: answer the request's own JSON body, in one piece.
        forever: never end by itself.
        status: answer this HTTP status with an error body.
    """

    text: str | None = None
    tokens: Count | None = None
    gap_ms: Annotated[float, Meta(ge=0)] | None = None
    ttft_ms: Annotated[float, Meta(ge=0)] | None = None
    burst: bool = False
    fault: Fault | None = None
    fault_after: Count | None = None
    finish: Finish | None = None
    tool_calls: tuple[ScriptedCall, ...] = ()
    reasoning: str = ""
    reflect: bool = False
    forever: bool = False
    status: Annotated[int, Meta(ge=400, le=599)] | None = None


class Step(Struct, frozen=True, kw_only=True, gc=False):
    """One token of an answer. `call` is the index of the tool call that `text` belongs to; its
    first step has `name`, and no text."""

    kind: Literal["content", "reasoning", "call"] = "content"
    text: str = ""
    call: int = 0
    name: str | None = None


class Script(Struct, frozen=True, kw_only=True):
    """An answer before it is given.

    Attributes:
        pieces: the text, one token each, to be repeated.
        length: content tokens of the whole answer; None without end.
        limit: tokens of all kinds after which it is cut; None without limit.
        stop: texts at which it ends, not shown.
    """

    pieces: tuple[str, ...]
    length: int | None
    limit: int | None
    stop: tuple[str, ...] = ()
    calls: tuple[ScriptedCall, ...] = ()
    reasoning: tuple[str, ...] = ()
    finish: Finish | None = None
    ttft_s: float = 0.0
    gap_s: float = 0.0
    burst: bool = False
    fault: Fault = ""
    fault_after: int = 0
    status: int | None = None


def make_script(
    text: str,
    knobs: EchoConfig,
    *,
    limit: int | None,
    stop: tuple[str, ...] = (),
    room: int,
    body: bytes = b"",
) -> Script:
    """The script for a request.

    Args:
        text: the last user message, or the prompt; a directive if it starts with `/echo `.
        limit: tokens that the request asks for at most.
        room: tokens that the context has left.
        body: the request's own bytes, for `reflect`.

    Raises:
        msgspec.MsgspecError: the directive is malformed; says where.
    """
    directive = Directive()
    words = tuple(text.split()) or ("echo",)
    pieces = (words[0], *(f" {word}" for word in words[1:]))
    if text.startswith(_DIRECTIVE):
        directive = msgspec.json.decode(text.removeprefix(_DIRECTIVE), type=Directive)
        scripted = directive.text if directive.text is not None else ""
        pieces = split(scripted) or ("echo",)
    if directive.reflect:
        pieces, limit, room = (body.decode("utf-8", "replace"),), None, max(room, 1)
    return Script(
        pieces=pieces,
        length=_length(directive, pieces, knobs, limit),
        limit=limit if directive.forever else min(limit or room, room),
        stop=stop,
        calls=directive.tool_calls,
        reasoning=split(directive.reasoning),
        finish=directive.finish,
        ttft_s=_chosen(directive.ttft_ms, knobs.ttft_ms) / 1000,
        gap_s=_chosen(directive.gap_ms, knobs.gap_ms) / 1000,
        burst=directive.burst,
        fault=_chosen(directive.fault, knobs.fault),
        fault_after=_chosen(directive.fault_after, knobs.fault_after),
        status=directive.status,
    )


def split(text: str) -> tuple[str, ...]:
    """A text as its tokens: words, each with the blanks before it."""
    return tuple(_PIECE.findall(text))


def _length(
    directive: Directive, pieces: tuple[str, ...], knobs: EchoConfig, limit: int | None
) -> int | None:
    if directive.forever:
        return None
    if directive.reflect:
        return 1
    if directive.tokens is not None:
        return directive.tokens
    if directive.text is not None:
        return len(pieces) if directive.text else 0
    if directive.tool_calls:
        return 0
    return knobs.tokens if limit is None else limit


def _chosen(asked: T | None, otherwise: T) -> T:
    return otherwise if asked is None else asked


class Answer:
    """The steps of a script, one by one; `finish` is known when they are over."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._steps = self._cut(self._all())
        self.tokens = 0
        self.finish: Finish = "stop"

    def __iter__(self) -> Iterator[Step]:
        return self._steps

    def _all(self) -> Iterator[Step]:
        script = self._script
        for piece in script.reasoning:
            yield Step(kind="reasoning", text=piece)
        yield from self._stopping(self._content()) if script.stop else self._content()
        for index, call in enumerate(script.calls):
            yield Step(kind="call", call=index, name=call.name)
            for piece in _ARGUMENT_PIECE.findall(call.text):
                yield Step(kind="call", call=index, text=piece)
        if script.calls:
            self.finish = "tool_calls"

    def _cut(self, steps: Iterator[Step]) -> Iterator[Step]:
        limit = self._script.limit
        for step in steps:
            self.tokens += 1
            yield step
            if self.tokens == limit:
                self.finish = "length"
                break
        if self._script.finish:
            self.finish = self._script.finish

    def _content(self) -> Iterator[Step]:
        pieces, length = self._script.pieces, self._script.length
        again = (_apart(pieces[0]), *pieces[1:])
        steps = [Step(text=piece) for piece in pieces], [Step(text=piece) for piece in again]
        for number in count() if length is None else range(length):
            yield steps[number >= len(pieces)][number % len(pieces)]

    def _stopping(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Withhold what may become a stop text, end where one stands."""
        held = ""
        for step in steps:
            text = held + step.text
            found = [at for stop in self._script.stop if (at := text.find(stop)) >= 0]
            if found:
                yield Step(text=text[: min(found)])
                return
            keep = max(_overlap(text, stop) for stop in self._script.stop)
            held = text[len(text) - keep :]
            yield Step(text=text[: len(text) - keep])
        if held:
            yield Step(text=held)


def _apart(piece: str) -> str:
    return piece if piece[:1].isspace() else f" {piece}"


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` with which `stop` begins."""
    return next(
        (
            size
            for size in range(min(len(text), len(stop) - 1), 0, -1)
            if stop.startswith(text[-size:])
        ),
        0,
    )
