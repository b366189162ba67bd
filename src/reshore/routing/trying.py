"""One target, asked until it begins to answer or there is no sense in asking it again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from reshore.backends.answer import Answer
from reshore.clock import Clock
from reshore.errors import CircuitOpen, ReshoreError, UpstreamStatus
from reshore.routing.breaker import Breakers
from reshore.routing.failure import blames_backend
from reshore.routing.journal import Journal
from reshore.routing.retry import Retries
from reshore.types import AttemptRole, Target

# Opens the target with the key of that number.
OpenTarget = Callable[[int], AbstractAsyncContextManager[Answer]]

_KEY_FAULTS = (401, 429)


class Manner(NamedTuple):
    """How a plan is carried out inside the plan around it.

    Attributes:
        role: of its first attempt.
        keep_text: its text is kept, so that another target can go on from it.
        patient: False where another target can be asked instead of waiting for this one.
    """

    role: AttemptRole = "primary"
    keep_text: bool = False
    patient: bool = True


@dataclass(frozen=True)
class Means:
    """What attempts of all requests share.

    Attributes:
        keys: how many API keys an upstream has; one that is not named has one.
    """

    clock: Clock
    retries: Retries
    breakers: Breakers
    keys: Callable[[str], int]


class Trying:
    """A context manager: entering waits until the target's answer has begun, leaving ends it.

    Before the first byte, what may pass is tried again: with the upstream's next key at once when
    one key is used up, otherwise after a pause. Each try is an attempt in the journal. Cancelling,
    while entering or inside, ends the try within one turn of the event loop.

    It belongs to one task. On the way of every request: no task, no timer and no queue in here.

    Raises:
        CircuitOpen: it rests; nothing was sent.
        ReshoreError: what came of the last try.
    """

    __slots__ = (
        "_began_s",
        "_frames",
        "_journal",
        "_key",
        "_line",
        "_manner",
        "_means",
        "_open",
        "_opening",
        "_permit",
        "_tried",
        "_upstream",
        "target",
    )

    def __init__(
        self, means: Means, open_: OpenTarget, target: Target, journal: Journal, manner: Manner
    ) -> None:
        self.target = target
        self._means = means
        self._open = open_
        self._journal = journal
        self._manner = manner
        self._upstream = target.side == "cloud"
        self._key = 0
        self._tried = 0
        self._began_s = 0.0
        self._permit = 0

    async def __aenter__(self) -> Answer:
        means = self._means
        self._began_s = means.clock.monotonic()
        means.retries.request(self.target.backend)
        role = self._manner.role
        failure: ReshoreError | None = None
        while True:
            self._line = self._journal.begin(role, self.target)
            try:
                return await self._begin()
            except CircuitOpen as error:
                raise (failure or error) from None
            except ReshoreError as error:
                pause_s = self._pause_s(error)
                if pause_s is None:
                    raise
                failure = error
            role = "retry"
            if pause_s:
                await means.clock.sleep(pause_s)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # They read what the context behind them feeds, so they must not outlive that.
        self._frames.close()
        try:
            await self._opening.__aexit__(kind, error, trace)
        except ReshoreError as other:
            # A time limit of the backend's, say, that was noticed outside of the frames.
            if other is not error:
                self._line.end(other)
            raise
        finally:
            # What went wrong in the frames is noted already: this is somebody who left.
            self._line.cancel()

    async def _begin(self) -> Answer:
        line, means = self._line, self._means
        try:
            if self._upstream:
                self._permit = means.breakers.enter(self.target, means.clock.monotonic())
            self._opening = self._open(self._key)
            answer = await self._opening.__aenter__()
        except BaseException as error:
            line.end(error)
            self._report(error)
            raise
        line.begun(answer)
        if answer.fault is not None:
            self._report(answer.fault)
        elif self._upstream:
            means.breakers.succeeded(self.target, self._permit, means.clock.monotonic())
        self._frames = _Noted(answer.frames, self)
        return Answer(
            target=answer.target,
            status=answer.status,
            headers=answer.headers,
            frames=self._frames,
            stream=answer.stream,
            measured=answer.measured,
            fault=answer.fault,
        )

    def noted(self, error: Exception | None = None) -> None:
        """The frames have come to their end, or to `error`."""
        self._line.end(error)
        if error is not None:
            self._report(error)

    def _report(self, error: BaseException) -> None:
        """Tell the breaker."""
        breakers = self._means.breakers
        if not self._upstream or isinstance(error, CircuitOpen):
            return
        if blames_backend(error) and not self._has_another_key(error):
            wish_s = error.retry_after_s if isinstance(error, UpstreamStatus) else None
            now_s = self._means.clock.monotonic()
            breakers.failed(self.target, self._permit, now_s, wish_s=wish_s or 0.0)
        elif isinstance(error, UpstreamStatus) and not blames_backend(error):
            breakers.refused(self.target, self._permit)
        else:
            breakers.abandoned(self.target, self._permit)

    def _pause_s(self, error: ReshoreError) -> float | None:
        """How long until the next try, None for no further one."""
        if self._has_another_key(error):
            self._key += 1
            return 0.0
        means = self._means
        pause_s = means.retries.pause_s(
            self.target,
            error,
            tried=self._tried,
            elapsed_s=means.clock.monotonic() - self._began_s,
            patient=self._manner.patient,
        )
        if pause_s is not None:
            self._tried += 1
        return pause_s

    def _has_another_key(self, error: BaseException) -> bool:
        return (
            isinstance(error, UpstreamStatus)
            and error.status in _KEY_FAULTS
            and self._key + 1 < self._means.keys(self.target.backend)
        )


class _Noted:
    """The frames of an answer; what becomes of them is noted. No generator, for one costs every
    request more than this."""

    __slots__ = ("_next", "_trying")

    def __init__(self, frames: AsyncIterator[bytes], trying: Trying) -> None:
        self._next: Callable[[], Awaitable[bytes]] | None = aiter(frames).__anext__
        self._trying = trying

    def __aiter__(self) -> _Noted:
        return self

    async def __anext__(self) -> bytes:
        if self._next is None:
            raise StopAsyncIteration
        try:
            return await self._next()
        except StopAsyncIteration:
            self._next = None
            self._trying.noted()
            raise
        except Exception as error:
            self._next = None
            self._trying.noted(error)
            raise

    def close(self) -> None:
        """There are no more. Nothing is left that would hold each other."""
        self._next = None
        del self._trying
