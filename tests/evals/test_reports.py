"""Reports of `reshore compare` as pairs."""

from __future__ import annotations

from typing import Any

import pytest

from reshore.evals.compare.answers import Answer
from reshore.evals.compare.report import Item, Report
from reshore.evals.gathering import Record, gather
from reshore.evals.reports import records
from reshore.evals.scoring import Compared, Judged, Result
from reshore.types import Target

LOCAL, CLOUD = "local:llama3.2", "cloud:openai/gpt-4o"
NOBODY = Judged(good=None)


def item(
    *targets: str, results: tuple[Result, ...] = ("win",), judged: Any = NOBODY, **changes: Any
) -> Item:
    answers = tuple(
        Answer(key=f"key of {target}", target=target, by=target, text=f"by {target}", wall_s=7.0)
        for target in targets
    )
    fields: dict[str, Any] = {
        "id": "1",
        "prompt": "Prove it.",
        "body": {"messages": [{"role": "user", "content": "Prove it."}]},
        "answers": answers,
        "judged": judged if isinstance(judged, tuple) else (judged,) * len(targets),
        "compared": tuple(Compared(result=result, by="judge") for result in results),
    }
    return Item(**fields | changes)


def report(*items: Item) -> Report:
    return Report(
        made_s=0.0,
        source="",
        targets=(),
        margin=0.05,
        parameters={},
        missing=0,
        groups=(),
        items=items,
    )


def only(one: Item) -> Record:
    [found] = records(report(one))
    return found


@pytest.mark.parametrize(
    ("targets", "result", "verdict"),
    [
        ((CLOUD, LOCAL), "win", "win"),
        ((LOCAL, CLOUD), "win", "loss"),
        ((LOCAL, CLOUD), "loss", "win"),
        ((LOCAL, CLOUD), "tie", "tie"),
        ((LOCAL, CLOUD), "undecided", "undecided"),
    ],
)
def test_the_verdict_is_the_local_sides(
    targets: tuple[str, ...], result: Result, verdict: str
) -> None:
    found = only(item(*targets, results=(result,)))
    assert (found.paired.verdict, found.paired.by) == (verdict, "judge")
    assert found.paired.local == Target(side="local", backend="local", model="llama3.2")
    assert found.paired.cloud == Target(side="cloud", backend="openai", model="gpt-4o")
    assert found.texts is not None
    assert (found.texts.local, found.texts.cloud) == (f"by {LOCAL}", f"by {CLOUD}")


def test_what_is_known_of_each_answer_is_its_quality() -> None:
    judged = (Judged(good=True), Judged(good=False))
    found = only(item(CLOUD, LOCAL, judged=judged)).paired
    assert (found.cloud_quality, found.local_quality) == (1.0, 0.0)
    unknown = only(item(CLOUD, LOCAL)).paired
    assert (unknown.cloud_quality, unknown.local_quality) == (None, None)


def test_conversation_class_and_request_come_along() -> None:
    found = only(item(CLOUD, LOCAL, conversation="c1", group="mathematics"))
    [example] = gather([found]).examples
    assert (example.pair.key, example.pair.group) == ("c1", "mathematics")
    assert example.pair.prompt == "Prove it."
    assert (example.arrived_s, example.propensity) == (7.0, 1.0)


def test_each_local_model_is_a_pair_with_the_cloud() -> None:
    other = "local:phi4"
    found = list(records(report(item(CLOUD, LOCAL, other, results=("win", "loss")))))
    assert [each.paired.local.model for each in found] == ["llama3.2", "phi4"]
    assert [each.paired.verdict for each in found] == ["win", "loss"]
    assert len({each.paired.request_id for each in found}) == 2


def test_two_of_one_side_are_no_pair_and_routed_names_go_by_who_answered() -> None:
    assert list(records(report(item(LOCAL, "local:phi4")))) == []
    routed = Answer(key="k", target="gpt-4o", by=CLOUD, wall_s=7.0)
    failed = Answer(key="k", target="gpt-4o", error="no connection", wall_s=7.0)
    local = Answer(key="l", target=LOCAL, error="no such model", wall_s=7.0)
    assert only(item(CLOUD, LOCAL, answers=(routed, local))).paired.local.model == "llama3.2"
    assert list(records(report(item(CLOUD, LOCAL, answers=(failed, local))))) == []
