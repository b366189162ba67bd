"""A rollout: when the next step is taken, and when everything goes back. Pure.

    running ── the net win is certainly good enough, long enough ──▶ promoting
    promoting ── the new version is in force ──▶ running, in the next step
    running, in the last step ── the same ──▶ done; fewer requests are compared from then on
    running, paused, promoting ── a guard is certainly broken ──▶ rolled back
    running ── pause ──▶ paused ── resume ──▶ running
    running, paused, promoting ── abort ──▶ aborted
    running, paused, promoting ── somebody else changed the route ──▶ aborted, nothing is due

Evidence comes in one event at a time and is looked at after each: the tests hold at all times at
once (docs/statistics.md). Every step starts with none; only what is known of the other side's
latency is kept.

A rollout decides, and does nothing. What is to be done is `due` until somebody says that it has
been done, and is part of what is written: whoever reads it after a crash does it then. Doing it
twice must be the same as once.

Moments are seconds since the epoch, as they must outlive a restart; a clock that is set back makes
a step longer, never shorter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import zip_longest

from msgspec import Struct

from reshore.errors import RouteError
from reshore.routing.guards import Guard
from reshore.routing.rollout_moves import (
    Evidence,
    Finish,
    Move,
    Promote,
    RollBack,
    Standing,
    State,
)
from reshore.routing.rollout_plan import Plan
from reshore.routing.watches import ErrorWatch, LatencyWatch, PairVerdict, PairWatch, Reading
from reshore.stats.planning import hours, hours_text
from reshore.stats.quantiles import QuantileSequence
from reshore.types import Side

OVER: frozenset[State] = frozenset({"rolled back", "aborted", "done"})

# What can be done instead of what cannot.
_NEXT: dict[State, str] = {
    "running": "it can be paused or aborted",
    "paused": "it can be resumed or aborted",
    "promoting": "it can be aborted, and paused when the next step has begun",
    "rolled back": "start another one when the cause is gone",
    "aborted": "start another one",
    "done": "to go back, roll the routes back",
}


class Step(Struct, kw_only=True):
    """The step under way, and what is known of it.

    Attributes:
        latencies: one for each guard of a time to first token, in their order.
    """

    number: int
    begun_s: float
    pairs: PairWatch
    errors: ErrorWatch | None
    latencies: list[LatencyWatch]


class Rollout(Struct, kw_only=True):
    """One rollout. Belongs to one task; is written and read as it is (msgspec).

    Attributes:
        due: what is to be done; every move makes one version of the routes at most.
        versions: the version that each move has led to, oldest first.
    """

    plan: Plan
    step: Step
    state: State = "running"
    due: Move | None = None
    versions: list[int] = []

    @classmethod
    def start(cls, plan: Plan, now_s: float) -> Rollout:
        """A rollout in its first step.

        Args:
            plan: one that `checked_plan` let pass.
        """
        return cls(plan=plan, step=_step(plan, 0, now_s, []))

    @property
    def share(self) -> float:
        """Percent of the traffic that the new side has now."""
        return 0.0 if self.state in ("rolled back", "aborted") else self._planned_share

    # What happens

    def pair(
        self, verdict: PairVerdict, now_s: float, *, arrived_s: float | None = None
    ) -> Move | None:
        """Both sides answered one request, and were compared from the new side's view.

        Pairs are taken as independent: of one conversation, give one.

        Args:
            arrived_s: when the request arrived; what is older than the step does not count.

        Returns: what is to be done now and was not before.
        """
        if self.state in OVER or self._before_step(arrived_s):
            return None
        self.step.pairs.pair(verdict)
        return None if verdict == "undecided" else self._decide(now_s)

    def answered(
        self,
        side: Side,
        now_s: float,
        *,
        failed: bool,
        ttft_ms: float | None = None,
        arrived_s: float | None = None,
    ) -> Move | None:
        """One side answered a request, a client's or a copy of one.

        Args:
            failed: for a reason of its own; what the client did wrong is no failure.
            ttft_ms: None where it never began, or came whole.
            arrived_s: as in `pair`.

        Returns: as `pair`.
        """
        if self.state in OVER or self._before_step(arrived_s):
            return None
        new = side == self.plan.to
        if self.step.errors is not None:
            self.step.errors.request(new=new, failed=failed)
        if not (failed and ttft_ms is None):
            for latency in self.step.latencies:
                latency.request(ttft_ms, new=new, alpha=self.plan.guard_alpha / 2)
        return self._decide(now_s)

    def tick(self, now_s: float) -> Move | None:
        """Time has passed. Returns what is to be done, also what was due before."""
        return self._decide(now_s) or self.due

    def carried_out(self, version: int, now_s: float) -> None:
        """What was due is in force, as that version of the routes: the one that was there already
        where nothing had to change."""
        due, self.due = self.due, None
        if due is None:
            return
        self.versions = [*self.versions, version]
        if isinstance(due, Promote):
            others = [latency.other for latency in self.step.latencies]
            self.step = _step(self.plan, self.step.number + 1, now_s, others)
            self.state = "running"

    # What people do

    def pause(self) -> None:
        """Take no further step. Evidence still comes in, and a broken guard still rolls back.

        Raises:
            RouteError: it does not run.
        """
        self._only_when("running", "paused")
        self.state = "paused"

    def resume(self) -> None:
        """Go on.

        Raises:
            RouteError: it is not paused.
        """
        self._only_when("paused", "resumed")
        self.state = "running"

    def abort(self, now_s: float, why: str = "aborted") -> RollBack:
        """Give up, and bring back the routes from before.

        Raises:
            RouteError: it is over.
        """
        self._only_when(("running", "paused", "promoting"), "aborted")
        self.state = "aborted"
        move = RollBack(why=why, evidence=self._evidence(now_s))
        self.due = move
        return move

    def abandon(self) -> None:
        """Give up and leave the routes as they are: somebody else has changed them.

        What was due is not due any more. Nothing happens to one that is over.
        """
        self.due = None
        if self.state not in OVER:
            self.state = "aborted"

    def standing(self, now_s: float) -> Standing:
        """How it stands, what is missing, and how long that may take. Some milliseconds."""
        evidence = self._evidence(now_s)
        if self.state in OVER:
            return Standing(state=self.state, evidence=evidence, missing=())
        pairs = self._pairs_to_go()
        rate = evidence.pairs / (evidence.seconds / 3600) if evidence.seconds > 0 else 0.0
        known = evidence.pairs > 0 and math.isfinite(pairs)
        left_s = max(0.0, self.plan.hold_s - evidence.seconds)
        return Standing(
            state=self.state,
            evidence=evidence,
            missing=tuple(self._missing(evidence, pairs, rate)),
            pairs_to_go=math.ceil(pairs) if known else None,
            hours_to_go=max(hours(pairs, rate), left_s / 3600) if known and rate else None,
        )

    # How it is decided

    def _decide(self, now_s: float) -> Move | None:
        if self.state in OVER:
            return None
        broken = self._broken()
        if broken is not None:
            self.state = "rolled back"
            self.due = RollBack(why=f"{broken} is broken", evidence=self._evidence(now_s))
            return self.due
        if self.state != "running" or not self._passed(now_s):
            return None
        evidence = self._evidence(now_s)
        if self.step.number + 1 == len(self.plan.steps):
            self.state = "done"
            self.due = Finish(compared=self.plan.lasting, evidence=evidence)
        else:
            self.state = "promoting"
            share = self.plan.steps[self.step.number + 1]
            self.due = Promote(share=share, evidence=evidence)
        return self.due

    def _broken(self) -> Guard | None:
        """The first guard that is certainly broken. Asked after every event, so by hand."""
        step, alpha = self.step, self.plan.roll_back_alpha
        if step.pairs.worse.certain(alpha):
            return self._guards("net_win")[0]
        if step.errors is not None and step.errors.wager.certain(alpha):
            return self._guards("error_rate")[0]
        for place, latency in enumerate(step.latencies):
            # The other half of its share is for the bound of the other side.
            if latency.wager.certain(alpha / 2):
                return self._guards("ttft")[place]
        return None

    def _passed(self, now_s: float) -> bool:
        step, plan = self.step, self.plan
        return (
            step.pairs.better.certain(plan.promote_alpha)
            and step.pairs.pairs >= plan.min_pairs
            and now_s - step.begun_s >= plan.hold_s
            and not self._looks_broken()
            and not any(any(latency.blind) for latency in step.latencies)
        )

    def _looks_broken(self) -> list[str]:
        """Guards that would be broken if what was seen were the truth: enough to wait, not to go
        back."""
        step = self.step
        seen: list[tuple[Guard, float | None]] = []
        if step.errors is not None:
            seen.append((self._guards("error_rate")[0], step.errors.estimate))
        latencies = zip(self._guards("ttft"), step.latencies, strict=True)
        seen += [(guard, latency.estimate) for guard, latency in latencies]
        return [f"{guard}: {now:.3f} so far" for guard, now in seen if now and now > guard.limit]

    def _unmeasured(self) -> Iterator[str]:
        """Guards of which nothing can be known while everything comes whole: what nobody has
        measured is not kept."""
        sides: tuple[Side, Side] = ("local", "cloud")
        if self.plan.to == "cloud":
            sides = ("cloud", "local")
        for guard, latency in zip(self._guards("ttft"), self.step.latencies, strict=True):
            for side, whole in zip(sides, latency.blind, strict=True):
                if whole:
                    yield (
                        f"{guard} cannot be measured: {whole} answers of the {side} side came "
                        "whole, and no first token was seen; let some clients stream, or abort "
                        "this rollout and start one without the guard"
                    )

    def _readings(self) -> tuple[Reading, ...]:
        latencies = iter(self.step.latencies)
        return tuple(self._reading(guard, latencies) for guard in self.plan.guards)

    def _reading(self, guard: Guard, latencies: Iterator[LatencyWatch]) -> Reading:
        plan, step = self.plan, self.step
        if guard.metric == "net_win":
            return step.pairs.reading(
                str(guard), promote=plan.promote_alpha, roll_back=plan.roll_back_alpha
            )
        if guard.metric == "ttft":
            return next(latencies).reading(str(guard), roll_back=plan.roll_back_alpha / 2)
        assert step.errors is not None
        return step.errors.reading(str(guard), roll_back=plan.roll_back_alpha)

    def _evidence(self, now_s: float) -> Evidence:
        step, pairs = self.step, self.step.pairs
        return Evidence(
            step=step.number,
            share=self._planned_share,
            pairs=pairs.pairs,
            wins=pairs.wins,
            ties=pairs.ties,
            losses=pairs.losses,
            undecided=pairs.undecided,
            seconds=max(0.0, now_s - step.begun_s),
            readings=self._readings(),
        )

    def _pairs_to_go(self) -> float:
        """Decided pairs until the net win is certain and there are enough of them."""
        pairs, plan = self.step.pairs, self.plan
        certain = pairs.better.certain(plan.promote_alpha)
        more = 0.0 if certain else pairs.to_go(plan.promote_alpha)
        return max(float(plan.min_pairs - pairs.pairs), more, 0.0)

    def _missing(self, evidence: Evidence, pairs: float, per_hour: float) -> Iterator[str]:
        plan, step = self.plan, self.step
        if self.state == "paused":
            yield "it is paused"
        if evidence.pairs < plan.min_pairs:
            yield f"{evidence.pairs} of {plan.min_pairs} decided pairs are there"
        if not evidence.pairs and evidence.undecided:
            yield f"none of {evidence.undecided} pairs could be decided by a check or judge"
        elif evidence.pairs and not step.pairs.better.certain(plan.promote_alpha):
            yield _wait_for(plan.margin, pairs, per_hour)
        left_s = plan.hold_s - evidence.seconds
        if left_s > 0:
            yield f"the step lasts another {hours_text(left_s / 3600)} at least"
        for guard in self._looks_broken():
            yield f"{guard}, which is beyond the limit but not certain"
        yield from self._unmeasured()

    def _guards(self, metric: str) -> list[Guard]:
        return [guard for guard in self.plan.guards if guard.metric == metric]

    @property
    def _planned_share(self) -> float:
        return self.plan.steps[self.step.number]

    def _before_step(self, arrived_s: float | None) -> bool:
        return arrived_s is not None and arrived_s < self.step.begun_s

    def _only_when(self, states: State | tuple[State, ...], wish: str) -> None:
        if self.state not in ((states,) if isinstance(states, str) else states):
            raise RouteError(
                f"the rollout of '{self.plan.route}' is {self.state} and cannot be {wish}; "
                f"{_NEXT[self.state]}"
            )


def _step(plan: Plan, number: int, now_s: float, others: list[QuantileSequence]) -> Step:
    """A step of which nothing is known but the latencies of the other side, if they are given."""
    errors = [guard for guard in plan.guards if guard.metric == "error_rate"]
    slow = [guard for guard in plan.guards if guard.metric == "ttft"]
    return Step(
        number=number,
        begun_s=now_s,
        pairs=PairWatch.against(plan.margin),
        errors=ErrorWatch.against(errors[0].limit) if errors else None,
        latencies=[
            LatencyWatch.against(guard.limit, guard.percentile / 100, other)
            for guard, other in zip_longest(slow, others)
        ],
    )


def _wait_for(margin: float, pairs: float, per_hour: float) -> str:
    goal = f"the net win is not certainly above {margin:g}"
    if not math.isfinite(pairs):
        return f"{goal}, and would never be at what was seen so far"
    wait = f", {hours_text(hours(pairs, per_hour))} at this traffic" if per_hour else ""
    return f"{goal}; some {math.ceil(pairs)} more decided pairs{wait}"
