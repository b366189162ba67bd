"""What a server's shadow leaves in the ledger is what a router learns from."""

from __future__ import annotations

import json
from pathlib import Path

from reshore.cli.learning_pairs import gathered_pairs
from reshore.cli.route_learning import Wanted
from reshore.config import load
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
