"""Routes that change while requests run: none fails, and none sees half of a change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from reshore.testing import ScriptedUpstream
from tests.backends.remote.scripted import Peer, Seen
from tests.server.harness import MODEL, Server, chat_body, echo_config, running
from tests.server.routed import CHAT, DONE, FINISH, STREAM, ask, decided, routed

NAME = "gpt-4o"
CHANGES = 1000
CLIENTS = 2


def wish(step: int) -> dict[str, Any]:
    """Version `step`: the policy, and what its side means, tell by themselves which one it is."""
    if step % 2:
        return {"policy": "cloud", "cloud": f"cloud/model-{step}", "local": ""}
    return {"policy": f"split(local={step + 1}, cloud=0)", "local": MODEL, "cloud": ""}


async def change(server: Server, body: dict[str, Any]) -> int:
    """Set the route; the version that is in force then."""
    async with server.session.put(f"{server.url}/admin/routes/{NAME}", json=body) as response:
        assert response.status == 200, await response.text()
        version: int = (await response.json())["version"]
        return version


class Clients:
    """Applications that ask all the time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.stopped = False
        self.answers = 0

    async def run(self, number: int) -> None:
        while not self.stopped:
            await self.ask_once(stream=number % 2 == 1)
            self.answers += 1

    async def ask_once(self, *, stream: bool) -> int:
        """One request; checks that all that is seen of it is of one version, and gives that."""
        body = chat_body("hi", model=NAME, stream=stream, max_tokens=2)
        async with self._server.session.post(self._server.url + CHAT, json=body) as response:
            data = await response.read()
            assert response.status == 200, data
            decision = decided(response.headers)
        version = int(decision["version"])
        expected = wish(version - 1)
        assert decision["policy"] == expected["policy"]
        assert decision["side"] == ("cloud" if version % 2 == 0 else "local")
        assert _answered_by(data, stream) == (expected["cloud"].partition("/")[2] or MODEL)
        if stream:
            assert data.endswith(b"data: [DONE]\n\n")
        return version


def _answered_by(data: bytes, stream: bool) -> str:
    first = data.removeprefix(b"data: ").partition(b"\n")[0] if stream else data
    model: str = msgspec.json.decode(first)["model"]
    return model


async def test_a_thousand_changes_under_load_fail_and_mix_nothing(home: Path) -> None:
    async with ScriptedUpstream() as cloud:
        config = echo_config(home, upstreams={"cloud": {"url": cloud.url}})
        async with running(config, admin=True) as server:
            clients = Clients(server)
            assert await change(server, wish(0)) == 1
            async with asyncio.TaskGroup() as tasks:
                for number in range(CLIENTS):
                    tasks.create_task(clients.run(number))
                for step in range(1, CHANGES):
                    version = await change(server, wish(step))
                    assert version == step + 1
                    if step % 20 == 0:  # what has been acknowledged is in force for who asks next
                        assert await clients.ask_once(stream=False) >= version
                clients.stopped = True
            assert clients.answers > CLIENTS
            assert [each.error for each in server.outcomes if each.status >= 400] == []
        assert len(list((home / "routes").glob("0*.json"))) == CHANGES


async def test_a_stream_ends_on_the_version_on_which_it_began(home: Path) -> None:
    changed = asyncio.Event()

    async def slow(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(STREAM[0])
        await changed.wait()
        for piece in (*STREAM[1:], FINISH, DONE):
            await peer.chunk(piece)
        await peer.end()

    async with routed(home, '[routes]\n"gpt-4o" = "cloud"\n', slow) as it:
        routes = it.server.app.services.routes
        body = ask(stream=True)
        async with it.server.session.post(it.server.url + CHAT, json=body) as response:
            begun = await response.content.readany()
            await asyncio.to_thread(
                routes.reload, echo_config(home, routes={"gpt-4o": f"local:{MODEL}"})
            )
            changed.set()
            data = begun + await response.read()
        assert data == b"".join((*STREAM, FINISH, DONE))
        assert decided(response.headers)["version"] == "1"
        _, reply = await it.server.post(CHAT, ask())
        assert reply["model"] == MODEL
        assert [each.decision.version for each in it.server.outcomes] == [1, 2]


async def test_a_client_that_hangs_up_leaves_no_change_half_done(home: Path) -> None:
    async with running(echo_config(home), admin=True) as server:
        for step in range(10):
            put = asyncio.create_task(change(server, {"policy": f"local:m{step}"}))
            for _ in range(step):
                await asyncio.sleep(0)
            put.cancel()
            await asyncio.gather(put, return_exceptions=True)
        await change(server, {"policy": "local:last"})
        snapshot = server.app.services.routes.in_force.snapshot
        stored = await asyncio.to_thread(server.app.services.routes.version, snapshot.number)
        assert stored == snapshot
        assert snapshot.route(NAME) is not None
