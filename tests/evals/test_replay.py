"""Routers asked about yesterday's requests do what they would do today."""

from __future__ import annotations

import pytest

from reshore.errors import LearnError
from reshore.evals.gathering import Example, gather
from reshore.evals.replay import always, by_policy, by_router, by_rules, outside
from reshore.routing.asking import Asking
from reshore.routing.decide import decide
from reshore.routing.learned import LearnedRouter, Sign
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Route
from reshore.routing.table import Table, View
from reshore.routing.world import World
from tests.evals.gathered import body, record
from tests.routing.test_trained import calibrated, model

TEXTS = ("prove", "name", "Guten Tag", "prove name", "Write Python code that proves it: def f():")


def example(*said: str, answer: str = "That.") -> Example:
    [found] = gather([record(prompt=body(*said), answer=answer)]).examples
    return found


def nobody(name: str) -> LearnedRouter:
    raise LearnError(f"no {name}")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "policy",
    [
        "local",
        "cloud",
        "hybrid",
        "hybrid(threshold=0.2)",
        "hybrid(by=mine)",
        "hybrid(by=mine, threshold=0)",
        "hybrid(by=lost, threshold=0.9)",
        "shadow(hybrid(by=mine), local, share=1%)",
    ],
)
def test_a_policy_chooses_as_it_does_for_a_request(policy: str, text: str) -> None:
    router = LearnedRouter(calibrated(0.6))

    def trained(name: str) -> LearnedRouter:
        return router if name == "mine" else nobody(name)

    asked = example("Hello", "Hi", text)
    choose = by_policy(parse_policy(policy), trained)
    assert choose is not None
    view = View(
        1, Table([Route(pattern="*", policy=parse_policy(policy))]), routers={"mine": router}
    )
    world = World(upstreams=("openai",), installed=lambda name: True)
    messages = [{"role": turn.role, "content": turn.text} for turn in asked.content.turns]
    asking = Asking(name="m", load=lambda: {"messages": messages})
    assert choose(asked) == (decide(asking, view, world).decision.side == "cloud")


@pytest.mark.parametrize(
    "policy", ["split(local=1, cloud=1)", "cascade", "fallback(local, cloud)", "cascade(by=lost)"]
)
def test_what_more_than_the_request_decides_is_not_guessed(policy: str) -> None:
    assert by_policy(parse_policy(policy), nobody) is None


def test_one_that_reads_answers_goes_by_the_answer_and_keeps_what_it_does_not_know() -> None:
    wrong = Sign(name="answer wrong statements", mean=0.3, spread=0.3, weight=0.4)
    router = LearnedRouter(model(reads="answer", signs=(wrong,), terms={}, likeness=-1.0))
    choose = by_router(router, 0.5)
    assert choose(example("prove", answer="2 + 2 = 5"))
    assert not choose(example("prove", answer="2 + 2 = 4"))
    strange = LearnedRouter(model(reads="answer", signs=(wrong,)))
    assert not by_router(strange, 0.0)(example("Guten Tag", answer="2 + 2 = 5"))
    cascade = by_policy(parse_policy("cascade(by=mine)"), lambda name: router)
    assert cascade is not None
    assert cascade(example("prove", answer="2 + 2 = 5"))


def test_rules_and_sides_need_no_router() -> None:
    asked = example("Hello")
    assert (always(True)(asked), always(False)(asked)) == (True, False)
    assert by_rules(0.0)(asked)
    assert not by_rules(0.9)(asked)


def test_what_is_unlike_the_training_is_counted() -> None:
    router = LearnedRouter(model())
    assert outside(router, [example("prove"), example("Guten Tag")]) == 0.5
    assert outside(router, []) == 0.0
