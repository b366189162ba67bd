"""What trained routers say of a request, and what people are shown of it."""

from __future__ import annotations

import pytest

from reshore.routing.asking import Asking
from reshore.routing.content import Content, Turn
from reshore.routing.explain import explain
from reshore.routing.learned import LearnedModel, LearnedRouter, Sign
from reshore.routing.opinions import Opinion, opinions
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Route
from reshore.routing.table import Table, View
from reshore.routing.world import World
from tests.routing.test_trained import calibrated, model


def said(policy: str, text: str, known: LearnedModel | None) -> list[Opinion]:
    routers = {"mine": LearnedRouter(known)} if known else {}
    content = Content(turns=(Turn("user", text),))
    return list(opinions(parse_policy(policy), routers, content))


def test_score_threshold_gain_and_reasons_are_told() -> None:
    length = Sign(name="length", mean=2.0, spread=1.0, weight=0.1)
    [opinion] = said("hybrid(by=mine, threshold=0.6)", "prove", model(signs=(length,)))
    assert (opinion.router, opinion.reads, opinion.found) == ("mine", "prompt", True)
    assert opinion.threshold == 0.6
    assert opinion.score is not None
    assert opinion.score > 0.8
    assert opinion.gain == pytest.approx(sum(part.points for part in opinion.parts), abs=0.01)
    assert opinion.parts[0].feature == "wording"
    assert not opinion.outside


def test_a_calibrated_threshold_is_told_with_its_target() -> None:
    [own] = said("hybrid(by=mine)", "prove", calibrated(0.8))
    assert (own.threshold, own.target) == (0.8, "cloud<=20%")
    [routes] = said("hybrid(by=mine, threshold=0.3)", "prove", calibrated(0.8))
    assert (routes.threshold, routes.target) == (0.3, "")


def test_what_is_unlike_the_training_is_told_as_that() -> None:
    [opinion] = said("hybrid(by=mine)", "Guten Tag", model())
    assert opinion.outside
    assert opinion.likeness is not None
    assert opinion.least is not None
    assert opinion.likeness < opinion.least


def test_of_one_that_reads_answers_nothing_is_guessed() -> None:
    [opinion] = said("cascade(by=mine)", "prove", model(reads="answer"))
    assert (opinion.score, opinion.gain, opinion.parts) == (None, None, ())
    assert opinion.threshold == 0.5
    assert not opinion.outside


def test_one_that_is_not_there_is_named() -> None:
    assert said("hybrid(by=mine)", "prove", None) == [
        Opinion(router="mine", reads="prompt", found=False)
    ]


def test_they_are_a_part_of_what_explain_says() -> None:
    body = {"messages": [{"role": "user", "content": "prove"}]}
    routes = [Route(pattern="*", policy=parse_policy("hybrid(by=mine)"))]
    view = View(1, Table(routes), routers={"mine": LearnedRouter(model())})
    world = World(upstreams=("openai",), installed=lambda name: True)
    found = explain(Asking(name="m", load=lambda: body), view, world)
    assert [opinion.router for opinion in found.learned] == ["mine"]
    assert found.decision is not None
    assert found.decision.score == found.learned[0].score
    embedding = explain(Asking(name="m", kind="embedding", load=lambda: body), view, world)
    assert embedding.learned == ()
