"""What has no codec here: sent on to an upstream as it is, and answered as it is."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from reshore.types import Usage
from tests.backends.remote.scripted import Peer, Seen
from tests.server.harness import Server
from tests.server.routed import KEY, decided, routed

RESPONSES = "/v1/responses"


def form_of(**fields: str | bytes) -> aiohttp.FormData:
    """A form, in the order in which its fields are given; bytes are a file."""
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        if isinstance(value, bytes):
            form.add_field(name, io.BytesIO(value), filename=name)
        else:
            form.add_field(name, value)
    return form


async def echo(peer: Peer, seen: Seen) -> None:
    """The body back, with the content type it came with."""
    kind = seen.headers.get("content-type", "text/plain")
    await peer.reply(seen.body, status=201, kind=kind)


async def test_json_goes_by_unchanged_both_ways(home: Path) -> None:
    body = b'{ "model":"gpt-4o",  "input": "Hi", "n\\u0065w": 1.50 }'
    headers = {"content-type": "application/json", "authorization": "Bearer sk-of-the-client"}
    async with routed(home, script=echo) as it:
        url = URL(f"{it.server.url}{RESPONSES}?a=1&b=%2F", encoded=True)
        async with it.server.session.post(url, data=body, headers=headers) as response:
            assert response.status == 201
            assert await response.read() == body
            assert decided(response.headers)["side"] == "cloud"
        [seen] = it.cloud.seen
        assert (seen.method, seen.path) == ("POST", f"{RESPONSES}?a=1&b=%2F")
        assert seen.body == body
        assert seen.headers["authorization"] == f"Bearer {KEY}"
    [outcome] = it.server.outcomes
    assert (outcome.asked_model, outcome.status) == ("gpt-4o", 201)
    assert outcome.attempts[0].answered


async def test_a_route_names_the_upstream_and_the_model(home: Path) -> None:
    toml = '[routes]\n"gpt-*" = "cloud:cloud/gpt-4o-mini"'
    async with routed(home, toml, script=echo) as it:
        _, reply = await it.server.post(RESPONSES, {"model": "gpt-4o", "input": "Hi"})
        assert reply == {"model": "gpt-4o-mini", "input": "Hi"}


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "HEAD"])
async def test_any_method_goes(home: Path, method: str) -> None:
    async with routed(home, script=echo) as it:
        url = it.server.url + "/v1/files/file-1"
        async with it.server.session.request(method, url) as response:
            assert response.status == 201
        assert [seen.method for seen in it.cloud.seen] == [method]


async def test_an_endpoint_of_ours_with_another_method_goes_too(home: Path) -> None:
    async with routed(home, script=echo) as it:
        response = await it.server.session.get(it.server.url + "/v1/chat/completions")
        assert response.status == 201
        response.close()


async def test_a_file_is_not_held_in_memory_on_its_way(home: Path) -> None:
    """The second half is only sent when the upstream is being sent the first."""

    async def count(peer: Peer, seen: Seen) -> None:
        await peer.reply(str(len(seen.body)).encode(), kind="text/plain")

    async with routed(home, script=count) as it:

        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * 300_000
            await it.cloud.reached.wait()
            yield b"y" * 300_000

        headers = {"content-type": "application/octet-stream"}
        url = it.server.url + "/v1/uploads/u1/parts"
        async with it.server.session.post(url, data=pieces(), headers=headers) as response:
            assert await response.text() == "600000"
        assert it.cloud.seen[0].headers["content-type"] == "application/octet-stream"


async def test_a_form_is_routed_by_its_model(home: Path) -> None:
    toml = '[routes]\n"whisper-*" = "cloud:cloud/whisper-large"'
    async with routed(home, toml, script=echo) as it:
        form = form_of(model="whisper-1", file=b"RIFF" + bytes(100_000))
        url = it.server.url + "/v1/audio/transcriptions"
        async with it.server.session.post(url, data=form) as response:
            body = await response.read()
    assert b"whisper-large" in body
    assert b"whisper-1" not in body
    assert b"RIFF" + bytes(100_000) in body
    assert it.server.outcomes[0].asked_model == "whisper-1"


@pytest.mark.parametrize("size", [1, 100_000, 25 * 1024 * 1024])
async def test_a_form_with_its_file_first_is_routed_by_its_model(home: Path, size: int) -> None:
    toml = '[routes]\n"whisper-*" = "cloud:cloud/whisper-large"'
    async with routed(home, toml, script=echo) as it:
        form = form_of(file=b"x" * size, model="whisper-1", language="en")
        url = it.server.url + "/v1/audio/transcriptions"
        async with it.server.session.post(url, data=form) as response:
            assert response.status == 201
            body = await response.read()
    assert b"whisper-large\r\n" in body
    assert b"whisper-1" not in body
    assert body.count(b"x") >= size
    assert it.server.outcomes[0].asked_model == "whisper-1"


async def test_a_form_that_names_no_model_as_far_as_it_is_held_goes_nowhere(home: Path) -> None:
    async with routed(home, "[limits]\nform_bytes = 200000", script=echo) as it:
        form = form_of(file=b"x" * 300_000, model="whisper-1")
        url = it.server.url + "/v1/audio/transcriptions"
        async with it.server.session.post(url, data=form) as response:
            assert response.status == 413
            error = json.loads(await response.read())["error"]
        assert error["param"] == "model"
        assert "limits.form_bytes" in error["message"]
        assert it.cloud.seen == []


async def test_a_form_that_breaks_off_goes_nowhere(home: Path) -> None:
    async with routed(home, script=echo) as it:
        headers = {"content-type": "multipart/form-data; boundary=other"}
        body = b"--a\r\ncontent-disposition: form-data; name=model\r\n\r\nx\r\n--a--\r\n"
        await it.server.post("/v1/audio/transcriptions", body, headers=headers)
        assert it.server.outcomes[0].status == 400
        assert it.cloud.seen == []


async def test_a_file_that_has_no_model_goes_by_whatever_its_size(home: Path) -> None:
    async with routed(home, "[limits]\nform_bytes = 200000", script=echo) as it:
        form = form_of(purpose="batch", file=b"x" * 300_000)
        async with it.server.session.post(it.server.url + "/v1/files", data=form) as response:
            assert response.status == 201
            assert b"x" * 300_000 in await response.read()


@pytest.mark.parametrize("chunked", [False, True])
async def test_json_over_the_limit_goes_nowhere(home: Path, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"model": "gpt-4o", "input": "'
        yield b"x" * 2000 + b'"}'

    async with routed(home, "[limits]\nbody_bytes = 1000", script=echo) as it:
        data = pieces() if chunked else b"".join([each async for each in pieces()])
        headers = {"content-type": "application/json"}
        url = it.server.url + RESPONSES
        async with it.server.session.post(url, data=data, headers=headers) as response:
            assert response.status == 413
            assert json.loads(await response.read())["error"]["code"] == "request_too_large"
        assert it.cloud.seen == []


async def test_a_form_without_a_model_goes_to_the_default_upstream(home: Path) -> None:
    async with routed(home, script=echo) as it:
        form = form_of(purpose="batch", file=b'{"model": "gpt-4o"}')
        async with it.server.session.post(it.server.url + "/v1/files", data=form) as response:
            assert response.status == 201
    assert it.server.outcomes[0].asked_model is None


async def test_a_stream_of_events_comes_as_it_is_sent(home: Path) -> None:
    more = asyncio.Event()

    async def slowly(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(b"event: response.created\ndata: {}\n\n")
        await more.wait()
        await peer.chunk(b"event: response.completed\ndata: {}\n\n")
        await peer.end()

    async with routed(home, script=slowly) as it:
        body = {"model": "gpt-4o", "stream": True}
        async with it.server.session.post(it.server.url + RESPONSES, json=body) as response:
            assert (await response.content.readany()).startswith(b"event: response.created")
            assert response.headers["x-accel-buffering"] == "no"
            more.set()
            assert (await response.read()).startswith(b"event: response.completed")


async def test_what_a_response_costs_is_accounted_for(home: Path) -> None:
    usage = {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 8},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 5},
    }
    reply = {"id": "resp_1", "model": "gpt-5-2025", "output": [], "usage": usage, "tools": []}

    async def respond(peer: Peer, seen: Seen) -> None:
        if json.loads(seen.body).get("stream"):
            event = {"type": "response.completed", "response": reply}
            data = f"event: response.completed\ndata: {json.dumps(event)}\n\n".encode()
            await peer.stream(b'data: {"response":{"usage":null}}\n\n', data[:50], data[50:])
        else:
            await peer.reply(json.dumps(reply).encode())

    async with routed(home, script=respond) as it:
        for stream in (False, True):
            body = {"model": "gpt-5", "input": "Hi", "stream": stream}
            async with it.server.session.post(it.server.url + RESPONSES, json=body) as response:
                await response.read()
    for outcome in it.server.outcomes:
        assert outcome.usage == Usage(
            prompt_tokens=30, completion_tokens=12, cached_tokens=8, reasoning_tokens=5
        )
        assert outcome.model == "gpt-5-2025"
        assert outcome.attempts[0].usage == outcome.usage


async def test_a_reply_that_breaks_off_is_no_whole_reply(home: Path) -> None:
    async def cut(peer: Peer, seen: Seen) -> None:
        await peer.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 9\r\n\r\nabc"
        )
        peer.cut()

    async with routed(home, script=cut) as it:
        async with it.server.session.get(it.server.url + "/v1/files/f/content") as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        await it.server.recorded(1)
    assert it.server.outcomes[0].error == "Disconnected"


async def test_a_client_that_hangs_up_ends_it_upstream(home: Path) -> None:
    async def endless(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(b"data: {}\n\n")
        await peer.watch()

    async with routed(home, script=endless) as it:
        body = {"model": "gpt-4o", "stream": True}
        async with it.server.session.post(it.server.url + RESPONSES, json=body) as response:
            await response.content.readany()
            [peer] = it.cloud.peers()
            response.close()
        await asyncio.wait_for(peer.gone.wait(), 5)


@pytest.mark.parametrize(
    "path", ["/v1/../admin", "/v1/%2e%2e/organization", "/v1/./x", "/v1/a/..%2fb", "/v1/..%5cx"]
)
async def test_no_path_leads_out_of_v1(home: Path, path: str) -> None:
    async with routed(home, script=echo) as it:
        url = URL(it.server.url + path, encoded=True)
        async with it.server.session.get(url) as response:
            assert response.status == 404
        assert it.cloud.seen == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_page_cannot_send_json_as_something_else(home: Path, kind: str) -> None:
    headers = {"origin": "http://localhost:3000", "content-type": kind}
    async with routed(home, script=echo) as it:
        response, reply = await it.server.post(RESPONSES, {"model": "gpt-4o"}, headers=headers)
        assert response.status == 415
        assert reply["error"]["code"] == "unsupported_media_type"
        assert it.cloud.seen == []


@pytest.mark.parametrize("path", ["/v1/realtime?model=gpt-realtime", RESPONSES])
async def test_a_websocket_is_refused_and_not_sent_on_as_a_get(home: Path, path: str) -> None:
    async with routed(home, script=echo) as it:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await it.server.session.ws_connect(it.server.url + path)
        assert refused.value.status == 501
        assert refused.value.headers is not None
        assert refused.value.headers["x-should-retry"] == "false"
        headers = {"connection": "Upgrade", "upgrade": "WebSocket"}
        async with it.server.session.get(it.server.url + path, headers=headers) as response:
            error = json.loads(await response.read())["error"]
        assert error["code"] == "websocket_not_supported"
        assert it.cloud.seen == []


async def test_another_upgrade_is_ignored(home: Path) -> None:
    headers = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c"}
    async with routed(home, script=echo) as it:
        url = it.server.url + "/v1/files"
        async with it.server.session.get(url, headers=headers) as response:
            assert response.status == 201
        assert "upgrade" not in it.cloud.seen[0].headers


async def test_without_an_upstream_there_is_no_such_endpoint(server: Server) -> None:
    error = await server.refusal(RESPONSES, {"model": "gpt-4o"}, status=404)
    assert error["code"] == "unknown_url"


async def test_an_upstream_may_take_no_such_requests(home: Path) -> None:
    async with routed(home, script=echo, forward=False) as it:
        await it.server.refusal(RESPONSES, {"model": "gpt-4o"}, status=404)
        assert it.cloud.seen == []


async def test_our_key_is_not_the_clients_business(home: Path) -> None:
    async def reject(peer: Peer, seen: Seen) -> None:
        await peer.reply(f"Incorrect API key: {KEY}".encode(), status=401)

    async with routed(home, script=reject) as it:
        error = await it.server.refusal(RESPONSES, {"model": "gpt-4o"}, status=502)
        assert error["code"] == "upstream_rejected_key"
        assert KEY not in error["message"]


async def limit_one(peer: Peer, seen: Seen) -> None:
    """The first of two keys is used up."""
    used_up = seen.headers["authorization"] == "Bearer sk-one"
    headers = {"retry_after": "9", "x_ratelimit_remaining_requests": "0"} if used_up else {}
    told = b'{"error":{"message":"slow down"}}' if used_up else b"{}"
    await peer.reply(told, status=429 if used_up else 200, **headers)


async def test_a_key_that_is_used_up_gives_way_to_the_next(home: Path) -> None:
    async with routed(home, script=limit_one, keys="sk-one,sk-two") as it:
        response, _ = await it.server.post(RESPONSES, {"model": "gpt-4o", "input": "Hi"})
        assert response.status == 200
        first, second = it.cloud.seen
        assert first.body == second.body
        assert second.headers["authorization"] == "Bearer sk-two"


async def test_with_all_keys_used_up_the_upstreams_own_words_are_told(home: Path) -> None:
    async with routed(home, script=limit_one, keys="sk-one") as it:
        response, reply = await it.server.post(RESPONSES, {"model": "gpt-4o", "input": "Hi"})
        assert (response.status, reply) == (429, {"error": {"message": "slow down"}})
        assert response.headers["x-ratelimit-remaining-requests"] == "0"
        assert len(it.cloud.seen) == 1


async def test_a_body_that_went_by_in_pieces_is_not_sent_with_another_key(home: Path) -> None:
    async with routed(home, script=limit_one, keys="sk-one,sk-two") as it:

        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * 100_000
            await it.cloud.reached.wait()
            yield b"y" * 100_000

        headers = {"content-type": "application/octet-stream"}
        url = it.server.url + "/v1/uploads/u1/parts"
        for status in (429, 200):
            async with it.server.session.post(url, data=pieces(), headers=headers) as response:
                assert response.status == status
        assert len(it.cloud.seen) == 2


async def test_an_upstream_whose_errors_are_passed_on_is_given_a_rest(home: Path) -> None:
    async def fail(peer: Peer, seen: Seen) -> None:
        await peer.reply(b"{}", status=500)

    async with routed(home, "[routing]\nbreaker_failures = 2", script=fail) as it:
        for status in (500, 500, 503):
            response, _ = await it.server.post(RESPONSES, {"model": "gpt-4o"})
            assert response.status == status
        assert len(it.cloud.seen) == 2


class TestPrivacy:
    async def test_a_name_that_stays_here_is_refused(self, home: Path) -> None:
        async with routed(home, '[privacy]\nnames = ["secret-*"]', script=echo) as it:
            error = await it.server.refusal(RESPONSES, {"model": "secret-1"}, status=403)
            assert error["code"] == "local_only"
            form = form_of(model="secret-1", file=b"x")
            url = it.server.url + "/v1/audio/transcriptions"
            async with it.server.session.post(url, data=form) as response:
                assert response.status == 403
            form = form_of(model="whisper-1", file=b"x")
            async with it.server.session.post(url, data=form) as response:
                assert response.status == 201
            assert len(it.cloud.seen) == 1

    async def test_a_text_that_stays_here_is_refused_wherever_it_stands(self, home: Path) -> None:
        async with routed(home, "[privacy]\npatterns = ['\\bIBAN\\b']", script=echo) as it:
            body = {"model": "gpt-4o", "input": [{"deep": {"er": "my IBAN is"}}]}
            await it.server.refusal(RESPONSES, body, status=403)
            await it.server.refusal(RESPONSES + "?q=IBAN", {"model": "gpt-4o"}, status=403)
            _, reply = await it.server.post(RESPONSES, {"model": "gpt-4o", "input": "fine"})
            assert reply["input"] == "fine"
            assert len(it.cloud.seen) == 1

    async def test_what_cannot_be_looked_into_is_refused(self, home: Path) -> None:
        async with routed(home, "[privacy]\npatterns = ['x']", script=echo) as it:
            form = form_of(model="whisper-1", file=b"y")
            url = it.server.url + "/v1/audio/transcriptions"
            async with it.server.session.post(url, data=form) as response:
                assert response.status == 403
                error = json.loads(await response.read())["error"]
            assert "cannot be looked into" in error["message"]
            async with it.server.session.get(it.server.url + "/v1/files") as response:
                assert response.status == 201

    async def test_a_form_whose_model_is_not_found_is_refused_where_names_matter(
        self, home: Path
    ) -> None:
        async with routed(home, '[privacy]\nnames = ["secret-*"]', script=echo) as it:
            form = form_of(file=b"x" * 100_000, model="secret-1")
            url = it.server.url + "/v1/audio/transcriptions"
            async with it.server.session.post(url, data=form) as response:
                assert response.status == 403
            assert it.cloud.seen == []
