"""Rollouts end to end: a server, a local engine, a cloud, and the pairs of live traffic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reshore.errors import ConfigError
from reshore.testing import Script, ScriptedUpstream
from tests.server.harness import MODEL, Server, echo_config, running

NAME = "gpt-4o-mini"
PLAN = {
    "route": NAME,
    "to": "local",
    "model": MODEL,
    "steps": [50, 100],
    "guards": ["error_rate<=+0.05", "net_win>=-0.3"],
    "min_pairs": 20,
    "hold_s": 0,
    "compared": 1.0,
    "why": "cheaper",
    "author": "ada",
}
# What the engine is asked it says again: JSON is answered by JSON, and by nothing else.
JSON_QUESTION = '{"question": %d}'
TEXT_QUESTION = "question %d"


class Traffic:
    """Clients of a server with a rollout."""

    def __init__(self, server: Server, cloud: ScriptedUpstream) -> None:
        self.server = server
        self.cloud = cloud
        self._numbers = count()

    async def admin(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        url = f"{self.server.url}/admin{path}"
        async with self.server.session.request(method, url, json=body) as response:
            found = await response.json()
            assert response.status == status, found
            return found

    async def start(self, **changes: Any) -> Any:
        return await self.admin("POST", "/rollouts", PLAN | changes)

    async def status(self) -> Any:
        return await self.admin("GET", f"/rollouts/{NAME}")

    async def ask(self, question: str = JSON_QUESTION) -> int:
        body = {
            "model": NAME,
            "messages": [{"role": "user", "content": question % next(self._numbers)}],
            "response_format": {"type": "json_object"},
        }
        response, _ = await self.server.post("/v1/chat/completions", body)
        return response.status

    async def until(self, *states: str, question: str = JSON_QUESTION) -> Any:
        """Ask until the rollout is in one of these states."""
        async with asyncio.timeout(60):
            while (found := await self.status())["state"] not in states or found["due"]:
                await asyncio.gather(*(self.ask(question) for _ in range(4)))
        return found

    async def held_to(self, level: float) -> None:
        """Until drift is looked for at this level."""
        async with asyncio.timeout(10):
            while True:
                found = await self.admin("GET", f"/evaluation?route={NAME}")
                [standing] = found["standings"]
                if standing["drift"]["level"] == level:
                    return

    async def policy(self) -> str:
        routes = (await self.admin("GET", "/routes"))["version"]["routes"]
        return routes[NAME]["policy"] if NAME in routes else ""

    async def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.admin("GET", "/routes/history")
        return found


@asynccontextmanager
async def traffic(home: Path, *scripts: Script, **flags: Any) -> AsyncIterator[Traffic]:
    async with ScriptedUpstream(*scripts) as cloud:
        given = {
            "upstreams": {"cloud": {"url": cloud.url}},
            "evaluation.sufficient": ["json"],
            "routing.breaker_failures": 0,
            "shadow.concurrency": 8,
            "engine.echo.tokens": 2,  # a question is said again once
        }
        config = echo_config(home, **given | flags)
        async with running(config, admin=True) as server:
            yield Traffic(server, cloud)


async def test_good_answers_are_promoted_through_all_steps(home: Path) -> None:
    async with traffic(home) as it:
        begun = await it.start()
        assert (begun["state"], begun["share"], begun["began"]) == ("running", 50.0, 1)
        done = await it.until("done")
        assert await it.policy() == "shadow(local, cloud:cloud, share=2%)"
        assert done["versions"] == [2, 3]
        last, promoted, first = await it.history()
        assert last["reason"].startswith("done, 2 % of the requests go on being compared; at 100")
        assert (first["author"], first["reason"]) == (
            "rollout",
            "rollout 1 begun by ada: cheaper",
        )
        assert promoted["author"] == "rollout"
        assert promoted["evidence"]["ties"] >= 20
        assert promoted["evidence"]["losses"] == 0
        assert "promoted to 100 %" in promoted["reason"]
        assert [each["state"] for each in await it.admin("GET", "/rollouts")] == ["done"]
        await it.held_to(-0.3)  # from now on less than what was accepted is drift


async def test_bad_answers_take_everything_back(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with traffic(home, Script(text='{"answer": 1}')) as it:
        await it.admin("PUT", f"/routes/{NAME}", {"policy": "fallback(cloud, cloud:cloud/gpt-4o)"})
        await it.start(hold_s=600)
        back = await it.until("rolled back", question=TEXT_QUESTION)
        assert back["note"] == "net_win>=-0.3 is broken"
        assert await it.policy() == "fallback(cloud, cloud:cloud/gpt-4o)"
        [last, *_] = await it.history()
        assert last["evidence"]["losses"] >= 5
        assert await it.ask() == 200
        assert (await it.status())["state"] == "rolled back"
    [line] = [each for each in caplog.records if each.name == "reshore.rollout"]
    assert (line.levelname, line.getMessage()) == ("WARNING", f"rollout of {NAME}: rolled back")
    told = json.loads(msgspec.json.encode(vars(line)["evidence"]))
    assert {"rollout": 1, **told} == last["evidence"]


async def test_errors_take_everything_back(home: Path) -> None:
    async with traffic(home, **{"engine.echo.fault": "error", "engine.echo.fault_after": 0}) as it:
        await it.start(guards=["error_rate<=+0.05", "net_win>=-0.9"], min_pairs=10_000)
        back = await it.until("rolled back")
        assert back["note"] == "error_rate<=+0.05 is broken"
        assert await it.policy() == ""


async def test_where_nobody_streams_a_guard_of_first_tokens_is_waited_for(home: Path) -> None:
    async with traffic(home) as it:
        await it.start(guards=["ttft_p95<=1.2x", "net_win>=-0.3"])
        async with asyncio.timeout(60):
            while (
                len((found := await it.status())["missing"]) > 1 or not found["evidence"]["pairs"]
            ):
                await asyncio.gather(*(it.ask() for _ in range(4)))
        [missing] = found["missing"]
        assert (found["state"], found["step"]) == ("running", 1)
        assert "answers of the cloud side came whole" in missing
        assert "start one without the guard" in missing


async def test_a_pause_an_operator_and_an_abort(home: Path) -> None:
    async with traffic(home) as it:
        await it.start(hold_s=600)
        paused = await it.admin("POST", f"/rollouts/{NAME}/pause", {"why": "lunch"})
        assert (paused["state"], paused["note"]) == ("paused", "paused: lunch")
        assert "it is paused" in paused["missing"]
        resumed = await it.admin("POST", f"/rollouts/{NAME}/resume")
        assert resumed["state"] == "running"
        aborted = await it.admin("POST", f"/rollouts/{NAME}/abort", {"author": "bob"})
        assert (aborted["state"], aborted["note"]) == ("aborted", "aborted by bob")
        assert await it.policy() == ""

        await it.start(hold_s=600)
        panic = await it.admin("POST", "/panic", {"side": "cloud"})
        assert panic["warnings"] == [
            f"rollout 2 of '{NAME}' is paused while the panic switch is on"
        ]
        await it.until("paused")
        calm = await it.admin("POST", "/panic", {"side": None})
        assert calm["warnings"] == []
        changed = await it.admin("PUT", f"/routes/{NAME}", {"policy": "cloud", "author": "eve"})
        assert "rollout 2 of 'gpt-4o-mini' gives way to this" in changed["warnings"][-1]
        given_way = await it.until("aborted")
        assert given_way["note"].startswith("eve changed the route")
        assert await it.policy() == "cloud"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (PLAN | {"steps": [100, 50]}, "steps must rise"),
        (PLAN | {"model": "nobody"}, "'nobody' is not installed here"),
        (PLAN | {"stepz": []}, "unknown field `stepz`"),
        ({"to": "local"}, "missing required field `route`"),
    ],
)
async def test_what_cannot_start_says_why(home: Path, body: Any, says: str) -> None:
    async with traffic(home) as it:
        refused = await it.admin("POST", "/rollouts", body, status=400)
        assert says in refused["error"]["message"]


async def test_without_a_check_that_is_enough_nothing_starts(home: Path) -> None:
    async with traffic(home, **{"evaluation.sufficient": []}) as it:
        refused = await it.admin("POST", "/rollouts", PLAN, status=400)
        assert "evaluation.sufficient" in refused["error"]["message"]
    async with traffic(home, **{"evaluation.enabled": False}) as it:
        refused = await it.admin("POST", "/rollouts", PLAN, status=400)
        assert "evaluation is switched off" in refused["error"]["message"]


async def test_a_rollout_that_is_not_there_is_a_404(home: Path) -> None:
    async with traffic(home) as it:
        await it.admin("GET", "/rollouts/nobody", status=404)
        await it.admin("POST", "/rollouts/nobody/abort", status=404)


async def test_names_with_slashes_and_marks_have_rollouts_too(home: Path) -> None:
    async with traffic(home) as it:
        await it.start(route="team/pause:100%")
        path = "/rollouts/team%2Fpause%3A100%25"
        assert (await it.admin("GET", path))["route"] == "team/pause:100%"
        assert (await it.admin("POST", f"{path}/pause"))["state"] == "paused"
        assert (await it.admin("POST", f"{path}/abort"))["state"] == "aborted"


async def test_the_public_address_shows_no_rollouts(home: Path) -> None:
    async with (
        running(echo_config(home)) as server,
        server.session.get(f"{server.url}/admin/rollouts") as response,
    ):
        assert response.status == 404


async def test_a_restart_goes_on(home: Path) -> None:
    async with traffic(home) as it:
        await it.start(hold_s=600)
        while (await it.status())["evidence"]["pairs"] < 10:
            await it.ask()
    async with traffic(home) as it:
        found = await it.status()
        assert found["state"] == "running"
        assert found["evidence"]["pairs"] >= 10


async def test_metrics_show_it(home: Path) -> None:
    async with traffic(home) as it:
        await it.start(hold_s=600)
        async with it.server.session.get(f"{it.server.url}/metrics") as response:
            page = await response.text()
    assert f'reshore_rollout_state{{route="{NAME}",state="running"}} 1' in page
    assert f'reshore_rollout_share_ratio{{route="{NAME}"}} 0.5' in page


async def test_a_webhook_without_a_secret_is_told_at_the_start(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"rollout\.webhook needs one secret"):
        async with traffic(home, **{"rollout.webhook": "http://127.0.0.1:9/hook"}):
            pass


async def test_events_are_posted_to_the_webhook(home: Path) -> None:
    (home / "hook.key").write_text("a-secret\n")
    async with ScriptedUpstream() as hook:
        flags = {"rollout.webhook": f"{hook.url}/hook", "rollout.webhook_secret_file": "hook.key"}
        async with traffic(home, **flags) as it:
            await it.start()
            await it.admin("POST", f"/rollouts/{NAME}/abort")
            async with asyncio.timeout(10):
                told = [await hook.received(number) for number in range(2)]
    assert [json.loads(each.body)["event"] for each in told] == ["started", "aborted"]
    assert all("x-reshore-signature" in each.headers for each in told)
