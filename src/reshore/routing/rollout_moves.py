"""What a rollout can decide, and what it says of itself. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from reshore.routing.watches import Reading

State = Literal["running", "paused", "promoting", "rolled back", "aborted", "done"]


class Evidence(Struct, frozen=True, kw_only=True):
    """What a decision rests on; belongs to the version of the routes that it makes.

    Attributes:
        share: percent of the traffic that the new side had.
        undecided: pairs that nothing could decide; they count for nothing.
        seconds: since the step began.
    """

    step: int
    share: float
    pairs: int
    wins: int
    ties: int
    losses: int
    undecided: int
    seconds: float
    readings: tuple[Reading, ...]

    def __str__(self) -> str:
        counts = f"{self.wins} wins, {self.ties} ties, {self.losses} losses"
        return f"at {self.share:g} %: {counts}; {'; '.join(map(str, self.readings))}"


class Promote(Struct, frozen=True, kw_only=True, tag=True):
    """Give the new side `share` percent."""

    share: float
    evidence: Evidence

    def __str__(self) -> str:
        return f"promoted to {self.share:g} %; {self.evidence}"


class Finish(Struct, frozen=True, kw_only=True, tag=True):
    """The last step is passed; its share stays, and `compared` (0..1) of the requests go on being
    answered by both sides."""

    compared: float
    evidence: Evidence

    @property
    def why(self) -> str:
        """What comes after it."""
        return f"{self.compared * 100:g} % of the requests go on being compared"

    def __str__(self) -> str:
        return f"done, {self.why}; {self.evidence}"


class RollBack(Struct, frozen=True, kw_only=True, tag=True):
    """Bring back the routes from before the rollout. `why`: the broken guard, or who wished it."""

    why: str
    evidence: Evidence

    def __str__(self) -> str:
        return f"rolled back, {self.why}; {self.evidence}"


Move = Promote | Finish | RollBack


class Standing(Struct, frozen=True, kw_only=True):
    """A rollout as people are shown it.

    Attributes:
        missing: what the next step waits for, a sentence each.
        pairs_to_go: decided pairs until it can be taken, if they go on as in this step; None if
            that would be never, or nothing is known yet.
        hours_to_go: the same in hours, at the traffic of this step.
    """

    state: State
    evidence: Evidence
    missing: tuple[str, ...]
    pairs_to_go: int | None = None
    hours_to_go: float | None = None
