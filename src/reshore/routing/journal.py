"""What was tried for one request, and what each try came to. Pure."""

from __future__ import annotations

from msgspec import structs

from reshore.backends.answer import Answer, Measured
from reshore.clock import Clock
from reshore.errors import UpstreamStatus
from reshore.types import Attempt, AttemptRole, Target

CANCELLED = "Cancelled"


class Line:
    """One attempt while it runs; belongs to the journal of its request.

    Attributes:
        measured: what is learned of its answer; None before there is one.
        origin: of the answer that broke off and that it goes on from.
    """

    __slots__ = (
        "_began_s",
        "_clock",
        "_ended",
        "_first_s",
        "_since_s",
        "_status",
        "measured",
        "origin",
        "role",
        "target",
    )

    def __init__(self, clock: Clock, role: AttemptRole, target: Target, *, since_s: float) -> None:
        self.role = role
        self.target = target
        self.measured: Measured | None = None
        self.origin: Measured | None = None
        self._clock = clock
        self._since_s = since_s
        self._began_s = clock.monotonic()
        self._first_s: float | None = None
        self._status: int | None = None
        self._ended: Attempt | None = None

    def begun(self, answer: Answer) -> None:
        """The answer stands, and of a stream the first event is there."""
        self.measured = answer.measured
        local = self.target.side == "local"
        self._status = None if local else answer.status
        # A whole reply of an upstream comes when it is complete: its first token was never seen.
        if answer.stream or local:
            self._first_s = self._clock.monotonic()

    def drafted(self, measured: Measured) -> None:
        """There is a draft, whose measures these are."""
        self.measured = measured
        self._first_s = self._clock.monotonic()

    def end(self, error: BaseException | None = None) -> None:
        """It is over; only the first call, of this and `cancel`, counts.

        Args:
            error: why; None: its answer is complete. What is no `Exception` (a cancellation) is
                noted as `Cancelled`.
        """
        if self._ended is not None:
            return
        if error is None:
            self._ended = self._attempt(None)
            return
        if isinstance(error, UpstreamStatus) and self._status is None:
            self._status = error.status
        self._ended = self._attempt(
            type(error).__name__ if isinstance(error, Exception) else CANCELLED
        )

    def cancel(self) -> None:
        """It is over before its answer was complete, because nobody wanted it any more."""
        if self._ended is None:
            self._ended = self._attempt(CANCELLED)

    def attempt(self, *, answered: bool) -> Attempt:
        """What is to be remembered of it; so far, while it has not ended."""
        attempt = self._ended or self._attempt(None)
        return structs.replace(attempt, answered=True) if answered else attempt

    def _attempt(self, error: str | None) -> Attempt:
        measured, first_s, began_s = self.measured, self._first_s, self._began_s
        return Attempt(
            role=self.role,
            target=self.target,
            status=self._status,
            error=error,
            finish_reason=measured.finish_reason if measured else None,
            started_ms=(began_s - self._since_s) * 1000,
            ttft_ms=None if first_s is None else (first_s - began_s) * 1000,
            total_ms=(self._clock.monotonic() - began_s) * 1000,
            usage=measured.usage if measured else None,
            timings=measured.timings if measured else None,
        )


class Journal:
    """The attempts of one request, in the order in which they began.

    It belongs to the request's task and to the tasks that this task waits for.

    Args:
        clock: where the times come from.
        request_id: for log lines and for mirrored copies.
        size_bytes: of the request's body, for bounds on mirrored copies.
        started_s: when the request arrived, on `clock`'s monotonic scale; None: now.
        wall_s: the same in seconds since the epoch.
        route: the pattern that it fell under, "" for none.
        key: which API key asked, as in `Outcome.key`.

    Attributes:
        notes: what came of it that could not be known when it was decided, in a few words each;
            they stand behind the decision's reasons.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        request_id: str = "",
        size_bytes: int = 0,
        started_s: float | None = None,
        wall_s: float = 0.0,
        route: str = "",
        key: str | None = None,
    ) -> None:
        self.request_id = request_id
        self.size_bytes = size_bytes
        self.wall_s = wall_s
        self.route = route
        self.key = key
        self._clock = clock
        self.started_s = clock.monotonic() if started_s is None else started_s
        self.notes: list[str] = []
        self._lines: list[Line] = []
        self._answered: Measured | None = None

    @property
    def mixed(self) -> bool:
        """Whether what the client got was begun by one target and gone on with by another."""
        return any(line.origin is not None for line in self._lines)

    def begin(self, role: AttemptRole, target: Target) -> Line:
        """An attempt begins now."""
        line = Line(self._clock, role, target, since_s=self.started_s)
        self._lines.append(line)
        return line

    def answered(self, answer: Answer) -> None:
        """`answer` is what the client gets, with whatever goes on from it (`went_on`)."""
        self._answered = answer.measured

    def went_on(self, begun: Answer, answer: Answer) -> None:
        """`answer` goes on where `begun` broke off."""
        for line in self._lines:
            if line.measured is answer.measured:
                line.origin = begun.measured

    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts as they stand, at any time: also after an exception and a hang-up."""
        return tuple(line.attempt(answered=self._has_answered(line)) for line in self._lines)

    def _has_answered(self, line: Line) -> bool:
        got = self._answered
        return got is not None and (line.measured is got or line.origin is got)
