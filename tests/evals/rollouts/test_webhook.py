"""Events that are posted: signed, tried again, given up, and never waited for."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Callable

import pytest

from reshore.evals.rollouts.asked import Event
from reshore.evals.rollouts.webhook import open_webhook
from reshore.testing import MovableClock
from tests.backends.remote.scripted import Peer, Seen, upstream

SECRET = b"a-secret-of-ours"


def event(what: str = "promoted", rollout: int = 1) -> Event:
    return Event(
        event=what,
        rollout=rollout,
        route="gpt-4o-mini",
        to="local",
        state="running",
        share=25.0,
        version=7,
        why="",
        time_s=1.7e9,
        net_win=-0.03,
        evidence={"pairs": 200},
    )


class Receiver:
    """Answers with one status after the other, the last one for ever."""

    def __init__(self, *statuses: int, **headers: str) -> None:
        self._statuses = [*statuses]
        self._headers = headers
        self.got: list[Seen] = []

    async def __call__(self, peer: Peer, seen: Seen) -> None:
        self.got.append(seen)
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        await peer.reply(b"", status=status, **self._headers)


async def until(clock: MovableClock, condition: Callable[[], bool]) -> None:
    """Move the clock on until something is so."""
    async with asyncio.timeout(10):
        while not condition():
            await clock.advance(0.5)


async def test_an_event_is_posted_and_its_signature_proves_who_sent_it() -> None:
    receiver, clock = Receiver(204), MovableClock()
    async with (
        upstream(receiver) as peer,
        open_webhook(f"{peer.url}/hook", SECRET, clock, timeout_s=5) as webhook,
    ):
        webhook.offer(event())
        await until(clock, lambda: bool(receiver.got))
    [seen] = receiver.got
    assert (seen.method, seen.path) == ("POST", "/v1/hook")
    told = json.loads(seen.body)
    assert (told["event"], told["share"], told["evidence"]) == ("promoted", 25.0, {"pairs": 200})
    at, _, signed = seen.headers["x-reshore-signature"].partition(",")
    expected = hmac.new(SECRET, at.removeprefix("t=").encode() + b"." + seen.body, hashlib.sha256)
    assert signed == f"v1={expected.hexdigest()}"
    assert seen.headers["x-reshore-event"] == "promoted"


async def test_what_may_pass_is_tried_again_as_the_same_delivery_and_in_order() -> None:
    receiver, clock = Receiver(503, 429, 200), MovableClock()
    async with (
        upstream(receiver) as peer,
        open_webhook(peer.url, SECRET, clock, timeout_s=5) as webhook,
    ):
        webhook.offer(event("promoted"))
        webhook.offer(event("rolled back"))
        await until(clock, lambda: len(receiver.got) == 4)
        assert webhook.lost == 0
    assert [seen.headers["x-reshore-event"] for seen in receiver.got] == [
        *["promoted"] * 3,
        "rolled_back",
    ]
    assert len({seen.headers["x-reshore-delivery"] for seen in receiver.got}) == 2


@pytest.mark.parametrize(("status", "tries"), [(500, 5), (404, 1), (302, 1)])
async def test_it_is_given_up_and_the_secret_is_in_no_log(
    status: int, tries: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver, clock = Receiver(status, location="http://127.0.0.1:9/elsewhere"), MovableClock()
    async with (
        upstream(receiver) as peer,
        open_webhook(f"{peer.url}/path-of-a-secret", SECRET, clock, timeout_s=5) as webhook,
    ):
        with caplog.at_level(logging.DEBUG, "reshore"):
            webhook.offer(event())
            await until(clock, lambda: webhook.lost == 1)
        assert len(receiver.got) == tries
    [record] = caplog.records
    assert f"status {status}" in record.getMessage()
    assert SECRET.decode() not in str(vars(record))
    assert "path-of-a-secret" not in str(vars(record))


async def test_an_address_where_nobody_listens_holds_nothing_up() -> None:
    clock = MovableClock()
    async with open_webhook("http://127.0.0.1:9/x", SECRET, clock, timeout_s=5) as webhook:
        for number in range(150):
            webhook.offer(event(rollout=number))
        assert webhook.lost == 50
    assert webhook.lost == 150
