"""When a model of an upstream is given a rest. Pure: the moment is given with every word.

    closed ── failures in a row, or a share of the last ones ──▶ open, for as long as it asked
    open ── its rest is over and somebody asks ──▶ half-open
    half-open ── the one probe answers ──▶ closed
              └─ the probe fails ──▶ open, for twice as long
              └─ the probe is given up ──▶ half-open, and the next who asks is the probe

A *permit* is the number of the state in which somebody entered. What an attempt reports counts
only while that state lasts: an answer that was begun before an outage does not end the rest, and a
failure from before does not undo a recovery.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from msgspec import Struct

from reshore.config.routing import RoutingConfig
from reshore.errors import CircuitOpen
from reshore.types import Target

State = Literal["closed", "open", "half-open"]

# Outcomes that are remembered at most; within a second or a minute, these are enough for a share.
_MEMORY = 100
_LEAST_REST_S = 1.0
# Models that have failed lately, over all upstreams. Clients choose names, so they are bounded.
_MOST_BREAKERS = 1000
# Entered where nothing had failed: the number of the state in which every breaker begins.
_FRESH = 0


class BreakerState(Struct, frozen=True, kw_only=True):
    """A breaker as people are shown it.

    Attributes:
        failures: of the last `requests`.
        rest_s: until a probe is let through, 0 unless it is open.
    """

    backend: str
    model: str
    state: State
    failures: int
    requests: int
    rest_s: float


class Breaker:
    """The breaker of one model of one upstream. `now_s` is monotonic and never goes back."""

    def __init__(self, config: RoutingConfig) -> None:
        self._config = config
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=_MEMORY)  # when; failed
        self._in_row = 0
        self._epoch = _FRESH
        self._probing = False
        self._rest_s = 0.0
        self._until_s = 0.0
        self.state: State = "closed"

    @property
    def until_s(self) -> float:
        """When the rest is over; it only ever moves on."""
        return self._until_s

    @property
    def failures(self) -> int:
        return sum(failed for _, failed in self._outcomes)

    @property
    def requests(self) -> int:
        return len(self._outcomes)

    @property
    def as_new(self) -> bool:
        """Never opened, and no failure is remembered.

        One that has opened is kept: it knows which permits are from before.
        """
        return self._epoch == _FRESH and not self.failures

    def enter(self, now_s: float) -> int | None:
        """A permit to ask, None while it rests or another one probes."""
        if self.state == "closed":
            return self._epoch
        if self.state == "open":
            if now_s < self._until_s:
                return None
            self.state = "half-open"
        elif self._probing:
            return None
        self._probing = True
        self._epoch += 1
        return self._epoch

    def succeeded(self, permit: int, now_s: float) -> None:
        """Whoever has `permit` was answered."""
        if permit != self._epoch:
            return
        if self.state == "half-open":
            self._close()
        else:
            self._in_row = 0
            self._remember(now_s, failed=False)

    def refused(self, permit: int) -> None:
        """Whoever has `permit` was told that the request is wrong: it lives, no more is known."""
        if permit == self._epoch and self.state == "half-open":
            self._close()

    def failed(self, permit: int, now_s: float, *, wish_s: float = 0.0) -> None:
        """Whoever has `permit` met a failure.

        wish_s: how long the upstream asked to be left alone, 0 if it did not.
        """
        if permit != self._epoch:
            if self.state == "open":
                self._rest_until(now_s, wish_s)
        elif self.state == "half-open":
            self._open(now_s, wish_s)
        else:
            self._remember(now_s, failed=True)
            self._in_row += 1
            if self._has_enough():
                self._open(now_s, wish_s)

    def abandoned(self, permit: int) -> None:
        """Whoever has `permit` gave up before anything was learned."""
        if permit == self._epoch:
            self._probing = False

    def _has_enough(self) -> bool:
        config = self._config
        if self._in_row >= config.breaker_failures:
            return True
        enough = self.requests >= config.breaker_requests
        return enough and self.failures >= config.breaker_ratio * self.requests

    def _remember(self, now_s: float, *, failed: bool) -> None:
        outcomes = self._outcomes
        oldest_s = now_s - self._config.breaker_window_s
        while outcomes and outcomes[0][0] < oldest_s:
            outcomes.popleft()
        if not outcomes:
            self._in_row = 0
        outcomes.append((now_s, failed))

    def _open(self, now_s: float, wish_s: float) -> None:
        config = self._config
        # An upstream that limits a rate knows best when to come back; one that asks for a second
        # and fails again after it does not.
        first_s = max(wish_s, _LEAST_REST_S) if wish_s else config.breaker_rest_s
        self._rest_s = min(config.breaker_rest_max_s, self._rest_s * 2 or first_s)
        self._probing = False
        self._epoch += 1
        self.state = "open"
        self._rest_until(now_s, max(wish_s, self._rest_s))

    def _rest_until(self, now_s: float, rest_s: float) -> None:
        # Never shorter than what was said before, however the words come in (LiteLLM #40130).
        rest_s = min(rest_s, self._config.breaker_rest_max_s)
        self._until_s = max(self._until_s, now_s + rest_s)

    def _close(self) -> None:
        self._epoch += 1
        self._outcomes.clear()
        self._in_row = 0
        self._rest_s = 0.0
        self._probing = False
        self.state = "closed"


class Breakers:
    """One breaker for each upstream and model that has failed lately; the others need none.

    Touched by the event loop's thread alone.
    """

    def __init__(self, config: RoutingConfig) -> None:
        self._config = config
        self._failing: dict[Target, Breaker] = {}

    def enter(self, target: Target, now_s: float) -> int:
        """A permit to ask `target`, to be given back with one of the four words below.

        Raises:
            CircuitOpen: it rests.
        """
        breaker = self._failing.get(target) if self._failing else None
        if breaker is None:
            return _FRESH
        permit = breaker.enter(now_s)
        if permit is None:
            raise _circuit_open(target, breaker, now_s)
        return permit

    def succeeded(self, target: Target, permit: int, now_s: float) -> None:
        """It answered."""
        breaker = self._failing.get(target) if self._failing else None
        if breaker is not None:
            breaker.succeeded(permit, now_s)
            if breaker.as_new:
                del self._failing[target]

    def refused(self, target: Target, permit: int) -> None:
        """It answered that the request is wrong (a 4xx)."""
        breaker = self._failing.get(target) if self._failing else None
        if breaker is not None:
            breaker.refused(permit)

    def failed(self, target: Target, permit: int, now_s: float, *, wish_s: float = 0.0) -> None:
        """It failed. `wish_s`: how long it asked to be left alone, 0 if it did not."""
        if not self._config.breaker_failures:
            return
        breaker = self._failing.get(target)
        if breaker is None:
            if len(self._failing) >= _MOST_BREAKERS:
                del self._failing[next(iter(self._failing))]
            breaker = self._failing[target] = Breaker(self._config)
        breaker.failed(permit, now_s, wish_s=wish_s)

    def abandoned(self, target: Target, permit: int) -> None:
        """Nothing was learned: the attempt was cancelled, or nothing was sent."""
        breaker = self._failing.get(target) if self._failing else None
        if breaker is not None:
            breaker.abandoned(permit)

    def states(self, now_s: float) -> tuple[BreakerState, ...]:
        """All that rest, probe or remember a failure."""
        return tuple(
            BreakerState(
                backend=target.backend,
                model=target.model,
                state=breaker.state,
                failures=breaker.failures,
                requests=breaker.requests,
                rest_s=max(0.0, breaker.until_s - now_s) if breaker.state == "open" else 0.0,
            )
            for target, breaker in self._failing.items()
            if breaker.failures or breaker.state != "closed"
        )


def _circuit_open(target: Target, breaker: Breaker, now_s: float) -> CircuitOpen:
    wait_s = max(1.0, breaker.until_s - now_s)
    what = f"{target.model or 'the model'} of the upstream '{target.backend}'"
    return CircuitOpen(
        f"{what} has failed {breaker.failures} of its last {breaker.requests} requests and is not "
        f"asked for {wait_s:.0f} s; send the request again then, or route the name elsewhere",
        backend=target.backend,
        retry_after_s=wait_s,
    )
