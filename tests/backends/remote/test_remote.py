"""What an upstream has, whether it is there, and how connections to it are made."""

from __future__ import annotations

import asyncio
import logging
import ssl

import pytest
import trustme

from reshore.errors import BackendTimeout, Overloaded, Unreachable, UpstreamStatus
from reshore.testing import MovableClock
from reshore.types import ModelInfo
from tests.backends.remote.conftest import Connect
from tests.backends.remote.scripted import Peer, Seen, upstream
from tests.backends.remote.test_raw import BODY, CHAT, DONE, FIRST, TARGET, read

LIST = b'{"data":[{"id":"a","created":7,"owned_by":"x"},{"id":"b"},{"name":"c"}],"object":"list"}'


async def send_list(peer: Peer, seen: Seen) -> None:
    await peer.reply(LIST)


async def test_models_are_listed_by_their_names_and_ours(
    connect: Connect, clock: MovableClock
) -> None:
    async with upstream(send_list) as served:
        remote = connect(served.url, models={"small": "a"})
        first, second = await asyncio.gather(remote.models(), remote.models())
        assert first == second
        assert first == (
            ModelInfo(name="a", created_s=7, owned_by="x"),
            ModelInfo(name="b", created_s=0, owned_by="cloud"),
            ModelInfo(name="small", created_s=0, owned_by="cloud"),
        )
        assert len(served.seen) == 1
        assert served.seen[0].headers["authorization"] == "Bearer sk-one"
        await clock.advance(60)
        await remote.models()
        assert (len(served.seen), served.seen[0].path) == (2, "/v1/models")


@pytest.mark.parametrize(("status", "body"), [(500, b"oh"), (200, b"[]"), (200, b"\xff")])
async def test_a_list_that_cannot_be_had_is_a_line_in_the_log(
    connect: Connect, caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(body, status=status)

    async with upstream(script) as served:
        with caplog.at_level(logging.WARNING):
            models = await connect(served.url, models={"small": "a"}).models()
    assert [model.name for model in models] == ["small"]
    assert "the models of cloud are not listed" in caplog.text


async def test_health_is_a_time_or_an_error(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(LIST, status=200 if len(served.seen) == 1 else 503)

    async with upstream(script) as served:
        remote = connect(served.url)
        assert await remote.health() > 0
        with pytest.raises(UpstreamStatus):
            await remote.health()


async def test_a_certificate_of_an_unknown_authority_is_refused(connect: Connect) -> None:
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    async with upstream(send_list, tls=theirs) as served:
        assert await connect(served.url, tls=ours).models()
        with pytest.raises(Unreachable, match="certificate") as caught:
            await read(connect(served.url))
    assert not caught.value.retryable


async def test_connections_at_a_time_are_limited(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(FIRST)
        await more.wait()
        await peer.chunk(DONE)
        await peer.end()

    more = asyncio.Event()
    async with upstream(script) as served:
        remote = connect(served.url, max_connections=1, connect_timeout_s=0.05)
        async with remote.open_raw(TARGET, CHAT, BODY, [], stream=True) as answer:
            with pytest.raises(Overloaded, match="max_connections"):
                await read(remote)
            more.set()
            assert b"".join([frame async for frame in answer.frames]) == FIRST + DONE
        await read(remote)
    assert len(served.seen) == 2


async def test_a_connection_that_does_not_come_about_is_a_timeout(connect: Connect) -> None:
    """TLS that is never answered: the connection stands, the handshake does not end."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BackendTimeout, match=r"no connection to cloud within 0.05 s") as caught:
            await read(connect(f"https://127.0.0.1:{port}/v1", connect_timeout_s=0.05))
    assert caught.value.retryable
