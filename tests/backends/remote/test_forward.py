"""What has no codec here goes by as it is, in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from reshore.errors import (
    BackendTimeout,
    BadReply,
    BodyTooLarge,
    Unreachable,
    UpstreamStatus,
)
from reshore.types import Target
from tests.backends.remote.conftest import Connect
from tests.backends.remote.scripted import Peer, Seen, upstream

TARGET = Target(side="cloud", backend="cloud", model="")


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_multipart_upload_arrives_as_it_was_sent(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(b'{"id":"file-1"}', x_request_id="up-1", set_cookie="a=b")

    headers = [
        (b"content-type", b"multipart/form-data; boundary=x"),
        (b"content-length", b"6"),
        (b"authorization", b"Bearer sk-client"),
    ]
    async with upstream(script) as served:
        body = pieces(b"abc", b"\x00\xff\n")
        remote = connect(served.url)
        async with remote.forward(TARGET, "POST", "/v1/files?a=%2F", headers, body) as answer:
            frames = [frame async for frame in answer.frames]
    seen = served.seen[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/files?a=%2F", b"abc\x00\xff\n")
    assert seen.headers["content-type"] == "multipart/form-data; boundary=x"
    assert seen.headers["authorization"] == "Bearer sk-one"
    assert "transfer-encoding" not in seen.headers
    assert (answer.status, frames, answer.stream) == (200, [b'{"id":"file-1"}'], False)
    assert answer.headers == [
        (b"content-type", b"application/json"),
        (b"content-length", b"15"),
        (b"x-upstream-request-id", b"up-1"),
    ]


async def test_a_body_without_length_goes_in_chunks(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(b"{}")

    async with upstream(script) as served:
        remote = connect(served.url)
        async with remote.forward(TARGET, "POST", "/v1/x", [], pieces(b"ab", b"c")) as answer:
            assert answer.status == 200
    assert served.seen[0].headers["transfer-encoding"] == "chunked"
    assert served.seen[0].body == b"abc"


async def test_pieces_of_the_reply_come_as_they_arrive(connect: Connect) -> None:
    more = asyncio.Event()

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.start(kind="audio/mpeg")
        await peer.chunk(b"\x00one")
        await more.wait()
        await peer.chunk(b"two")
        await peer.end()

    async with upstream(script) as served:
        remote = connect(served.url)
        async with remote.forward(TARGET, "POST", "/v1/audio/speech", [], b"{}") as answer:
            assert await anext(answer.frames) == b"\x00one"
            more.set()
            assert [frame async for frame in answer.frames] == [b"two"]
            assert answer.stream
            assert (b"content-type", b"audio/mpeg") in answer.headers


@pytest.mark.parametrize("status", [204, 304, 400, 404, 500])
async def test_a_status_is_passed_on(connect: Connect, status: int) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(b"" if status in (204, 304) else b"no", status=status, kind="text/plain")

    async with (
        upstream(script) as served,
        connect(served.url).forward(TARGET, "GET", "/v1/files/7", []) as answer,
    ):
        body = b"".join([frame async for frame in answer.frames])
    assert answer.status == status
    assert body == (b"" if status in (204, 304) else b"no")
    assert (answer.fault is not None) == (status >= 400)


async def test_a_limited_key_rests_and_the_next_is_used(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        limited = seen.headers["authorization"] == "Bearer sk-one"
        await peer.reply(b"{}", status=429 if limited else 200, retry_after="9")

    async with upstream(script) as served:
        remote = connect(served.url, keys=("sk-one", "sk-two"))
        for status in (429, 200):
            async with remote.forward(TARGET, "GET", "/v1/files", []) as answer:
                assert answer.status == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_error_says_what_it_means(connect: Connect, method: str) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        told = b"" if method == "HEAD" else b'{"error":{"message":"slow","code":"busy"}}'
        await peer.reply(told, status=503, retry_after="9")

    async with upstream(script) as served:
        async with connect(served.url).forward(TARGET, method, "/v1/files", []) as answer:
            _ = [frame async for frame in answer.frames]
        assert answer.fault is not None
        assert (answer.fault.status, answer.fault.retry_after_s) == (503, 9.0)
        assert answer.fault.code == ("busy" if method == "GET" else None)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_word_on_our_key_is_not_passed_on(connect: Connect, status: int) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(b'{"error":{"message":"bad sk-o*ne"}}', status=status)

    async with upstream(script) as served:
        with pytest.raises(UpstreamStatus) as caught:
            async with connect(served.url).forward(TARGET, "GET", "/v1/files", []):
                pass
    assert caught.value.status == status
    assert "sk-o" not in f"{caught.value} {caught.value.body!r}"


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_an_error_that_repeats_our_key_is_redacted(connect: Connect, status: int) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        told = b'{"error":{"message":"bad sk-one"}}'
        await peer.reply(told, status=status, x_request_id="of Bearer sk-one")

    async with (
        upstream(script) as served,
        connect(served.url).forward(TARGET, "GET", "/v1/files", []) as answer,
    ):
        body = b"".join([frame async for frame in answer.frames])
    assert body == b'{"error":{"message":"bad [key]"}}'
    assert (b"content-length", b"%d" % len(body)) in answer.headers
    assert (b"x-upstream-request-id", b"of Bearer [key]") in answer.headers
    assert answer.status == status


async def test_a_redirect_is_not_followed(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.reply(b"", status=302, location="http://127.0.0.1:1/")

    async with upstream(script) as served:
        with pytest.raises(BadReply):
            async with connect(served.url).forward(TARGET, "GET", "/v1/files", []):
                pass


async def test_what_went_wrong_with_the_body_comes_out_unchanged(connect: Connect) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        raise BodyTooLarge("too much")

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.watch()

    async with upstream(script) as served:
        with pytest.raises(BodyTooLarge):
            async with connect(served.url).forward(TARGET, "POST", "/v1/files", [], body()):
                pass


async def test_silence_has_its_limits(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        if seen.path == "/v1/headers":
            return await peer.watch()
        await peer.start(kind="audio/mpeg")
        await peer.chunk(b"one")
        return await peer.watch()

    async with upstream(script) as served:
        remote = connect(served.url, first_token_timeout_s=0.05, total_timeout_s=0.05)
        with pytest.raises(BackendTimeout, match="did not answer"):
            async with remote.forward(TARGET, "GET", "/v1/headers", []):
                pass
        async with remote.forward(TARGET, "GET", "/v1/body", []) as answer:
            assert await anext(answer.frames) == b"one"
            with pytest.raises(BackendTimeout, match="sent nothing"):
                await anext(answer.frames)


async def test_a_cut_is_an_error(connect: Connect) -> None:
    async def script(peer: Peer, seen: Seen) -> None:
        await peer.start(kind="audio/mpeg")
        await peer.chunk(b"one")
        peer.writer.write_eof()

    async with (
        upstream(script) as served,
        connect(served.url).forward(TARGET, "GET", "/v1/body", []) as answer,
    ):
        with pytest.raises(Unreachable):
            _ = [frame async for frame in answer.frames]
