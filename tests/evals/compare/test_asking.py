"""The running server is asked, and how it answers is measured."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import structs

from reshore.clock import SystemClock
from reshore.config import PriceConfig
from reshore.errors import Unreachable
from reshore.evals.compare.aims import aim
from reshore.evals.compare.answers import Answer
from reshore.evals.compare.asking import Asker
from reshore.ledger.prices import Prices
from reshore.testing import MovableClock
from tests.backends.remote.scripted import Peer, Script, Seen, upstream
from tests.evals.compare.asked import prompt
from tests.server.harness import MODEL, install
from tests.server.routed import DONE, FINISH, USAGE, Routed, answer, delta, event, routed

CLOUD = "cloud:cloud/gpt-4o-mini"


PRICES = Prices({"cloud/gpt-4o-mini": PriceConfig(input=1.0, output=2.0)}, {})


class Hasty(SystemClock):
    """Remembers how long it was to sleep, and does not."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A RESHORE_HOME with one tiny model."""
    install(tmp_path, MODEL)
    return tmp_path


def asker_of(session: aiohttp.ClientSession, url: str) -> Asker:
    return Asker(session, url, prices=PRICES, clock=MovableClock())


@asynccontextmanager
async def asking(
    home: Path, script: Script = answer, toml: str = ""
) -> AsyncIterator[tuple[Routed, Asker]]:
    async with routed(home, toml, script, admin=True) as both:
        yield both, asker_of(both.server.session, both.server.url)


async def once(home: Path, script: Script, target: str = CLOUD, **more: Any) -> Answer:
    async with asking(home, script) as (_, asker):
        return await asker.ask(prompt("Hi", **more), aim(target))


async def test_an_answer_comes_with_who_gave_it_and_what_it_cost(home: Path) -> None:
    async with asking(home) as (both, asker):
        found = await asker.ask(prompt("Hi", system="Be short."), aim(CLOUD))
        [sent] = both.asked
    assert (found.text, found.error, found.finish_reason) == ("from the cloud", "", "stop")
    assert (found.target, found.by) == (CLOUD, CLOUD)
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (9, 3)
    assert found.nano_usd == 9 * 1000 + 3 * 2000
    assert found.ttft_ms is not None
    assert sent["model"] == "gpt-4o-mini"
    assert [each["role"] for each in sent["messages"]] == ["system", "user"]


async def test_a_model_of_this_machine_answers_for_nothing(home: Path) -> None:
    found = await once(home, answer, f"local:{MODEL}")
    assert (found.error, found.by, found.nano_usd) == ("", f"local:{MODEL}", 0)
    assert found.text


async def test_a_model_of_this_machine_is_loaded_before_it_is_asked(home: Path) -> None:
    async with asking(home) as (both, asker):
        await asker.ready(aim(f"local:{MODEL}"))
        async with both.server.session.get(f"{both.server.url}/api/ps") as reply:
            assert [each["name"] for each in (await reply.json())["models"]] == [MODEL]
        await asker.ready(aim("local:missing"))
        await asker.ready(aim(CLOUD))
        assert both.asked == []


async def test_a_name_goes_by_its_route(home: Path) -> None:
    async with asking(home, toml=f'[routes]\n"gpt-4o" = "local:{MODEL}"\n') as (both, asker):
        found = await asker.ask(prompt("Hi"), aim("gpt-4o"))
        assert (found.by, both.asked) == (f"local:{MODEL}", [])


async def test_tool_calls_are_put_together(home: Path) -> None:
    def part(index: int, **function: str) -> bytes:
        return delta(tool_calls=[{"index": index, "id": f"c{index}", "function": function}])

    async def calls(peer: Peer, seen: Seen) -> None:
        await peer.stream(
            part(0, name="f", arguments='{"n":'),
            part(1, name="g", arguments="{}"),
            delta(tool_calls=[{"index": 0, "function": {"arguments": " 3}"}}]),
            event(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]),
            DONE,
        )

    found = await once(home, calls)
    assert [(call.name, call.arguments) for call in found.tool_calls] == [
        ("f", '{"n": 3}'),
        ("g", "{}"),
    ]
    assert found.finish_reason == "tool_calls"


async def test_a_refusal_is_an_answer_with_its_reason(home: Path) -> None:
    async def refuse(peer: Peer, seen: Seen) -> None:
        await peer.reply(b'{"error":{"message":"no such model"}}', status=404)

    found = await once(home, refuse)
    assert "no such model" in found.error
    assert (found.text, found.ttft_ms) == ("", None)


async def test_what_breaks_off_is_an_error_and_keeps_what_was_said(home: Path) -> None:
    async def breaks(peer: Peer, seen: Seen) -> None:
        await peer.stream(delta(content="from "), delta(content="the"))

    found = await once(home, breaks)
    assert found.error
    assert found.text == "from the"


async def test_whoever_is_busy_is_asked_again_after_the_time_it_says() -> None:
    refused: list[Seen] = []

    async def busy(peer: Peer, seen: Seen) -> None:
        if len(refused) < 2:
            refused.append(seen)
            body = b'{"error":{"message":"slow down"}}'
            await peer.reply(body, status=429, retry_after="7")
        else:
            await peer.stream(delta(content="now"), FINISH, USAGE, DONE)

    clock = Hasty()
    async with upstream(busy) as peer, aiohttp.ClientSession() as session:
        asker = Asker(session, peer.url.removesuffix("/v1"), prices=PRICES, clock=clock)
        found = await asker.ask(prompt("Hi"), aim("gpt-4o"))
    assert (found.text, found.error) == ("now", "")
    assert clock.slept == [7, 7]


async def test_whoever_stays_busy_is_given_up() -> None:
    async def busy(peer: Peer, seen: Seen) -> None:
        await peer.reply(b'{"error":{"message":"slow down"}}', status=503, retry_after="1")

    clock = Hasty()
    async with upstream(busy) as peer, aiohttp.ClientSession() as session:
        asker = Asker(session, peer.url.removesuffix("/v1"), prices=PRICES, clock=clock)
        assert (await asker.ask(prompt("Hi"), aim("gpt-4o"))).error == "slow down"
        assert len(peer.seen) == 5
    assert len(clock.slept) == 4


async def test_a_server_that_is_gone_is_no_answer() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Unreachable, match="call the same command again"):
            await asker_of(session, "http://127.0.0.1:1").ask(prompt("Hi"), aim("gpt-4o"))


async def test_what_is_asked_is_the_same_for_all(home: Path) -> None:
    given = structs.replace(prompt("Hi"), body={**prompt("Hi").body, "temperature": 0})
    async with asking(home) as (both, asker):
        await asker.ask(given, aim(CLOUD))
        await asker.ask(given, aim("cloud:cloud/gpt-4.1"))
        one, other = both.asked
    assert one | {"model": ""} == other | {"model": ""}
    assert json.dumps(one["temperature"]) == "0"
