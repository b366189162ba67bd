"""A trained router that reads answers has the last word on a local one."""

from __future__ import annotations

import pytest

from reshore.errors import RouteError
from reshore.routing.asking import Asking
from reshore.routing.content import Content, Turn
from reshore.routing.decide import decide
from reshore.routing.learned import LearnedRouter, Sign
from reshore.routing.parsing import parse_policy
from reshore.routing.plan import CascadePlan, Referee
from reshore.routing.policy import DEFAULT_CHECKS, Route
from reshore.routing.table import Table, View
from reshore.routing.world import World
from reshore.types import ToolCall
from tests.routing.drafted import Script
from tests.routing.scripted import CLOUD, LOCAL, ask
from tests.routing.test_cascade import CLOUD_TEXT, cascading, drafting
from tests.routing.test_trained import calibrated, model

ASKED = Content(turns=(Turn("user", "name"),))
# Takes long answers for bad ones: one of 20 characters is as good as the cloud's.
LENGTH = Sign(name="answer length", mean=3.0, spread=1.0, weight=1.0)
ROUTER = LearnedRouter(model(reads="answer", terms=model().terms, signs=(LENGTH,)))
LONG, SHORT = "It is what it is, and more than that.", "Yes."


def plan(asked: Content = ASKED) -> CascadePlan:
    referee = Referee(router=ROUTER, asked=asked, threshold=0.5)
    return CascadePlan(local=LOCAL, cloud=ask(CLOUD), checks=DEFAULT_CHECKS, referee=referee)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_it_trusts_is_kept(stream: bool) -> None:
    bench = cascading()
    call = drafting(Script(SHORT, "stop"), stream=stream)
    assert await bench.read(call, plan()) == SHORT.encode()
    assert bench.journal.notes == ["kept: checks passed, score 0.00 < 0.5"]


async def test_an_answer_that_it_mistrusts_is_escalated() -> None:
    bench = cascading()
    asked = Content(turns=(Turn("user", "prove"),))
    assert await bench.read(drafting(Script(LONG, "stop")), plan(asked)) == CLOUD_TEXT
    assert bench.journal.notes == ["escalated, score 1.00 >= 0.5"]


async def test_a_check_that_fails_comes_first() -> None:
    bench = cascading()
    assert await bench.read(drafting(Script(SHORT, "length")), plan()) == CLOUD_TEXT
    assert bench.journal.notes == ["escalated: finish (cut off by its length)"]


async def test_of_what_it_does_not_know_it_says_nothing() -> None:
    bench = cascading()
    asked = Content(turns=(Turn("user", "Guten Tag, wie geht es?"),))
    assert await bench.read(drafting(Script(LONG, "stop")), plan(asked)) == LONG.encode()
    assert bench.journal.notes == ["kept: checks passed, unlike the training of the router"]


async def test_tool_calls_are_no_text_to_judge() -> None:
    bench, draft = cascading(), Script(LONG, "tool_calls")
    draft.tool_calls = (ToolCall(id="1", name="f", arguments="{}"),)
    await bench.read(drafting(draft), plan())
    assert bench.journal.notes == ["kept: checks passed"]


@pytest.mark.parametrize(
    ("text", "threshold"), [("cascade(by=mine)", 0.8), ("cascade(by=mine, threshold=0.3)", 0.3)]
)
def test_the_policy_names_it(text: str, threshold: float) -> None:
    body = {"messages": [{"role": "user", "content": "name"}]}
    router = LearnedRouter(calibrated(0.8))
    view = View(1, Table([Route(pattern="*", policy=parse_policy(text))]), routers={"mine": router})
    asking = Asking(name="m", load=lambda: body)
    world = World(upstreams=("openai",), installed=lambda name: True)
    found = decide(asking, view, world).plan
    assert isinstance(found, CascadePlan)
    assert found.referee == Referee(router=router, asked=ASKED, threshold=threshold)
    lost = decide(asking, View(1, view.table), world)
    assert isinstance(lost.plan, CascadePlan)
    assert lost.plan.referee is None
    assert "no router mine" in lost.decision.why


def test_a_threshold_is_a_routers() -> None:
    with pytest.raises(RouteError, match="the threshold of a cascade is that of a router; add by="):
        parse_policy("cascade(threshold=0.5)")
