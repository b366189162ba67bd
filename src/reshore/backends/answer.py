"""A reply under way, as bytes in the dialect of the client who gets them.

Backends that answer in the client's own dialect give their bytes as they come (`backends/remote`);
a typed `Reply` is encoded while it streams by (`server/`). What routes requests sees neither: it
opens answers, waits for their first event, keeps one and closes the others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Protocol

from msgspec import Struct, field

from reshore.errors import UpstreamStatus
from reshore.types import (
    ChatRequest,
    CompletionRequest,
    FinishReason,
    Target,
    Timings,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)

HeaderList = list[tuple[bytes, bytes]]

# Names the fields of a request that have no effect.
IGNORED = "x-reshore-ignored"


def ignoring(fields: Sequence[str]) -> dict[str, str]:
    """What the client is told, by header, of fields without effect; nothing without any."""
    return {IGNORED: ", ".join(fields)} if fields else {}


@dataclass
class Measured:
    """What is learned of an answer while its frames go by; belongs to the task that reads them.

    Attributes:
        model: the name that whoever answers gives itself.
        text: what was said so far, where it is kept (`Call.open(keep_text=True)`), of choice 0.
        calls: the pieces of its tool calls, where the text is kept.
    """

    model: str | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    finish_reason: FinishReason | str | None = None
    text: list[str] | None = None
    calls: list[ToolCallDelta] = dataclass_field(default_factory=list)


class Answer(Struct, frozen=True):
    """A reply that has begun: its status stands, and of a stream the first event is there.

    Attributes:
        target: who answers.
        status: the HTTP status for the client.
        headers: content type, notices and what else is for the client; names in lower case.
        frames: the body in pieces; a stream ends with its dialect's own end. Raises BackendError
            or EngineError when it breaks off. Closing it, also by cancellation, ends the
            generation.
        stream: whether the frames are a stream of events.
        measured: filled while `frames` is read.
        fault: what an error means that goes to the client in the upstream's own words; None for any
            other answer.
    """

    target: Target
    status: int
    headers: HeaderList
    frames: AsyncIterator[bytes]
    stream: bool = False
    measured: Measured = field(default_factory=Measured)
    fault: UpstreamStatus | None = None


class Spoken(Struct, frozen=True, kw_only=True):
    """What an answer that has ended says, of choice 0."""

    target: Target
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | str | None = None

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.text) + sum(len(call.arguments) for call in self.tool_calls)


def spoken(target: Target, measured: Measured) -> Spoken | None:
    """What was said; None where it was not kept."""
    if measured.text is None:
        return None
    return Spoken(
        target=target,
        text="".join(measured.text),
        tool_calls=whole_calls(measured.calls),
        finish_reason=measured.finish_reason,
    )


def whole_calls(deltas: Iterable[ToolCallDelta]) -> tuple[ToolCall, ...]:
    """Tool calls out of their pieces."""
    calls: dict[int, list[ToolCallDelta]] = {}
    for delta in deltas:
        calls.setdefault(delta.index, []).append(delta)
    return tuple(
        ToolCall(
            id=next((piece.id for piece in pieces if piece.id), ""),
            name=next((piece.name for piece in pieces if piece.name), ""),
            arguments="".join(piece.arguments for piece in pieces),
        )
        for pieces in calls.values()
    )


class Question(Struct, frozen=True, kw_only=True):
    """A chat as its client asked for it.

    Attributes:
        body: the request in the client's dialect.
    """

    request: ChatRequest
    body: dict[str, Any]


class Draft(Protocol):
    """A local answer that is held back until checks have judged it. Belongs to its request's task.

    Attributes:
        request: what was asked: the format, tools and limits that the answer must hold to.
        text: what was said so far, of choice 0.
        tool_calls: the calls that are complete.
        finish_reason: None while it is still being generated.
        logprobs: of the tokens so far, empty where they were not asked for.
        measured: as of an `Answer`.
    """

    @property
    def request(self) -> ChatRequest | CompletionRequest: ...
    @property
    def text(self) -> str: ...
    @property
    def tool_calls(self) -> tuple[ToolCall, ...]: ...
    @property
    def finish_reason(self) -> FinishReason | None: ...
    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]: ...
    @property
    def measured(self) -> Measured: ...

    async def finish(self) -> None:
        """Read on to the end. Cancelling it loses nothing: `answer` and `finish` go on from there.
        It may still be waited for while the frames of the answer are read.

        Raises BackendError or EngineError when the generation breaks off.
        """
        ...

    def answer(self) -> Answer:
        """Keep it: what was read so far, then the rest as it comes."""
        ...


class Call(Protocol):
    """One request in its client's dialect, which any target can be asked with, any number of times.

    All methods give context managers: leaving them, also by cancellation, ends the generation and
    frees its slot or connection at once.

    Raises (on entering): `RequestError`, `Overloaded`, `EngineError`, `BackendError`.
    """

    @property
    def stream(self) -> bool: ...

    def question(self) -> Question | None:
        """What was asked; None where it is no chat.

        Raises:
            RequestError: it cannot be understood.
        """
        ...

    def open(
        self, target: Target, *, key: int = 0, keep_text: bool = False
    ) -> AbstractAsyncContextManager[Answer]:
        """Ask `target`, and wait until its answer has begun.

        Args:
            key: which of the upstream's API keys.
            keep_text: collect `Measured.text`, which costs the parsing of every event.
        """
        ...

    def draft(
        self, target: Target, *, logprobs: bool = False, temperature: float | None = None
    ) -> AbstractAsyncContextManager[Draft]:
        """Ask a local target for an answer to be judged first.

        Raises:
            Unsupported: this kind of request has no text that could be judged.
        """
        ...

    def resume(self, target: Target, begun: Answer) -> AbstractAsyncContextManager[Answer]:
        """Have `target` go on where `begun` broke off, as one coherent stream for the client.

        `begun` was opened with `keep_text`; its frames have been sent.

        Raises:
            Unsupported: this kind of request cannot be gone on with (tool calls under way, `n`
                above 1).
        """
        ...
