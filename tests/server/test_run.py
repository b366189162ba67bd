"""The whole server: sockets, TLS, signals, the home's lock."""

import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from reshore.config import Config
from reshore.errors import AlreadyRunning
from reshore.server.run import serve
from tests.server.harness import chat_body, echo_config

CHAT = "/v1/chat/completions"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Callable[[], None]]:
    """A server in this process. Yields what tells it to stop, by SIGTERM as in production."""
    ready = asyncio.Event()
    task = asyncio.create_task(serve(config, on_ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    told = False

    def stop() -> None:
        nonlocal told
        if not told and not task.done():  # a second signal would mean: at once
            signal.raise_signal(signal.SIGTERM)
        told = True

    try:
        yield stop
    finally:
        stop()
        await task


def config_at(home: Path, port: int, **flags: Any) -> Config:
    return echo_config(home, host=f"127.0.0.1:{port}", **flags)


async def test_tls_from_certificate_files(home: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(home / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(home / "cert.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    port = free_port()
    config = config_at(home, port, tls_cert=str(home / "cert.pem"), tls_key=str(home / "key.pem"))
    async with serving(config), aiohttp.ClientSession() as session:
        url = f"https://localhost:{port}{CHAT}"
        async with session.post(url, json=chat_body("hi", max_tokens=1), ssl=trusting) as reply:
            assert reply.status == 200
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://localhost:{port}/health")


async def test_sigterm_lets_a_stream_end_and_leaves_no_engine(home: Path) -> None:
    port = free_port()
    async with aiohttp.ClientSession() as session, serving(config_at(home, port)) as stop:
        url = f"http://127.0.0.1:{port}"
        body = chat_body({"tokens": 30, "gap_ms": 10}, stream=True)
        async with session.post(url + CHAT, json=body) as reply:
            await reply.content.readuntil(b"\n\n")
            stop()
            await asyncio.sleep(0)
            async with session.get(url + "/readyz") as ready:
                assert ready.status == 503
            assert (await reply.read()).endswith(b"data: [DONE]\n\n")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_a_stream_longer_than_the_drain_is_cut_with_an_error_event(home: Path) -> None:
    port = free_port()
    body = chat_body({"forever": True, "gap_ms": 5}, stream=True)
    async with (
        aiohttp.ClientSession() as session,
        serving(config_at(home, port, drain_s=0.2)) as stop,
        session.post(f"http://127.0.0.1:{port}{CHAT}", json=body) as reply,
    ):
        await reply.content.readuntil(b"\n\n")
        stop()
        rest = await reply.read()
    assert b"server_shutting_down" in rest.rsplit(b"data: ", 1)[-1]


async def test_the_command_line_reaches_it_over_its_socket_without_a_key(home: Path) -> None:
    port = free_port()
    config = config_at(home, port, api_key="secret")
    path = str(home / "run" / "admin.sock")
    async with (
        serving(config),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as local,
    ):
        async with local.get("http://local/admin/where") as reply:
            assert (await reply.json())["port"] == port
        async with local.post(f"http://local{CHAT}", json=chat_body("hi", max_tokens=1)) as reply:
            assert reply.status == 200


async def test_a_second_server_for_the_same_home_is_refused(home: Path) -> None:
    async with serving(config_at(home, free_port())):
        with pytest.raises(AlreadyRunning, match="RESHORE_HOME"):
            await serve(config_at(home, free_port()), on_ready=lambda: None)
