"""What the client makes of an engine that answers, refuses, breaks off, hangs or closes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from reshore.engine.base import Address
from reshore.engine.client import EngineClient
from reshore.errors import ContextTooLong, Crashed, EngineError, RequestError, Stalled, Unsupported
from reshore.testing import FakeEngine, FakeLauncher, fake_model

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

EVENTS = b"data: one\n\ndata: two\n\n"


class ReachableEngine(FakeEngine):
    """A fake engine behind whose address a scripted server listens."""

    url = ""

    @property
    def address(self) -> Address:
        return Address(self.url, "key")


@asynccontextmanager
async def engine_answering(handler: Handler) -> AsyncIterator[tuple[ReachableEngine, EngineClient]]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    model = fake_model()
    engine = ReachableEngine(model, FakeLauncher().plan(model, 10**9))
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await engine.start()
    async with server, aiohttp.ClientSession() as session:
        yield engine, EngineClient(session)
    await engine.stop()


async def request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


def reply(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def read(engine: ReachableEngine, client: EngineClient, timeout_s: float = 5) -> list[bytes]:
    async with client.stream(engine, "/x", {"a": 1}, token_timeout_s=timeout_s) as events:
        payloads: list[bytes] = []
        while not events.ended:
            payloads += events.take(await events.more())
        return payloads


async def test_a_stream_gives_payloads_up_to_done() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = await request(reader)
        assert b"authorization: bearer key" in sent.lower()
        assert sent.endswith(b'{"a":1}')
        writer.write(HEAD + chunk(EVENTS) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()

    async with engine_answering(handler) as (engine, client):
        assert await read(engine, client) == [b"one", b"two"]


async def test_a_request_that_meets_the_end_of_an_old_connection_is_sent_again() -> None:
    served = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await request(reader)
        served += 1
        writer.write(reply(b'{"n":1}'))
        await writer.drain()
        await request(reader)  # the next request on this connection finds it closed

    async with engine_answering(handler) as (engine, client):
        for _ in range(3):
            assert await client.post(engine, "/x", {}, timeout_s=5) == b'{"n":1}'
    assert served == 3


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (
            "400 Bad Request",
            b'{"error":{"type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":4}}',
            ContextTooLong,
        ),
        (
            "500 Error",
            b'{"error":{"message":"input (600 tokens) is too large to process. more"}}',
            ContextTooLong,
        ),
        ("400 Bad Request", b'{"error":{"message":"no"}}', RequestError),
        ("501 Not Implemented", b'{"error":{"message":"no infill"}}', Unsupported),
        ("500 Error", b"<html>", EngineError),
        ("401 Unauthorized", b'{"error":{"message":"key"}}', EngineError),
    ],
)
async def test_refusals_become_our_errors(status: str, body: bytes, error: type[Exception]) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(reply(body, status))
        await writer.drain()

    async with engine_answering(handler) as (engine, client):
        with pytest.raises(error) as caught:
            await read(engine, client)
        assert type(caught.value) is error
        with pytest.raises(error):
            await client.post(engine, "/x", {}, timeout_s=5)


@pytest.mark.parametrize(
    "said", ["Failed to load image or audio file", "Failed to tokenize prompt"]
)
async def test_an_image_that_the_engine_cannot_decode_is_the_messages_fault(said: str) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        body = f'{{"error":{{"code":400,"message":"{said}"}}}}'
        writer.write(reply(body.encode(), "400 Bad Request"))
        await writer.drain()

    async with engine_answering(handler) as (engine, client):
        with pytest.raises(RequestError, match="cannot decode") as caught:
            await read(engine, client)
    assert (caught.value.param, caught.value.code) == ("messages", "image_parse_error")


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n", b"5\r\nxx"])
async def test_a_stream_that_breaks_off_is_a_crash(end: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        engine.crash()
        writer.write(HEAD + chunk(EVENTS) + end)
        await writer.drain()

    async with engine_answering(handler) as (engine, client):
        with pytest.raises(Crashed, match="died") as caught:
            await read(engine, client)
        assert caught.value.log_tail == ("fake engine",)


async def test_a_silent_engine_is_stopped() -> None:
    silent = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(HEAD + chunk(b"data: one\n\n"))
        await writer.drain()
        await silent.wait()

    async with engine_answering(handler) as (engine, client):
        with pytest.raises(Stalled, match="no token for 0"):
            await read(engine, client, timeout_s=0.05)
        assert engine.stops == 1
        silent.set()


async def test_leaving_the_context_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(HEAD + chunk(b"data: one\n\n"))
        await writer.drain()
        assert await reader.read() == b""
        gone.set()

    async with engine_answering(handler) as (engine, client):
        async with client.stream(engine, "/x", {}, token_timeout_s=5) as events:
            assert events.take(await events.more()) == [b"one"]
        await gone.wait()


async def test_a_large_body_arrives_whole() -> None:
    sizes: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sizes.append(len((await request(reader)).partition(b"\r\n\r\n")[2]))
        writer.write(reply(b"{}"))
        await writer.drain()

    async with engine_answering(handler) as (engine, client):
        await client.post(engine, "/x", {"a": "x" * 3_000_000}, timeout_s=30)
    assert sizes == [len('{"a":""}') + 3_000_000]
