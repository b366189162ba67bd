"""Evaluation of live traffic: gets answers of copies, and tells what is known of the routes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Literal, Protocol, Self

from msgspec.structs import replace

from reshore.clock import Clock
from reshore.config.evaluation import EvaluationConfig
from reshore.config.keys import did_you_mean
from reshore.errors import ConfigError, RouteNotFound
from reshore.evals.answered import BESIDE, telling
from reshore.evals.deciding import Decider, Deciders
from reshore.evals.live.book import Book
from reshore.evals.live.evidence import Evidence, watching
from reshore.evals.live.keeping import Keeping
from reshore.evals.live.pairing import Contest, contest_of, paired_of, texts_of
from reshore.evals.live.worker import Worker
from reshore.evals.scoring import STRUCTURAL
from reshore.ledger.entry import PairTexts
from reshore.routing.journal import CANCELLED
from reshore.routing.paired import Paired
from reshore.routing.shadow import ShadowResult
from reshore.routing.watches import PairVerdict
from reshore.types import Attempt, Outcome

log = logging.getLogger("reshore.evaluation")

# Checks that decide pairs without an expected answer.
CHECKS = (*STRUCTURAL, "agreement", "same text")

# Why an answered copy made no pair, besides `worker.Dropped`: both answers are of one side; the
# client's was begun by one model and ended by another; it is no chat.
NoPair = Literal["one side", "mixed", "no chat"]


class PairLedger(Protocol):
    """Keeps pairs (`ledger.ledger.Ledger`)."""

    def wants_texts(self, request_id: str) -> bool: ...

    def record_pair(
        self, paired: Paired, *, key: str | None = None, texts: PairTexts | None = None
    ) -> None: ...


class Evaluation:
    """Compares what both sides answered, off every request's path.

    One for the server, an async context manager for its lifespan: entering reads what an earlier
    process knew, leaving drops what is not compared yet and writes what is known. Its state belongs
    to the event loop's thread. It is one of the keepers that are told of outcomes.

    Args:
        decider: says which of two answers is better.
        deciders: what else than checks can compare two models: a judge, a program of the user's.
        judged: how often the judge ruled: `verdict`, or why it gave none.

    Attributes:
        on_pair: are told of each pair, repeated and undecided ones included, at once; whoever
            raises something keeps nobody else from being told.
        counted: pairs since the start, by route and verdict.
        judged: as it was given.

    Raises:
        ConfigError: `sufficient` names no check.
    """

    def __init__(
        self,
        config: EvaluationConfig,
        *,
        keeping: Keeping,
        clock: Clock,
        ledger: PairLedger,
        decider: Decider,
        deciders: Callable[[Collection[str]], Deciders] = lambda _: Deciders(),
        judged: Callable[[], dict[str, int]] = dict,
    ) -> None:
        _check(config.sufficient)
        self.on_pair: list[Callable[[Paired], None]] = []
        self.counted: Counter[tuple[str, PairVerdict]] = Counter()
        self._config = config
        self._clock = clock
        self._ledger = ledger
        self._decider = decider
        self._deciders = deciders
        self.judged = judged
        self._book = Book(keeping, clock)
        self._no_pair: Counter[NoPair] = Counter()
        self._worker = Worker(
            self._compare,
            concurrency=config.concurrency,
            most=config.queue,
            most_bytes=config.queue_bytes,
        )

    async def __aenter__(self) -> Self:
        await self._book.load()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._worker.aclose()
        await self._book.aclose()

    # What it is told

    def offer(self, result: ShadowResult) -> None:
        """A copy was answered, or failed. Returns at once."""
        if result.attempt.error == CANCELLED:
            return  # nobody knows what would have come; the shadow worker has counted it
        first = result.sample.said
        if first is None:
            self._no_pair["mixed"] += 1
        elif first.target.side == result.attempt.target.side:
            self._no_pair["one side"] += 1
        else:
            said = result.said.size if result.said else 0
            self._worker.offer(result, result.sample.held_bytes + said)

    def record(self, outcome: Outcome) -> None:
        """A request ended: how the sides did that were asked, where its route is evaluated."""
        decision = outcome.decision
        evidence = self._book.latest(decision.route) if decision else None
        if evidence is None:
            return
        tries = [attempt for attempt in outcome.attempts if attempt.role not in BESIDE]
        for side, watch in evidence.sides.items():
            told = telling([one for one in tries if evidence.side_of(one.target) == side])
            if told is not None:
                watch.tried(told)
                self._book.touch(evidence)

    def record_late(self, request_id: str, attempt: Attempt, *, asked: str = "") -> None:
        """An attempt that no client waited for: those of copies come by `offer`, with their
        routes."""

    def accept(self, route: str, net_win: float) -> None:
        """The route was found good enough at this level: from now on, less is drift.

        Args:
            net_win: above -1 and below 1.

        Raises:
            RouteNotFound: no pair of this route was ever compared.
        """
        evidence = self._book.latest(route)
        if evidence is None:
            raise _unknown(route)
        evidence.drift = watching(net_win, self._config.run_length)
        self._book.touch(evidence)

    def reset(self, route: str) -> None:
        """Forget what is known of a route, drift included: its models are others now, or were
        mended.

        Raises:
            RouteNotFound: nothing is known of it.
        """
        if not self._book.forget(route):
            raise _unknown(route)

    # What it is asked

    def copies(self, route: str | None = None) -> list[Evidence]:
        """What is known of all routes, or of one, at this moment: for other threads, say.

        By route; the models that were compared last first.
        """
        return [each.copy() for each in self._book.all() if route in (None, each.route)]

    def latest(self) -> list[Evidence]:
        """Of each route, the models that were compared last. To be looked at and not kept."""
        return self._book.current()

    def dropped(self) -> dict[str, int]:
        """Answered copies that made no pair, by reason, since the start."""
        reasons = (*self._worker.dropped.items(), *self._no_pair.items())
        return {str(reason): count for reason, count in reasons}

    def deciders(self, models: Collection[str]) -> Deciders:
        """What can say which of these models' answers is better.

        Structural checks find answers that nobody wants, and agreement finds ties; none of them
        tells a good answer from a well-formed wrong one. So these are a judge or the user's own
        function where there is one, and the checks that the user has named as `sufficient`.
        """
        found = self._deciders(models)
        return replace(found, names=(*found.names, *self._config.sufficient))

    # What it does

    async def _compare(self, result: ShadowResult) -> None:
        question, first = result.call.question(), result.sample.said
        if question is None or first is None:
            self._no_pair["no chat"] += 1
            return
        contest = contest_of(question, first, result)
        paired = await paired_of(contest, result, self._decider)
        self._take(paired, contest, result)

    def _take(self, paired: Paired, contest: Contest, result: ShadowResult) -> None:
        wanted = self._ledger.wants_texts(paired.request_id)
        texts = texts_of(contest) if wanted else None
        self._ledger.record_pair(paired, key=result.sample.key, texts=texts)
        self.counted[paired.route, paired.verdict] += 1
        self._learn(paired, result.attempt)
        for tell in self.on_pair:
            try:
                tell(paired)
            except Exception:
                log.exception("a pair was not taken", extra={"request_id": paired.request_id})

    def _learn(self, paired: Paired, copy: Attempt) -> None:
        evidence = self._book.open(paired.route, paired.local, paired.cloud)
        evidence.sides[copy.target.side].tried(copy)
        counts = evidence.pair(paired)
        if counts and paired.answered == "local":
            self._watch(evidence, paired.verdict)
        self._book.touch(evidence)

    def _watch(self, evidence: Evidence, verdict: PairVerdict) -> None:
        if evidence.drift is None:
            evidence.drift = watching(self._config.net_win, self._config.run_length)
        if evidence.drift.pair(verdict, self._clock.wall()):
            log.warning(
                "drift: the answers of %s to '%s' have become worse than a net win of %+g "
                "against %s; see `reshore evaluation %s`, and go back with `reshore rollback`",
                evidence.local.model,
                evidence.route,
                evidence.drift.level,
                evidence.cloud.model,
                evidence.route,
            )


def _check(sufficient: tuple[str, ...]) -> None:
    for name in sufficient:
        if name not in CHECKS:
            hint = did_you_mean(name, CHECKS)
            raise ConfigError(
                f"evaluation.sufficient: '{name}' is no check; they are {', '.join(CHECKS)}.{hint}"
            )


def _unknown(route: str) -> RouteNotFound:
    return RouteNotFound(
        f"no pair of the route '{route}' was compared yet; `reshore evaluation` lists those of "
        "which something is known"
    )
