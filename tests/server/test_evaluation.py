"""Copies of live requests become pairs: in the ledger, in what is known of a route, in metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from reshore.routing.paired import Paired
from tests.backends.remote.scripted import Peer, Seen
from tests.server.harness import MODEL, chat_body
from tests.server.routed import CHAT, Routed, ask, delta, routed
from tests.server.test_admin_routes import told
from tests.server.test_metrics import scrape
from tests.server.test_routed_ledger import rows

HERE = f"shadow(local:{MODEL}, cloud, share=100%)"
THERE = f"shadow(cloud, local:{MODEL}, share=100%)"
CHECKED = f"shadow(cascade(local:{MODEL}, cloud, checks=finish), cloud, share=100%)"
SAME = {"text": "from the cloud"}
GONE = {"text": "cut in the middle of", "finish": "length"}


def route(policy: str, more: str = "") -> str:
    return f'[routes]\n"gpt-4o" = "{policy}"\n{more}'


class Told:
    """The pairs that a server makes."""

    def __init__(self, it: Routed) -> None:
        self.pairs: list[Paired] = []
        self._news = asyncio.Event()
        evaluation = it.server.app.services.evaluation
        assert evaluation is not None
        evaluation.on_pair.append(self._take)

    def _take(self, paired: Paired) -> None:
        self.pairs.append(paired)
        self._news.set()

    async def wait(self, count: int) -> list[Paired]:
        async with asyncio.timeout(10):
            while len(self.pairs) < count:
                self._news.clear()
                await self._news.wait()
        return self.pairs


@asynccontextmanager
async def evaluated(
    home: Path, policy: str, more: str = "", **settings: Any
) -> AsyncIterator[tuple[Routed, Told]]:
    async with routed(home, route(policy, more), ledger=True, admin=True, **settings) as it:
        yield it, Told(it)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("policy", [HERE, THERE, CHECKED])
async def test_both_answers_to_a_request_are_a_pair(home: Path, policy: str, stream: bool) -> None:
    async with evaluated(home, policy) as (it, told_):
        body = chat_body(SAME, model="gpt-4o", stream=stream)
        async with it.server.session.post(it.server.url + CHAT, json=body) as response:
            await response.read()
        [paired] = await told_.wait(1)
        request_id = response.headers["x-request-id"]
    assert (paired.verdict, paired.route, paired.request_id) == ("tie", "gpt-4o", request_id)
    assert (paired.local.model, paired.cloud.backend) == (MODEL, "cloud")
    assert paired.answered == ("cloud" if policy == THERE else "local")
    assert paired.propensity == 1.0
    [row] = rows(home, "pairs")
    assert (row["request_id"], row["verdict"], row["by"]) == (request_id, "tie", paired.by)
    assert (row["prompt"], row["local_text"], row["cloud_text"]) == (None, None, None)
    assert rows(home, "texts") == []


async def test_a_local_answer_that_was_cut_off_loses_whoever_answered(home: Path) -> None:
    async with evaluated(home, HERE) as (it, told_):
        await it.server.post(CHAT, chat_body(GONE, model="gpt-4o"))
        [paired] = await told_.wait(1)
    assert (paired.verdict, paired.by) == ("loss", "finish")
    assert (paired.local_quality, paired.cloud_quality) == (0.0, None)


async def test_ollamas_dialect_is_compared_alike(home: Path) -> None:
    async with evaluated(home, THERE, "[ledger]\ntexts = 1.0") as (it, told_):
        messages = [{"role": "user", "content": "/echo " + json.dumps(SAME)}]
        native = {"model": "gpt-4o", "messages": messages}
        async with it.server.session.post(it.server.url + "/api/chat", json=native) as response:
            await response.read()
        [paired] = await told_.wait(1)
        assert (paired.verdict, paired.answered) == ("tie", "cloud")
    [row] = rows(home, "pairs")
    assert json.loads(row["prompt"])["messages"] == messages
    assert (row["local_text"], row["cloud_text"]) == ("from the cloud", "from the cloud")


async def test_two_answers_of_one_side_are_no_pair(home: Path) -> None:
    async with evaluated(home, CHECKED) as (it, told_):
        await it.server.post(CHAT, chat_body(GONE, model="gpt-4o"))
        await it.server.post(CHAT, chat_body(SAME, model="gpt-4o"))
        [paired] = await told_.wait(1)
        assert paired.answered == "local"
        overview = await told(it.server, "GET", "/admin/evaluation")
        assert overview["dropped"] == {"one side": 1}


async def test_copies_that_nobody_answered_are_told(home: Path) -> None:
    async with evaluated(home, HERE, "[shadow]\nqueue_bytes = 0\n") as (it, _):
        await it.server.post(CHAT, chat_body(SAME, model="gpt-4o"))
        overview = await told(it.server, "GET", "/admin/evaluation")
        assert overview["unanswered"] == {"bytes": 1}


CALL = {"name": "weather", "arguments": {"city": "Kyiv", "days": 2}}
PIECES = (
    delta(
        role="assistant",
        tool_calls=[{"index": 0, "id": "a", "function": {"name": "weather", "arguments": ""}}],
    ),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '{"days": 2, "ci'}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": 'ty": "Kyiv"}'}}]),
)


async def test_tool_calls_are_compared_by_their_arguments(home: Path) -> None:
    async def call(peer: Peer, seen: Seen) -> None:
        done = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
        await peer.stream(*PIECES, done, b"data: [DONE]\n\n")

    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    async with routed(home, route(HERE), call) as it:
        told_ = Told(it)
        scripted = {"text": f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>"}
        body = chat_body(scripted, model="gpt-4o", tools=[tool], stream=True)
        async with it.server.session.post(it.server.url + CHAT, json=body) as response:
            await response.read()
        [paired] = await told_.wait(1)
    assert (paired.verdict, paired.by) == ("tie", "agreement")


async def test_what_was_said_is_kept_only_where_it_is_switched_on(home: Path) -> None:
    async with evaluated(home, HERE, "[ledger]\ntexts = 1.0") as (it, told_):
        await it.server.post(CHAT, chat_body({"text": "here"}, model="gpt-4o"))
        await told_.wait(1)
    [row] = rows(home, "pairs")
    assert (row["local_text"], row["cloud_text"]) == ("here", "from the cloud")
    assert "/echo" in row["prompt"]


async def test_further_turns_of_a_conversation_do_not_count(home: Path) -> None:
    async with evaluated(home, HERE) as (it, told_):
        body = chat_body(SAME, model="gpt-4o")
        for _ in range(3):
            await it.server.post(CHAT, body)
            answer = {"role": "assistant", "content": "from the cloud"}
            body["messages"] += [answer, {"role": "user", "content": "/echo " + json.dumps(SAME)}]
        await told_.wait(3)
        overview = await told(it.server, "GET", "/admin/evaluation?route=gpt-4o")
        [standing] = overview["standings"]
        assert (standing["pairs"], standing["repeated"]) == (1, 2)


async def test_a_mirror_that_fails_is_a_failure_of_its_side(home: Path) -> None:
    async def fail(peer: Peer, seen: Seen) -> None:
        peer.cut()

    async with routed(home, route(HERE), fail, admin=True) as it:
        told_ = Told(it)
        for number in range(3):
            await it.server.post(CHAT, chat_body({"text": f"{number}"}, model="gpt-4o"))
            await told_.wait(number + 1)
            await it.server.recorded(number + 1)
        [standing] = (await told(it.server, "GET", "/admin/evaluation"))["standings"]
        assert (standing["pairs"], standing["undecided"]) == (0, 3)
        assert standing["net_win"]["value"] is None
        cloud = standing["sides"]["cloud"]
        assert (cloud["requests"], cloud["failed"]) == (3, 3)
        # The first came before anything was known of the route.
        assert standing["sides"]["local"]["requests"] == 2


async def test_what_is_known_is_in_the_metrics(home: Path) -> None:
    async with evaluated(home, HERE) as (it, told_):
        for script in (SAME, GONE):
            await it.server.post(CHAT, chat_body(script, model="gpt-4o"))
        await told_.wait(2)
        seen = await scrape(it.server, route="gpt-4o", verdict="loss")
        assert seen["reshore_evaluation_pairs_total"] == 1
        seen = await scrape(it.server, route="gpt-4o")
        assert seen["reshore_evaluation_net_win"] == -0.5
        assert seen["reshore_evaluation_drift"] == 0


async def test_what_is_known_survives_a_restart_and_can_be_forgotten(home: Path) -> None:
    async with evaluated(home, HERE) as (it, told_):
        await it.server.post(CHAT, chat_body(SAME, model="gpt-4o"))
        await told_.wait(1)
    async with evaluated(home, HERE) as (it, _):
        [standing] = (await told(it.server, "GET", "/admin/evaluation"))["standings"]
        assert (standing["pairs"], standing["by"]) == (1, {"agreement": 1})
        await told(it.server, "POST", "/admin/evaluation/reset", {"route": "gpt-4o"})
        assert (await told(it.server, "GET", "/admin/evaluation"))["standings"] == []
        error = await it.server.refusal("/admin/evaluation/reset", {"route": "x"}, status=404)
        assert "no pair of the route 'x'" in error["message"]


async def test_switched_off_nothing_is_kept_or_compared(home: Path) -> None:
    off = "[evaluation]\nenabled = false"
    async with routed(home, route(HERE, off), ledger=True, admin=True) as it:
        services = it.server.app.services
        assert services.evaluation is None
        assert not services.shadows.compares
        await it.server.post(CHAT, ask())
        overview = await told(it.server, "GET", "/admin/evaluation")
        assert overview == {
            "enabled": False, "standings": [], "dropped": {}, "unanswered": {}, "judged": {},
        }  # fmt: skip
        await it.server.refusal("/admin/evaluation/reset", {"route": "gpt-4o"}, status=404)
    assert rows(home, "pairs") == []
    assert not (home / "evaluation").exists()


COMPARED = {
    "request_id": "report-1:7",
    "source": "shadow",
    "route": "",
    "arrived_s": 1_700_000_000.0,
    "local": {"side": "local", "backend": "local", "model": MODEL},
    "cloud": {"side": "cloud", "backend": "cloud", "model": "gpt-4o"},
    "verdict": "win",
    "by": "reference",
}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"verdict": "draw"}, "pairs[0].paired.verdict", "'draw'"),
    ({"propensity": 0}, "pairs[0]", "above 0"),
    ({"local_quality": 7}, "pairs[0]", "from 0 to 1"),
    ({"local": COMPARED["cloud"]}, "pairs[0]", "one of this machine"),
    ({"request_id": 1}, "pairs[0].paired.request_id", "Expected `str`"),
]


async def test_pairs_of_a_comparison_go_into_the_ledger_alone(home: Path) -> None:
    async with evaluated(home, HERE) as (it, _):
        texts = {"prompt": "a", "local": "b", "cloud": "c"}
        body = {"pairs": [{"paired": COMPARED, "texts": texts}]}
        assert await told(it.server, "POST", "/admin/evaluation/pairs", body) == {"taken": 1}
        assert (await told(it.server, "GET", "/admin/evaluation"))["standings"] == []
        for change, param, message in WRONG:
            wrong = {"pairs": [{"paired": COMPARED | change}]}
            error = await it.server.refusal("/admin/evaluation/pairs", wrong)
            assert error["param"] == param
            assert message in error["message"]
    [row] = rows(home, "pairs")
    assert (row["request_id"], row["source"], row["prompt"]) == ("report-1:7", "compare", None)


async def test_a_stranger_cannot_ask(home: Path) -> None:
    async with routed(home, route(HERE)) as it:
        for path in ("/admin/evaluation", "/admin/evaluation/pairs"):
            async with it.server.session.get(it.server.url + path) as response:
                assert response.status in (401, 403, 404)
