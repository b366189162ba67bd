"""What operators ask of rollouts and are told, in the forms that JSON has. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from reshore.errors import RouteError
from reshore.evals.rollouts.kept import Kept
from reshore.routing.guards import DEFAULT_GUARDS, parse_guard
from reshore.routing.rollout import OVER
from reshore.routing.rollout_moves import Evidence, State
from reshore.routing.rollout_plan import DEFAULT_STEPS, Plan
from reshore.types import Side


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What everything that is asked of a rollout may say.

    Attributes:
        why: the reason, for the history.
        author: who asks for it.
    """

    why: str = ""
    author: str = ""

    def said(self) -> str:
        """Both, as a part of a sentence."""
        by = f" by {self.author}" if self.author else ""
        return by + (f": {self.why}" if self.why else "")


class StartRollout(Wish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rollout to be started; the fields are those of `Plan`, guards as text.

    Attributes:
        to: `local` or `cloud`.
        model: of the new side: a model here, or `upstream/model`; "" for what the route has.
        if_version: start nothing unless this version of the routes is in force.
    """

    route: str
    to: Side = "local"
    model: str = ""
    steps: tuple[float, ...] = DEFAULT_STEPS
    guards: tuple[str, ...] = tuple(map(str, DEFAULT_GUARDS))
    min_pairs: int = 200
    hold_s: float = 600.0
    compared: float = 0.05
    alpha: float = 0.05
    if_version: int | None = None

    def plan(self) -> Plan:
        """The plan; whether it can work is for `checked_plan`.

        Raises:
            RouteError: a guard cannot be read.
        """
        if not self.route:
            raise RouteError("a rollout needs the name that clients send, or a glob of names")
        return Plan(
            route=self.route,
            to=self.to,
            steps=self.steps,
            guards=tuple(map(parse_guard, self.guards)),
            min_pairs=self.min_pairs,
            hold_s=self.hold_s,
            compared=self.compared,
            alpha=self.alpha,
        )


class Brief(Struct, frozen=True, kw_only=True):
    """A rollout in one line.

    Attributes:
        share: percent of the traffic that the new side has now.
        step: which one, counted from 1.
        note: what led to its state, "" where that tells by itself.
        since_s: when it came into this state.
    """

    number: int
    route: str
    to: Side
    state: State
    share: float
    step: int
    steps: int
    since_s: float
    note: str

    @property
    def over(self) -> bool:
        """Whether nothing can come of it any more."""
        return self.state in OVER


class Shown(Struct, frozen=True, kw_only=True):
    """Everything that is known of a rollout.

    Attributes:
        began: the version of the routes that began it.
        versions: those that each move has led to, oldest first.
        due: what is decided and not in force yet, as its history will have it; "" for nothing.
        missing: what the next step waits for, a sentence each.
        pairs_to_go, hours_to_go: a forecast, as in `Standing`.
    """

    number: int
    route: str
    to: Side
    state: State
    share: float
    step: int
    steps: list[float]
    guards: list[str]
    min_pairs: int
    hold_s: float
    compared: float
    alpha: float
    author: str
    why: str
    note: str
    asked_s: float
    since_s: float
    began: int
    versions: list[int]
    due: str
    evidence: Evidence
    missing: list[str]
    pairs_to_go: int | None
    hours_to_go: float | None


class Event(Struct, frozen=True, kw_only=True):
    """Something has happened to a rollout: what the log and a webhook are told.

    Attributes:
        event: started, promoted, done, rolled back, paused, resumed, aborted, held up.
        version: of the routes in force.
        why: what led to it.
        net_win: the least one that the new side is held to.
        evidence: what was decided on, None where a person did.
    """

    event: str
    rollout: int
    route: str
    to: Side
    state: State
    share: float
    version: int
    why: str
    time_s: float
    net_win: float
    evidence: dict[str, Any] | None = None


class Gauge(Struct, frozen=True, kw_only=True):
    """A rollout as metrics show it.

    Attributes:
        pairs: of the step, decided ones.
        net_win: of them; None without any.
    """

    route: str
    state: State
    share: float
    pairs: int
    net_win: float | None


def gauge(kept: Kept) -> Gauge:
    """As metrics show it."""
    pairs, rollout = kept.rollout.step.pairs, kept.rollout
    return Gauge(
        route=kept.pattern,
        state=rollout.state,
        share=rollout.share,
        pairs=pairs.pairs,
        net_win=(pairs.wins - pairs.losses) / pairs.pairs if pairs.pairs else None,
    )


def brief(kept: Kept) -> Brief:
    """In one line."""
    rollout = kept.rollout
    return Brief(
        number=kept.number,
        route=kept.pattern,
        to=rollout.plan.to,
        state=rollout.state,
        share=rollout.share,
        step=rollout.step.number + 1,
        steps=len(rollout.plan.steps),
        since_s=kept.since_s,
        note=kept.note,
    )


def shown(kept: Kept, now_s: float) -> Shown:
    """All of it. Some milliseconds."""
    rollout, plan = kept.rollout, kept.rollout.plan
    standing = rollout.standing(kept.since_s if rollout.state in OVER else now_s)
    return Shown(
        number=kept.number,
        route=kept.pattern,
        to=plan.to,
        state=rollout.state,
        share=rollout.share,
        step=rollout.step.number + 1,
        steps=list(plan.steps),
        guards=[str(guard) for guard in plan.guards],
        min_pairs=plan.min_pairs,
        hold_s=plan.hold_s,
        compared=plan.compared,
        alpha=plan.alpha,
        author=kept.author,
        why=kept.why,
        note=kept.note,
        asked_s=kept.asked_s,
        since_s=kept.since_s,
        began=kept.begun,
        versions=list(rollout.versions),
        due="" if rollout.due is None else str(rollout.due),
        evidence=standing.evidence,
        missing=list(standing.missing),
        pairs_to_go=standing.pairs_to_go,
        hours_to_go=standing.hours_to_go,
    )


def event(kept: Kept, what: str, now_s: float, *, version: int, evidence: Evidence | None) -> Event:
    """An event of a rollout, with what led to it."""
    rollout = kept.rollout
    return Event(
        event=what,
        rollout=kept.number,
        route=kept.pattern,
        to=rollout.plan.to,
        state=rollout.state,
        share=rollout.share,
        version=version,
        why=kept.why if what == "started" else kept.note,
        time_s=now_s,
        net_win=rollout.plan.margin,
        evidence=None if evidence is None else msgspec.to_builtins(evidence),
    )
