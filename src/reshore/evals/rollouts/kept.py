"""One rollout as it is kept: what was asked, what was there before, and how far it is. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from reshore.config import RouteConfig
from reshore.routing.policy import Route
from reshore.routing.rollout import OVER, Rollout
from reshore.routing.rollout_moves import Evidence, Finish, Promote, RollBack
from reshore.routing.routes import read_routes
from reshore.routing.snapshot import Note, Snapshot, route_entry
from reshore.routing.stepping import finished, stepped

AUTHOR = "rollout"


class Kept(Struct, kw_only=True):
    """A rollout with what must outlive the process. Belongs to one task, as `Rollout` does.

    Attributes:
        number: of this RESHORE_HOME's rollouts.
        author, why: who asked for it, and the reason that was given.
        base: what was done with the name's traffic before.
        before: the route that was set for the pattern, None where none was: what is brought back.
        begun: the version that put its first step into force, 0 until then.
        note: what led to the state it is in, "" where that tells by itself.
        since_s: when it came into this state.
        conversations: those of which a pair counted in this step.
    """

    number: int
    author: str
    why: str
    asked_s: float
    base: RouteConfig
    before: RouteConfig | None
    rollout: Rollout
    begun: int = 0
    note: str = ""
    since_s: float = 0.0
    conversations: set[str] = msgspec.field(default_factory=set)

    @property
    def pattern(self) -> str:
        """The pattern of its route."""
        return self.rollout.plan.route

    @property
    def over(self) -> bool:
        """Whether it is over, and nothing is left to be done."""
        return self.rollout.state in OVER and self.rollout.due is None

    @property
    def version(self) -> int:
        """The version of the routes that its step began with."""
        return self.rollout.versions[-1] if self.rollout.versions else self.begun

    def goal(self) -> Route | None:
        """What its route is to be now; None: not there."""
        due, step = self.rollout.due, self.rollout.step.number
        if isinstance(due, RollBack):
            return self.restored()
        if isinstance(due, Finish):
            return self.finished()
        return self.at_step(step + 1 if isinstance(due, Promote) else step)

    def restored(self) -> Route | None:
        """What its route was before, None where there was none."""
        return None if self.before is None else _route(self.pattern, self.before)

    def at_step(self, step: int) -> Route:
        """What its route is in a step."""
        plan = self.rollout.plan
        return stepped(_route(self.pattern, self.base), plan, plan.steps[step])

    def finished(self) -> Route:
        """What its route is once it is done."""
        return finished(_route(self.pattern, self.base), self.rollout.plan)

    def is_ours(self, snapshot: Snapshot) -> bool:
        """Whether the route is what this rollout has made of it, as far as that may have come.

        Anything else was done by somebody else.
        """
        found = snapshot.route(self.pattern)
        entry = None if found is None else route_entry(found)
        return any(entry == mine for mine in self._ours())

    def concern(self, snapshot: Snapshot) -> str:
        """What a change of the routes means for it, "" for nothing."""
        what = f"rollout {self.number} of '{self.pattern}'"
        if not self.is_ours(snapshot):
            return f"{what} gives way to this: it is aborted, and leaves the route as it is now"
        if snapshot.override and self.rollout.state != "paused":
            return f"{what} is paused while the panic switch is on"
        return ""

    def signed(self) -> Note:
        """What the history is to remember of the move that is due, or of the beginning."""
        due = self.rollout.due
        if due is None:
            by = f" by {self.author}" if self.author else ""
            reason = f"rollout {self.number} begun{by}" + (f": {self.why}" if self.why else "")
            return Note(author=AUTHOR, reason=reason, evidence=self._told(None))
        return Note(author=AUTHOR, reason=str(due), evidence=self._told(due.evidence))

    def _ours(self) -> list[RouteConfig | None]:
        step, last = self.rollout.step.number, len(self.rollout.plan.steps) - 1
        ours: list[RouteConfig | None] = [route_entry(self.at_step(step))]
        if self.rollout.due is not None and step < last:
            # A promotion that was in force before anybody could say so.
            ours.append(route_entry(self.at_step(step + 1)))
        if isinstance(self.rollout.due, Finish):
            ours.append(route_entry(self.finished()))
        if not self.begun or isinstance(self.rollout.due, RollBack):
            ours.append(self.before)
        return ours

    def _told(self, evidence: Evidence | None) -> dict[str, Any]:
        found = {} if evidence is None else msgspec.to_builtins(evidence)
        return {"rollout": self.number, **found}


def _route(pattern: str, entry: RouteConfig) -> Route:
    return read_routes({pattern: entry})[0]
