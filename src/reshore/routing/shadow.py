"""Copies of requests, answered for nobody: the other side's answer, to be compared later.

A copy is taken when the client has its whole answer, and never makes anybody wait: what finds no
room is dropped and counted. Copies for this machine run only while no client wants its engines, and
give way to the first one that does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from reshore.backends.answer import Call, Measured, Spoken, spoken
from reshore.clock import Clock
from reshore.config.shadow import ShadowConfig
from reshore.errors import BackendTimeout
from reshore.routing.failure import told
from reshore.routing.journal import Journal, Line
from reshore.routing.sample import Sample
from reshore.types import Attempt, Target

log = logging.getLogger("reshore.routing")

# Why a copy has no answer: too many wait; too many bytes are held, or its answer has too many; it
# waited too long; a client wanted the engines; the server ends.
Dropped = Literal["queue", "bytes", "late", "yielded", "closing"]

# How often waiting copies are looked at, and running ones: what is late ends at most so much later.
_LOOK_S = 0.25
_CLOSING_S = 0.9


class Occupied(Protocol):
    """The engines of this machine (`engine.pool.Pool`)."""

    def present(self) -> int:
        """How many requests use them or wait for them, copies included."""
        ...


class ShadowResult(Struct, frozen=True, kw_only=True):
    """What a copy was answered.

    Attributes:
        call: the request.
        said: None where it failed.
    """

    sample: Sample
    call: Call
    attempt: Attempt
    said: Spoken | None = None


class ShadowState(Struct, frozen=True, kw_only=True):
    """What has become of the copies since the server was started.

    Attributes:
        waiting, running: now.
        held_bytes: request bodies of both, and what their clients were answered if that is kept.
        answered, failed: copies that were sent.
        dropped: those that were not, or not to the end, by reason.
    """

    waiting: int
    running: int
    held_bytes: int
    answered: int
    failed: int
    dropped: dict[Dropped, int]


class _Copy(NamedTuple):
    call: Call
    mirror: Target
    sample: Sample
    until_s: float


class _Run:
    """A copy that is being answered. `given_up` is why it was cancelled."""

    def __init__(self, copy: _Copy, line: Line, until_s: float) -> None:
        self.copy = copy
        self.line = line
        self.until_s = until_s
        self.task: asyncio.Task[None] | None = None
        self.given_up: Dropped | Literal["timeout"] | None = None

    def give_up(self, why: Dropped | Literal["timeout"]) -> None:
        if self.given_up is None and self.task is not None:
            self.given_up = why
            self.task.cancel()


class ShadowWorker:
    """Answers copies within bounds. Implements `dispatch.Shadows`.

    One for the server, an async context manager for its lifespan: leaving drops what waits, ends
    what runs, and takes less than a second. Its state belongs to the event loop's thread.

    Args:
        config: the bounds.
        clock: for times and limits.
        local: who is at work on this machine.
        record_late: gets each attempt, under the id of its request.
        on_result: gets each answer with its text; without it, no text is kept.
    """

    def __init__(
        self,
        config: ShadowConfig,
        *,
        clock: Clock,
        local: Occupied,
        record_late: Callable[[str, Attempt], None],
        on_result: Callable[[ShadowResult], None] | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._local = local
        self._record_late = record_late
        self._on_result = on_result
        self._waiting: deque[_Copy] = deque()
        self._running: set[_Run] = set()
        self._watch: asyncio.Task[None] | None = None
        self._held_bytes = 0
        self._answered = 0
        self._failed = 0
        self._dropped: Counter[Dropped] = Counter()
        self._closed = False

    async def __aenter__(self) -> ShadowWorker:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        while self._waiting:
            self._forget("closing")
        for run in self._running:
            run.give_up("closing")
        tasks = [run.task for run in self._running if run.task is not None]
        if self._watch is not None:
            self._watch.cancel()
            tasks.append(self._watch)
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSING_S)

    def state(self) -> ShadowState:
        """What waits, what runs, and what has become of the rest."""
        return ShadowState(
            waiting=len(self._waiting),
            running=len(self._running),
            held_bytes=self._held_bytes,
            answered=self._answered,
            failed=self._failed,
            dropped=dict(self._dropped),
        )

    @property
    def compares(self) -> bool:
        """Whether somebody gets the answers."""
        return self._on_result is not None

    def offer(self, call: Call, mirror: Target, sample: Sample) -> None:
        """Take a copy, or drop it and count that; at once, and never raising anything."""
        try:
            until_s = self._clock.monotonic() + self._config.timeout_s
            self._take(_Copy(call, mirror, sample, until_s))
        except Exception:
            log.exception("a copy could not be taken", extra={"request_id": sample.request_id})

    def _take(self, copy: _Copy) -> None:
        may_run = self._may_run(copy)
        if self._closed:
            self._dropped["closing"] += 1
        elif self._held_bytes + copy.sample.held_bytes > self._config.queue_bytes:
            self._dropped["bytes"] += 1
        elif not may_run and len(self._waiting) >= self._config.queue:
            self._dropped["queue"] += 1
        else:
            self._held_bytes += copy.sample.held_bytes
            if may_run:
                self._run(copy)
            else:
                self._waiting.append(copy)
            if self._watch is None:
                self._watch = asyncio.create_task(self._look_often())

    def _forget(self, why: Dropped) -> None:
        """Drop the copy that has waited longest."""
        self._held_bytes -= self._waiting.popleft().sample.held_bytes
        self._dropped[why] += 1

    def _may_run(self, copy: _Copy) -> bool:
        if self._closed or len(self._running) >= self._config.concurrency:
            return False
        return copy.mirror.side == "cloud" or not self._is_wanted()

    def _is_wanted(self) -> bool:
        """Whether clients want the engines of this machine."""
        ours = sum(run.copy.mirror.side == "local" for run in self._running)
        return self._local.present() > ours

    def _advance(self) -> None:
        """Start what can be started, the oldest first."""
        for copy in tuple(self._waiting):
            if self._may_run(copy):
                self._waiting.remove(copy)
                self._run(copy)

    async def _look_often(self) -> None:
        while self._waiting or self._running:
            await self._clock.sleep(_LOOK_S)
            self._look()
        self._watch = None

    def _look(self) -> None:
        now_s = self._clock.monotonic()
        while self._waiting and self._waiting[0].until_s <= now_s:
            self._forget("late")
        for run in self._running:
            if run.until_s <= now_s:
                run.give_up("timeout")
            elif run.copy.mirror.side == "local" and self._is_wanted():
                run.give_up("yielded")
        self._advance()

    def _run(self, copy: _Copy) -> None:
        journal = Journal(
            self._clock,
            request_id=copy.sample.request_id,
            size_bytes=copy.sample.size_bytes,
            started_s=copy.sample.started_s,
        )
        line = journal.begin("shadow", copy.mirror)
        run = _Run(copy, line, self._clock.monotonic() + self._config.timeout_s)
        self._running.add(run)
        run.task = asyncio.create_task(self._answer(run))
        # Not in the task: one that is cancelled before its first step never takes any.
        run.task.add_done_callback(partial(self._ended, run))

    async def _answer(self, run: _Run) -> None:
        copy, line = run.copy, run.line
        async with copy.call.open(copy.mirror, keep_text=self.compares) as answer:
            line.begun(answer)
            said = _Counted(answer.measured)
            async for _ in answer.frames:
                if said.size() > self._config.queue_bytes:
                    run.give_up("bytes")
            line.end()

    def _ended(self, run: _Run, task: asyncio.Task[None]) -> None:
        self._running.discard(run)
        self._held_bytes -= run.copy.sample.held_bytes
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._count(run, error)
        try:
            self._tell(run, answered=error is None)
        except Exception:
            extra = {"request_id": run.copy.sample.request_id}
            log.exception("what a copy was answered is lost", extra=extra)
        self._advance()

    def _count(self, run: _Run, error: BaseException | None) -> None:
        backend, why = run.copy.mirror.backend, run.given_up
        if error is None:
            self._answered += 1
        elif why is None or why == "timeout":
            if why == "timeout":
                limit = f"no whole answer within {self._config.timeout_s:g} s"
                error = BackendTimeout(limit, backend=backend)
            self._failed += 1
            extra = {"request_id": run.copy.sample.request_id}
            log.info("a copy to %s failed: %s", backend, told(error), extra=extra)
        else:
            self._dropped[why] += 1
        run.line.end(error)

    def _tell(self, run: _Run, *, answered: bool) -> None:
        copy, line = run.copy, run.line
        attempt = line.attempt(answered=False)
        self._record_late(copy.sample.request_id, attempt)
        if self._on_result is not None:
            said = spoken(copy.mirror, line.measured) if line.measured and answered else None
            self._on_result(
                ShadowResult(sample=copy.sample, call=copy.call, attempt=attempt, said=said)
            )


class _Counted:
    """How much of an answer is kept, without counting any of it twice."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        self._size = 0
        self._texts = 0
        self._calls = 0

    def size(self) -> int:
        """Characters so far."""
        texts, calls = self._measured.text or (), self._measured.calls
        self._size += sum(map(len, texts[self._texts :]))
        self._size += sum(len(call.arguments) for call in calls[self._calls :])
        self._texts, self._calls = len(texts), len(calls)
        return self._size
