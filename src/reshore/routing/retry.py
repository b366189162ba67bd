"""Whether and when the same target is tried again. Pure: chance and time are given."""

from __future__ import annotations

from collections.abc import Callable

from reshore.config.routing import RoutingConfig
from reshore.errors import BackendError, Crashed, Overloaded, ReshoreError, UpstreamStatus
from reshore.types import Target

# Retries that are there before any request has paid for them, so that a quiet server can retry.
_RESERVE = 10.0
# A crashed engine is started anew for the next request; one that crashes again on the same request
# is likely to crash on it for ever.
_CRASH_RETRIES = 1
# Where another target is waiting, no upstream's Retry-After beyond this is sat out.
_IMPATIENT_S = 1.0


class Budget:
    """A token bucket: a request pays in a share, a retry takes one out.

    However many requests fail, retries stay that share of them (and the reserve), so that an
    outage is not made worse by those who wait for its end. Google's SRE book, "Handling
    Overload", takes 10 %; Finagle's `RetryBudget` 20 %.
    """

    def __init__(self, share: float, reserve: float = _RESERVE) -> None:
        self._share = share
        self._most = reserve
        self._tokens = reserve if share else 0.0

    def pay_in(self) -> None:
        """A request is made."""
        self._tokens = min(self._most, self._tokens + self._share)

    def take(self) -> bool:
        """Whether a retry may be made; it is paid for when it may."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Retries:
    """The rules of retrying, with a budget for each backend.

    Touched by the event loop's thread alone.

    Args:
        config: the bounds.
        chance: a number in 0..1, another one each time.
    """

    def __init__(self, config: RoutingConfig, chance: Callable[[], float]) -> None:
        self._config = config
        self._chance = chance
        self._budgets: dict[str, Budget] = {}

    def request(self, backend: str) -> None:
        """A request, no retry, is made of `backend`."""
        budget = self._budgets.get(backend)
        if budget is None:
            budget = self._budgets[backend] = Budget(self._config.retry_budget)
        budget.pay_in()

    def pause_s(
        self, target: Target, error: ReshoreError, *, tried: int, elapsed_s: float, patient: bool
    ) -> float | None:
        """How long to wait before `target` is tried again; None: not at all.

        Backoff is exponential with full jitter: any moment between now and the bound is as likely
        as any other, which spreads those who failed together the furthest (Brooker, "Exponential
        Backoff and Jitter", AWS, 2015). What an upstream asks for (`Retry-After`) is kept, and
        jitter comes on top.

        Args:
            error: what came of the last try, before anything was answered.
            tried: retries so far.
            elapsed_s: since the first try began.
            patient: False where another target can be asked instead.
        """
        if tried >= self._most_retries(target, error):
            return None
        pause_s = self._wish_s(error, tried, patient)
        if pause_s is None or elapsed_s + pause_s > self._config.retry_total_s:
            return None
        budget = self._budgets.get(target.backend)
        return pause_s if budget is not None and budget.take() else None

    def _most_retries(self, target: Target, error: ReshoreError) -> int:
        if isinstance(error, Crashed):
            return min(_CRASH_RETRIES, self._config.retries)
        # All keys of an upstream rest. Of our own engine: the queue is full, and who waits outside
        # of it would make it longer.
        if isinstance(error, Overloaded) and target.side == "cloud":
            return self._config.retries
        if isinstance(error, BackendError) and error.retryable:
            return self._config.retries
        return 0

    def _wish_s(self, error: ReshoreError, tried: int, patient: bool) -> float | None:
        config = self._config
        if isinstance(error, Crashed):
            return 0.0
        asked_s = error.retry_after_s if isinstance(error, UpstreamStatus | Overloaded) else None
        if asked_s is None:
            return self._chance() * min(config.retry_cap_s, config.retry_base_s * 2.0**tried)
        bound_s = config.retry_after_max_s if patient else _IMPATIENT_S
        return None if asked_s > bound_s else asked_s + self._chance() * config.retry_base_s
