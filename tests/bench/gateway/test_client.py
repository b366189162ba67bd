"""The load generator of the gateway's bench, against a scripted upstream."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from bench.gateway.client import Failed, Line, at_once, closed_loop, connect, open_loop, request
from reshore.testing import Script, ScriptedUpstream, settle

BODY = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}


class _Wire(asyncio.Transport):
    def write(self, data: object) -> None: ...


def base(upstream: ScriptedUpstream) -> str:
    return upstream.url.removesuffix("/v1")


def chat(upstream: ScriptedUpstream, **more: object) -> bytes:
    return request(base(upstream), BODY | more, {"x-a": "b"})


async def test_a_request_arrives_as_it_was_made() -> None:
    async with ScriptedUpstream() as upstream:
        line = await connect(base(upstream), keep_body=True)
        seen = await line.ask(chat(upstream))
        line.close()
        [arrived] = upstream.requests
        assert (arrived.path, arrived.json()) == ("/v1/chat/completions", BODY)
        assert arrived.headers["x-a"] == "b"
        assert (seen.status, seen.tokens) == (200, 1)
        assert b"one two three" in seen.body
        assert 0 < seen.asked_s <= seen.first_s <= seen.done_s


async def test_tokens_of_a_stream_are_counted_without_its_opening() -> None:
    async with ScriptedUpstream(Script(tokens=50)) as upstream:
        seen = await at_once(base(upstream), chat(upstream, stream=True), clients=3, times=2)
        assert [one.tokens for one in seen] == [50] * 6


async def test_a_token_that_is_cut_in_two_counts_once() -> None:
    line = Line()
    line.connection_made(_Wire())
    answer = line.ask(b"")
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 31\r\n\r\n"
    for piece in (head + b'{"content":"a"} {"cont', b'ent":""} '):
        line.data_received(piece)
    assert (await answer).tokens == 1


async def test_clients_ask_again_until_the_window_is_over() -> None:
    async with ScriptedUpstream(Script(headers_ms=5)) as upstream:
        seen = await closed_loop(base(upstream), chat(upstream), clients=4, window_s=0.1)
        assert len(seen) == upstream.asked >= 8
        assert upstream.connections == 4
        assert all(one.total_ms >= 5 for one in seen)


async def test_at_a_constant_rate_the_wait_for_a_slow_server_counts() -> None:
    """One request stalls, and later ones are sent all the same, over connections of their own."""
    slow, quick = Script(headers_ms=150), Script()
    async with ScriptedUpstream(slow, quick) as upstream:
        seen = await open_loop(base(upstream), chat(upstream), per_s=100, window_s=0.2)
        assert len(seen) == 20
        assert max(one.total_ms for one in seen) >= 150
        assert upstream.connections >= 2
        # Intended times, not those of sending: a hundredth of a second apart.
        asked = [one.asked_s for one in seen]
        gaps = [later - earlier for earlier, later in pairwise(asked)]
        assert gaps == pytest.approx([0.01] * 19)


@pytest.mark.parametrize("script", [Script(status=500), Script(fault="cut")])
async def test_what_is_no_success_is_a_failure(script: Script) -> None:
    async with ScriptedUpstream(script) as upstream:
        with pytest.raises(ExceptionGroup) as caught:
            await at_once(base(upstream), chat(upstream), clients=1)
        assert caught.group_contains(Failed)


async def test_a_connection_that_has_ended_is_asked_in_vain() -> None:
    async with ScriptedUpstream() as upstream:
        line = await connect(base(upstream))
        upstream.close_port()
        async with asyncio.timeout(10):
            while line.open:
                await settle()
        with pytest.raises(Failed, match="has ended"):
            line.ask(chat(upstream))
