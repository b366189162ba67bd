"""How `reshore route train` and `evaluate` print."""

from __future__ import annotations

from msgspec import Struct

from reshore.cli.output import note, print_json, print_table
from reshore.evals.gathering import Gathered, Reason
from reshore.evals.off_policy import Estimate, Evaluation
from reshore.routing.learned import Calibration
from reshore.routing.operating import Change

_TITLES = ("ROUTER", "QUALITY", "OF THE CLOUD'S", "TO THE CLOUD")


class Evaluated(Struct, frozen=True, kw_only=True):
    """What a router is worth.

    Attributes:
        local, cloud: the models whose pairs these are.
        left_out: pairs that could not be used, by the reason.
        outside: share of the evaluation's requests that are unlike the training of the router.
    """

    router: str
    local: str
    cloud: str
    left_out: dict[Reason, int]
    outside: float
    evaluation: Evaluation


class Trained(Struct, frozen=True, kw_only=True):
    """What came of a training.

    Attributes:
        pairs: for training and threshold; those of the evaluation are others.
        outside: as `Evaluated` has it.
        evaluation: None where there are too few pairs for one.
        change: of the routes; None where the router was not put live.
    """

    router: str
    local: str
    cloud: str
    pairs: int
    left_out: dict[Reason, int]
    calibration: Calibration | None
    outside: float
    evaluation: Evaluation | None
    change: Change | None = None

    def __str__(self) -> str:
        """One line, for the history."""
        return f"router {self.router}" + (f", {_worth(self)}" if self.evaluation else "")


def note_gathered(gathered: Gathered) -> None:
    """Whose pairs these are, and what is not among them."""
    if gathered.examples:
        note(f"{len(gathered.examples)} pairs of {gathered.local} and {gathered.cloud}")
    if gathered.left_out:
        reasons = (f"{count} {reason}" for reason, count in gathered.left_out.items())
        note(f"left out: {', '.join(reasons)}")


def print_trained(trained: Trained, as_json: bool) -> None:
    """The name that a router got, its threshold, and what it is worth."""
    if as_json:
        print_json(trained)
        return
    print(f"{trained.router}: trained on {trained.pairs} pairs, {_threshold(trained.calibration)}")
    if trained.evaluation is not None:
        _print_evaluation(trained.evaluation, trained.outside)
    if trained.change is None:
        return
    for line in trained.change.changes:
        print(line)
    for warning in trained.change.warnings:
        note(f"warning: {warning}")
    back = f"reshore rollback {trained.change.before}"
    note(f"version {trained.change.version} is in force; `{back}` takes it back")


def print_evaluated(evaluated: Evaluated, as_json: bool) -> None:
    """What a router is worth, beside others."""
    if as_json:
        print_json(evaluated)
    else:
        _print_evaluation(evaluated.evaluation, evaluated.outside)


def _print_evaluation(evaluation: Evaluation, outside: float) -> None:
    print_table(
        _TITLES,
        (
            (worth.router, str(worth.quality), str(worth.kept), str(worth.cloud))
            for worth in evaluation.routers
        ),
    )
    difference = evaluation.difference
    if difference is not None:
        quality, cloud = _signed(difference.quality), _signed(difference.cloud)
        print(f"against the route now: quality {quality}, to the cloud {cloud}")
    note(
        f"on {evaluation.pairs} pairs of {evaluation.conversations} conversations, worth "
        f"{evaluation.effective:.0f} of equal weight; intervals of 95 %"
    )
    note(f"{outside:.1%} of them are unlike the training, where the router does not decide")


def _signed(estimate: Estimate) -> str:
    low, high = estimate.interval.low, estimate.interval.high
    return f"{estimate.value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _threshold(calibration: Calibration | None) -> str:
    if calibration is None:
        return "threshold 0.50 (no --goal)"
    said = (
        f"threshold {calibration.threshold:.2f} for {calibration.target}, "
        f"{calibration.confidence:.0%} sure"
    )
    pairs, conversations = calibration.pairs, calibration.conversations
    if conversations is not None and conversations < pairs:
        said += f", on {pairs} pairs of {conversations} conversations"
    return said


def _worth(trained: Trained) -> str:
    evaluation = trained.evaluation
    assert evaluation is not None
    own = next(each for each in evaluation.routers if each.router == trained.router)
    return (
        f"quality {own.kept} of the cloud's with {own.cloud} to the cloud, on "
        f"{evaluation.pairs} pairs"
    )
