"""What a server's shadow leaves in the ledger is what a router learns from."""

from __future__ import annotations

import json
from pathlib import Path

from reshore.cli.learning_pairs import gathered_pairs
from reshore.cli.route_learning import Wanted
from reshore.config import load
from reshore.routing.taught import taught
from reshore.routing.trained import TrainedRouters
from tests.routing.operated import route
from tests.routing.test_trained import model
from tests.server.harness import MODEL
from tests.server.routed import CHAT
from tests.server.test_evaluation import evaluated

TEXTS = "[ledger]\ntexts = 1.0\n"
SHADOW = f"shadow(cloud, local:{MODEL}, share=100%)"


async def test_live_pairs_are_gathered_with_what_routing_saw(home: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    async with evaluated(home, SHADOW, TEXTS) as (it, told):
        for number, text in enumerate(("from the cloud", "elsewhere", "from the cloud")):
            begun = [
                {"role": "user", "content": f"{number}"},
                {"role": "assistant", "content": "?"},
            ]
            asked = "/echo " + json.dumps({"text": text})
            messages = [system, *begun, {"role": "user", "content": asked}]
            await it.server.post(CHAT, {"model": "gpt-4o", "messages": messages})
        await told.wait(3)
    wanted = Wanted(route="gpt-4o", since_ms=0, reports=(), local="", cloud="")
    config = load(env={"RESHORE_HOME": str(home)})
    found = gathered_pairs(config, wanted, "answer")
    assert (found.local, found.cloud) == (MODEL, "gpt-4o")
    assert found.left_out == {"undecided": 1}
    first, last = found.examples
    assert first.pair.prompt.startswith("/echo")
    assert last.pair.answer == "from the cloud"
    assert (first.pair.weak, first.pair.strong) == (1.0, 1.0)
    assert [turn.role for turn in first.content.turns] == ["system", "user", "assistant", "user"]
    assert first.propensity == 1.0
    assert first.pair.key != last.pair.key


async def test_pairs_of_both_sides_go_on_to_come_once_a_router_is_live(home: Path) -> None:
    """As `reshore route train --live` sets a route that was a shadow."""
    router = model(likeness=0.0)
    TrainedRouters(home / "routes" / "models").save("mine", router)
    policy = str(taught(route("gpt-4o", SHADOW), "mine", "prompt"))
    async with evaluated(home, policy, TEXTS) as (it, told):
        for text in ("prove", "name"):
            asked = "/echo " + json.dumps({"text": text})
            messages = [{"role": "user", "content": asked}]
            await it.server.post(CHAT, {"model": "gpt-4o", "messages": messages})
        pairs = await told.wait(2)
    assert sorted(str(pair.answered) for pair in pairs) == ["cloud", "local"]
    assert {pair.propensity for pair in pairs} == {1.0}
