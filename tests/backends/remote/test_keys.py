"""Keys that are limited or refused rest, and no key shows itself."""

from __future__ import annotations

import logging

import pytest

from reshore.backends.remote.keys import AllResting, Key, KeyRing
from reshore.errors import UpstreamStatus
from reshore.testing import MovableClock
from tests.backends.remote.conftest import Connect
from tests.backends.remote.scripted import Peer, Seen, upstream
from tests.backends.remote.test_raw import read


def named(key: Key | None) -> str | None:
    return None if key is None else key.reveal()


def test_the_first_key_that_works_is_used(clock: MovableClock) -> None:
    ring = KeyRing(["a", "b", "c"], clock)
    assert [named(ring.pick("m", first)) for first in (0, 1, 2, 3)] == ["a", "b", "c", "a"]


def test_an_upstream_may_need_no_key(clock: MovableClock) -> None:
    ring = KeyRing([], clock)
    ring.limited(ring.pick("m"), "m", 9.0)
    ring.refused(ring.pick("m"))
    assert ring.pick("m") is None
    assert ring.redact(b"x") == b"x"


async def test_a_limited_key_rests_for_its_model_as_long_as_it_was_told(
    clock: MovableClock,
) -> None:
    ring = KeyRing(["a", "b"], clock)
    ring.limited(ring.pick("m"), "m", 9.0)
    assert (named(ring.pick("m")), named(ring.pick("other"))) == ("b", "a")
    await clock.advance(9.0)
    assert named(ring.pick("m")) == "a"


async def test_a_refused_key_rests_for_every_model(clock: MovableClock) -> None:
    ring = KeyRing(["a", "b"], clock)
    ring.refused(ring.pick("m"))
    assert (named(ring.pick("m")), named(ring.pick("other"))) == ("b", "b")
    await clock.advance(60.0)
    assert named(ring.pick("m")) == "a"


async def test_keys_that_were_all_told_to_wait_wait(clock: MovableClock) -> None:
    ring = KeyRing(["a", "b"], clock)
    ring.limited(ring.pick("m"), "m", 9.0)
    ring.limited(ring.pick("m"), "m", 4.0)
    with pytest.raises(AllResting) as caught:
        ring.pick("m")
    assert caught.value.seconds == pytest.approx(4.0)
    await clock.advance(4.0)
    assert named(ring.pick("m")) == "b"


def test_without_advice_the_one_that_rests_least_is_used(clock: MovableClock) -> None:
    ring = KeyRing(["a", "b"], clock)
    ring.refused(ring.pick("m"))
    ring.limited(ring.pick("m"), "m", None)
    assert named(ring.pick("m")) == "b"


async def test_an_endless_wait_has_an_end(clock: MovableClock) -> None:
    ring = KeyRing(["a"], clock)
    ring.limited(ring.pick("m"), "m", 86_400.0)
    await clock.advance(600.0)
    assert named(ring.pick("m")) == "a"


async def test_rests_of_many_models_are_forgotten(clock: MovableClock) -> None:
    ring = KeyRing(["a"], clock)
    key = ring.pick("m")
    for number in range(300):
        ring.limited(key, f"m{number}", 1.0)
        await clock.advance(1.0)
    assert len(ring._limited) <= 256


def test_a_key_shows_itself_to_nobody(clock: MovableClock) -> None:
    ring = KeyRing(["sk-secret"], clock)
    assert "secret" not in f"{ring!r} {ring.pick('m')!r} {ring.__dict__}"


async def test_a_limited_key_hands_over_and_all_limited_ones_are_not_asked(
    connect: Connect, clock: MovableClock
) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(b'{"error":{"message":"slow down"}}', status=429, retry_after="9")

    async with upstream(script) as served:
        remote = connect(served.url, keys=("sk-one", "sk-two"))
        assert remote.key_count == 2
        for _ in range(2):
            with pytest.raises(UpstreamStatus, match="slow down"):
                await read(remote)
        with pytest.raises(UpstreamStatus, match="add a key") as caught:
            await read(remote)
    assert [seen.headers["authorization"] for seen in served.seen] == [
        "Bearer sk-one",
        "Bearer sk-two",
    ]
    assert (caught.value.status, caught.value.retry_after_s) == (429, 9.0)


async def test_a_refused_key_hands_over(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        if seen.headers["authorization"] == "Bearer sk-one":
            return await peer.reply(b'{"error":{"message":"bad key sk-o*ne"}}', status=401)
        return await peer.reply(b'{"choices":[]}')

    async with upstream(script) as served:
        remote = connect(served.url, keys=("sk-one", "sk-two"))
        with pytest.raises(UpstreamStatus, match="rejects the API key") as caught:
            await read(remote)
        assert caught.value.retryable
        answer, _ = await read(remote)
    assert answer.status == 200
    assert "sk-o" not in f"{caught.value} {caught.value.body!r}"


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_no_key_appears_in_any_output_of_a_failing_request(
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    status: int,
) -> None:
    """An upstream that repeats what it was sent is the worst case."""

    async def script(peer: Peer, seen: Seen) -> None:
        text = seen.headers["authorization"].encode()
        await peer.reply(b'{"error":{"message":"got %b"}}' % text, status=status)

    with caplog.at_level(logging.DEBUG):
        async with upstream(script) as served:
            remote = connect(served.url, keys=("sk-secret",))
            with pytest.raises(UpstreamStatus) as caught:
                await read(remote)
            await remote.models()
            logging.getLogger("reshore").exception("failed", exc_info=caught.value)
    output = capfd.readouterr()
    everything = f"{caught.value!r} {caught.value.body!r} {caplog.text} {output} {remote!r}"
    assert "sk-secret" not in everything
    assert "sk-secret" not in repr(vars(remote))
