"""What the ledger has of routed requests when the server has ended."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.backends.remote.scripted import Peer, Seen
from tests.server.harness import MODEL, chat_body
from tests.server.routed import CHAT, STREAM, ask, routed

BOTH = f'[routes]\n"gpt-4o" = {{ policy = "fallback(cloud, local)", local = "{MODEL}" }}\n'


def rows(home: Path, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(home / "ledger.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"SELECT * FROM {table}")]


async def test_each_request_is_one_entry_with_its_attempts(home: Path) -> None:
    async def fail(peer: Peer, seen: Seen) -> None:
        await peer.reply(b"{}", status=500)

    async with routed(home, f"[routing]\nretries = 0\n{BOTH}", ledger=True) as it:
        await it.server.post(CHAT, ask())
        it.cloud.script = fail
        await it.server.post(CHAT, chat_body({"text": "here"}, model="gpt-4o"))
        await it.server.refusal(CHAT, {"model": "gpt-4o", "messages": "no"}, status=400)
        ids = [outcome.request_id for outcome in it.server.outcomes]
    requests, attempts = rows(home, "requests"), rows(home, "attempts")
    assert [row["request_id"] for row in requests] == ids
    found = [(ids.index(row["request_id"]), row["role"], row["answered"]) for row in attempts]
    assert found == [
        (0, "primary", 1),
        (1, "primary", 0),
        (1, "fallback", 1),
        (2, "primary", 0),
        (2, "fallback", 0),
    ]
    assert [row["status"] for row in requests] == [200, 200, 400]
    assert rows(home, "texts") == []


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_said_is_kept_only_where_it_is_asked_for(home: Path, stream: bool) -> None:
    async with routed(home, f"{BOTH}[ledger]\ntexts = 1.0", ledger=True) as it:
        body = ask(stream=stream)
        async with it.server.session.post(it.server.url + CHAT, json=body) as response:
            await response.read()
        native = {"model": MODEL, "prompt": '/echo {"text": "here"}', "stream": stream}
        async with it.server.session.post(it.server.url + "/api/generate", json=native) as response:
            await response.read()
    kept = rows(home, "texts")
    assert [row["answer"] for row in kept] == ["from the cloud", "here"]
    assert '"Hi"' in kept[0]["prompt"]
    assert "/echo" in kept[1]["prompt"]


async def test_what_a_client_hung_up_on_is_kept_as_far_as_it_came(home: Path) -> None:
    async def endless(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(b"".join(STREAM[:2]))
        await peer.watch()

    async with routed(home, f"{BOTH}[ledger]\ntexts = 1.0", endless, ledger=True) as it:
        async with it.server.session.post(it.server.url + CHAT, json=ask(stream=True)) as response:
            await response.content.readany()
            response.close()
        await asyncio.wait_for(it.server.recorded(1), 5)
    assert [row["answer"] for row in rows(home, "texts")] == ["from "]
    [request] = rows(home, "requests")
    assert request["error"] == "ClientGone"
