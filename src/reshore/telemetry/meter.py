"""From outcomes to numbers: the one place where metrics are fed."""

from __future__ import annotations

from collections.abc import Iterable

from reshore.errors import UpstreamStatus
from reshore.telemetry import metrics
from reshore.telemetry.gauges import Gauges
from reshore.telemetry.labels import NONE, Bounded, Endpoints, ModelNames
from reshore.telemetry.series import OTHER, Counts, Observations, Reading
from reshore.types import Attempt, Outcome, Target, Timings, Usage


class Meter:
    """Counts and measures requests. Belongs to the event loop's thread; it never waits or fails.

    Args:
        endpoints: label of a path.
        backends: `local` and the upstreams.
        models: label of a model on a side.
        gauges: what is asked when metrics are read.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        backends: Iterable[str],
        models: ModelNames,
        gauges: Gauges,
    ) -> None:
        self._endpoint = endpoints
        self._backends = frozenset(backends)
        self._model = models
        self._gauges = gauges
        self._status = Bounded()
        self._route = Bounded()
        self._error = Bounded()
        self._requests = Counts(metrics.REQUESTS)
        self._request_errors = Counts(metrics.REQUEST_ERRORS)
        self._request_duration = Observations(metrics.REQUEST_DURATION)
        self._first_token = Observations(metrics.FIRST_TOKEN)
        self._per_token = Observations(metrics.PER_TOKEN)
        self._decisions = Counts(metrics.DECISIONS)
        self._attempts = Counts(metrics.ATTEMPTS)
        self._attempt_duration = Observations(metrics.ATTEMPT_DURATION)
        self._tokens = Counts(metrics.TOKENS)
        self._engine_time = Counts(metrics.ENGINE_TIME)

    def record(self, outcome: Outcome) -> None:
        """A request ended."""
        endpoint = self._endpoint(outcome.path)
        error = _error(outcome.error, outcome.status)
        side, backend = NONE, NONE
        shown: Attempt | None = None  # the one that answered, or the last that tried
        for attempt in outcome.attempts:
            self._tried(attempt)
            if shown is None or not shown.answered:
                shown = attempt
        if shown is not None:
            side, backend = shown.target.side, self._backend(shown.target.backend)
        if (decision := outcome.decision) is not None:
            route = self._route(decision.route) if decision.route else NONE
            self._decisions.add((route, decision.side))
        self._requests.add((endpoint, side, backend, self._status(str(outcome.status))))
        if error is not None:
            self._request_errors.add((endpoint, self._error(error)))
        elif shown is not None and shown.answered:
            self._completed(outcome, shown.target, endpoint, backend)

    def record_late(self, request_id: str, attempt: Attempt, *, asked: str = "") -> None:
        """An attempt ended that no client waited for. The arguments are those of the ledger's."""
        self._tried(attempt)

    def read(self) -> list[Reading]:
        """All metrics as they are now."""
        return [
            self._requests.read(),
            self._request_errors.read(),
            self._request_duration.read(),
            self._first_token.read(),
            self._per_token.read(),
            self._decisions.read(),
            self._attempts.read(),
            self._attempt_duration.read(),
            self._tokens.read(),
            self._engine_time.read(),
            *self._gauges.read(
                local=lambda model: self._model("local", model),
                upstream=lambda name, model: (self._backend(name), self._model("cloud", model)),
            ),
        ]

    def _completed(self, outcome: Outcome, target: Target, endpoint: str, backend: str) -> None:
        model = self._model(target.side, target.model)
        self._request_duration.add((endpoint, backend, model), outcome.total_ms / 1000)
        usage, first_ms, per_token_ms = outcome.usage, outcome.ttft_ms, outcome.tpot_ms
        if first_ms is not None and usage is not None and usage.completion_tokens:
            self._first_token.add((backend, model), first_ms / 1000)
        if per_token_ms is not None:
            self._per_token.add((backend, model), per_token_ms / 1000)

    def _tried(self, attempt: Attempt) -> None:
        target, role = attempt.target, attempt.role
        error = _error(attempt.error, attempt.status)
        backend, model = self._backend(target.backend), self._model(target.side, target.model)
        self._attempts.add((role, target.side, backend, self._error(error) if error else NONE))
        if error is None:
            self._attempt_duration.add((role, backend, model), attempt.total_ms / 1000)
        if attempt.usage is not None:
            self._used(attempt.usage, (role, backend, model))
        if attempt.timings is not None and target.side == "local":
            self._spent(attempt.timings, model)

    def _used(self, usage: Usage, labels: tuple[str, str, str]) -> None:
        tokens = self._tokens
        tokens.add(("prompt", *labels), usage.prompt_tokens)
        if usage.completion_tokens:
            tokens.add(("completion", *labels), usage.completion_tokens)
        if usage.cached_tokens:
            tokens.add(("cached", *labels), usage.cached_tokens)
        if usage.reasoning_tokens:
            tokens.add(("reasoning", *labels), usage.reasoning_tokens)

    def _spent(self, timings: Timings, model: str) -> None:
        time = self._engine_time
        if timings.load_ms:
            time.add(("load", model), timings.load_ms / 1000)
        time.add(("prefill", model), timings.prefill_ms / 1000)
        time.add(("decode", model), timings.decode_ms / 1000)

    def _backend(self, backend: str) -> str:
        return backend if backend in self._backends else OTHER


def _error(error: str | None, status: int | None) -> str | None:
    """What went wrong. A refusal of an upstream that is forwarded as it came is no error to us."""
    if error is None and status is not None and status >= 400:
        return UpstreamStatus.__name__
    return error
