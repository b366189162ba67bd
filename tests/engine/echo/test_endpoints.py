"""The scripted engine over a real socket: llama.cpp's shapes, its errors, its slots, its faults."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from reshore.config import EchoConfig
from reshore.engine.base import State
from reshore.engine.process import ProcessEngine
from reshore.models.facts import Pooling
from tests.engine.samples import echo_engine, encoder, facts, running, servable

Body = dict[str, Any]


class Client:
    """Asks one engine."""

    def __init__(self, session: aiohttp.ClientSession, engine: ProcessEngine) -> None:
        self.engine = engine
        self._session = session

    async def get(self, path: str) -> Any:
        async with self._session.get(self.engine.address.url + path) as reply:
            return await reply.json()

    async def post(self, path: str, **body: Any) -> tuple[int, Any]:
        async with self._session.post(self.engine.address.url + path, json=body) as reply:
            return reply.status, await reply.json()

    async def events(self, path: str, **body: Any) -> list[Any]:
        """The decoded events of a stream; `[DONE]` as itself."""
        url = self.engine.address.url + path
        async with self._session.post(url, json=body | {"stream": True}) as reply:
            assert reply.headers["content-type"] == "text/event-stream"
            text = await reply.text()
        assert text.endswith("\n\n")
        payloads = [line.removeprefix("data: ") for line in text.split("\n\n")[:-1]]
        return [p if p == "[DONE]" else msgspec.json.decode(p) for p in payloads]

    def open(self, path: str, **body: Any) -> Any:
        return self._session.post(self.engine.address.url + path, json=body | {"stream": True})

    async def busy(self) -> int:
        return sum(slot["is_processing"] for slot in await self.get("/slots"))

    async def until_busy(self, slots: int) -> None:
        async with asyncio.timeout(10):
            while await self.busy() != slots:
                pass


async def connect(engine: ProcessEngine) -> AsyncIterator[Client]:
    async with running(engine):
        headers = {"Authorization": f"Bearer {engine.address.key}"}
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
            yield Client(session, engine)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async for made in connect(echo_engine(tmp_path)):
        yield made


@pytest.fixture
async def embedder(tmp_path: Path) -> AsyncIterator[Client]:
    model = servable(encoder(), capabilities=("embedding",))
    async for made in connect(echo_engine(tmp_path, model=model)):
        yield made


def user(text: str) -> list[Body]:
    return [{"role": "system", "content": "s"}, {"role": "user", "content": text}]


def directed(**directive: Any) -> list[Body]:
    return user("/echo " + msgspec.json.encode(directive).decode())


async def test_a_chat_streams_in_the_engines_shape(client: Client) -> None:
    events = await client.events(
        "/v1/chat/completions",
        messages=user("hello world"),
        max_tokens=2,
        stream_options={"include_usage": True},
    )
    first, hello, world, finish, usage, done = events
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert hello["choices"] == [{"finish_reason": None, "index": 0, "delta": {"content": "hello"}}]
    assert world["choices"][0]["delta"] == {"content": " world"}
    assert finish["choices"] == [{"finish_reason": "length", "index": 0, "delta": {}}]
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 2
    assert usage["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    assert usage["timings"]["predicted_n"] == 2
    assert done == "[DONE]"
    assert {event["object"] for event in events[:-1]} == {"chat.completion.chunk"}
    assert len({event["id"] for event in events[:-1]}) == 1


async def test_without_include_usage_the_timings_are_in_the_finish_chunk(client: Client) -> None:
    *_, finish, done = await client.events("/v1/chat/completions", messages=user("a"))
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert "timings" in finish
    assert "usage" not in finish
    assert done == "[DONE]"


async def test_a_chat_answers_in_one_body(client: Client) -> None:
    status, body = await client.post(
        "/v1/chat/completions", messages=user("a b"), max_tokens=2, n=2
    )
    assert status == 200
    assert [choice["message"]["content"] for choice in body["choices"]] == ["a b", "a b"]
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert body["usage"]["completion_tokens"] == 2  # of one choice, as the real engine counts
    assert body["object"] == "chat.completion"


async def test_several_choices_are_interleaved_with_a_usage_each(client: Client) -> None:
    events = await client.events(
        "/v1/chat/completions",
        messages=user("a b"),
        max_tokens=2,
        n=3,
        stream_options={"include_usage": True},
    )
    assert sum("usage" in event for event in events[:-1]) == 3
    indexes = [event["choices"][0]["index"] for event in events[:-1] if event["choices"]]
    assert indexes[:6] == [0, 1, 2] * 2


async def test_more_choices_than_slots_are_refused(client: Client) -> None:
    status, body = await client.post("/v1/chat/completions", messages=user("a"), n=5)
    assert status == 400
    assert body["error"]["message"] == "Field 'n': Value must be between 1 <= value <= 4, but got 5"


async def test_tool_calls_stream_name_first_and_arguments_in_pieces(client: Client) -> None:
    calls = [{"name": "weather", "arguments": {"city": "Paris", "unit": "celsius"}}]
    events = await client.events(
        "/v1/chat/completions", messages=directed(tool_calls=calls, reasoning="hm")
    )
    deltas = [event["choices"][0]["delta"] for event in events[1:-2]]
    assert deltas[0] == {"reasoning_content": "hm"}
    start, *pieces = [delta["tool_calls"][0] for delta in deltas[1:]]
    assert start["index"] == 0
    assert start["type"] == "function"
    assert start["id"]
    assert start["function"] == {"name": "weather", "arguments": ""}
    assert len(pieces) > 1
    text = "".join(piece["function"]["arguments"] for piece in pieces)
    assert msgspec.json.decode(text) == calls[0]["arguments"]
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_tool_calls_in_one_body_leave_no_content(client: Client) -> None:
    _, body = await client.post(
        "/v1/chat/completions", messages=directed(tool_calls=[{"name": "f"}], reasoning="r")
    )
    message = body["choices"][0]["message"]
    assert message["content"] is None
    assert message["reasoning_content"] == "r"
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}


async def test_logprobs_name_the_token_and_its_rivals(client: Client) -> None:
    asked: Body = {"messages": user("héllo"), "max_tokens": 1, "logprobs": True, "top_logprobs": 2}
    _, body = await client.post("/v1/chat/completions", **asked)
    (entry,) = body["choices"][0]["logprobs"]["content"]
    assert entry["token"] == "héllo"
    assert bytes(entry["bytes"]).decode() == "héllo"
    assert [top["token"] for top in entry["top_logprobs"]] == ["héllo", "héllo1"]
    events = await client.events("/v1/chat/completions", **asked)
    assert events[1]["choices"][0]["logprobs"]["content"] == [entry]


async def test_rivals_without_logprobs_are_refused(client: Client) -> None:
    status, _ = await client.post("/v1/chat/completions", messages=user("a"), top_logprobs=2)
    assert status == 400


async def test_openais_completions_take_text_and_tokens(client: Client) -> None:
    _, by_text = await client.post("/v1/completions", prompt="hi there", max_tokens=3, logprobs=1)
    assert by_text["object"] == "text_completion"
    assert by_text["choices"][0]["text"] == "hi there hi"
    assert len(by_text["choices"][0]["logprobs"]["content"]) == 3
    _, by_tokens = await client.post("/v1/completions", prompt=[104, 105], max_tokens=1)
    assert by_tokens["choices"][0] == {
        "text": "hi",
        "index": 0,
        "logprobs": None,
        "finish_reason": "length",
    }
    *steps, last, done = await client.events(
        "/v1/completions", prompt="a b", max_tokens=2, stream_options={"include_usage": True}
    )
    assert [step["choices"][0]["text"] for step in steps] == ["a", " b"]
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["usage"]["completion_tokens"] == 2
    assert done == "[DONE]"


async def test_native_completions_have_the_native_shape(client: Client) -> None:
    one, two, last = await client.events("/completion", prompt="a b", n_predict=2, n_probs=1)
    assert (one["content"], one["stop"], one["tokens_predicted"]) == ("a", False, 1)
    assert one["completion_probabilities"][0]["token"] == "a"
    assert two["tokens_predicted"] == 2
    assert (last["content"], last["stop"], last["stop_type"]) == ("", True, "limit")
    assert last["tokens_evaluated"] == 3
    _, body = await client.post("/completion", prompt="a b")
    assert body["stop_type"] == "eos"
    assert body["tokens_predicted"] == 16


async def test_infill_answers_between_prefix_and_suffix(client: Client) -> None:
    *_, last = await client.events("/infill", input_prefix="x", input_suffix="y", n_predict=1)
    assert last["prompt"] == "xy"
    status, _ = await client.post("/infill", input_prefix="x")
    assert status == 400


async def test_tokens_go_there_and_back(client: Client) -> None:
    _, found = await client.post("/tokenize", content="añb")
    _, text = await client.post("/detokenize", **found)
    assert text == {"content": "añb"}
    _, pieces = await client.post("/tokenize", content="a", with_pieces=True)
    assert pieces == {"tokens": [{"id": 97, "piece": [97]}]}


async def test_the_template_shows_every_turn(client: Client) -> None:
    _, body = await client.post("/apply-template", messages=user("hi"))
    assert body["prompt"] == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    _, tokens = await client.post("/tokenize", content=body["prompt"])
    _, counted = await client.post("/v1/chat/completions/input_tokens", messages=user("hi"))
    assert counted["input_tokens"] == len(tokens["tokens"])


async def test_a_prompt_beyond_the_context_is_refused_with_the_numbers(client: Client) -> None:
    for path, body in (
        ("/v1/chat/completions", {"messages": user("x" * 300)}),
        ("/completion", {"prompt": "x" * 300, "stream": True}),
    ):
        status, reply = await client.post(path, **body)
        assert status == 400
        assert reply["error"]["type"] == "exceed_context_size_error"
        assert reply["error"]["n_ctx"] == 256
        assert reply["error"]["n_prompt_tokens"] >= 300


async def test_embeddings_need_an_engine_that_embeds(client: Client, embedder: Client) -> None:
    status, body = await client.post("/v1/embeddings", input="a")
    assert (status, body["error"]["type"]) == (501, "not_supported_error")
    status, body = await embedder.post("/v1/completions", prompt="a")
    assert status == 501


async def test_embeddings_are_one_vector_an_input(embedder: Client) -> None:
    _, body = await embedder.post("/v1/embeddings", input=["a", "bc", "a"])
    vectors = [item["embedding"] for item in body["data"]]
    assert len(vectors[0]) == 384
    assert vectors[0] == vectors[2] != vectors[1]
    assert body["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    _, by_tokens = await embedder.post("/v1/embeddings", input=[97])
    assert by_tokens["data"][0]["embedding"] == vectors[0]
    _, encoded = await embedder.post("/v1/embeddings", input="a", encoding_format="base64")
    raw = base64.b64decode(encoded["data"][0]["embedding"])
    assert list(struct.unpack("<384f", raw)) == pytest.approx(vectors[0])


async def test_what_the_last_token_embeds_may_come_in_several_batches(tmp_path: Path) -> None:
    header = facts(context_length=2048, pooling=Pooling.LAST)
    model = servable(header, capabilities=("embedding",))
    async for client in connect(echo_engine(tmp_path, model=model)):
        assert client.engine.plan.micro_batch == 512
        status, _ = await client.post("/v1/embeddings", input="x" * 2047)
        assert status == 200
        status, body = await client.post("/v1/embeddings", input="x" * 2048)
        assert (status, body["error"]["type"]) == (400, "exceed_context_size_error")


async def test_an_input_longer_than_a_batch_is_too_large(embedder: Client) -> None:
    status, body = await embedder.post("/v1/embeddings", input=["a", "x" * 513])
    assert status == 500
    assert "input (513 tokens) is too large to process" in body["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {}),
        ("/v1/chat/completions", {"messages": 5}),
        ("/v1/chat/completions", {"messages": user("/echo {")}),
        ("/v1/chat/completions", {"messages": user("a"), "n": "x"}),
        ("/v1/completions", {}),
        ("/v1/completions", {"prompt": 5}),
        ("/tokenize", {"content": 5}),
        ("/detokenize", {"tokens": "x"}),
        ("/apply-template", {"messages": [5]}),
    ],
)
async def test_malformed_requests_are_400_and_hold_no_slot(
    client: Client, path: str, body: Body
) -> None:
    status, reply = await client.post(path, **body)
    assert status == 400
    assert reply["error"]["type"] == "invalid_request_error"
    assert await client.busy() == 0


async def test_who_has_no_key_learns_only_the_health(client: Client) -> None:
    async with aiohttp.ClientSession() as stranger:
        url = client.engine.address.url
        async with stranger.get(f"{url}/health") as reply:
            assert await reply.json() == {"status": "ok"}
        async with stranger.get(f"{url}/props") as reply:
            assert reply.status == 401
        async with stranger.post(
            f"{url}/completion", json={}, headers={"Authorization": "Bearer ü"}
        ) as reply:
            assert reply.status == 401
            assert (await reply.json())["error"]["type"] == "authentication_error"


async def test_what_is_not_there_is_404(client: Client) -> None:
    assert (await client.get("/nowhere"))["error"]["code"] == 404
    assert (await client.post("/nowhere"))[0] == 404


async def test_the_last_bodies_can_be_read(client: Client) -> None:
    for number in range(70):
        await client.post("/tokenize", content=str(number))
    seen = await client.get("/echo/requests")
    assert len(seen) == 64
    assert seen[-1] == {"path": "/tokenize", "body": {"content": "69"}}


async def test_reflection_answers_the_body(client: Client) -> None:
    body = {"messages": directed(reflect=True), "temperature": 0.5, "max_tokens": 1}
    _, reply = await client.post("/v1/chat/completions", **body)
    assert msgspec.json.decode(reply["choices"][0]["message"]["content"]) == body


async def test_a_status_can_be_asked_for(client: Client) -> None:
    status, _ = await client.post("/v1/chat/completions", messages=directed(status=503))
    assert status == 503


async def test_requests_on_one_connection_are_answered_in_order(client: Client) -> None:
    address = client.engine.address
    host, port = address.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    bodies = [msgspec.json.encode({"prompt": word, "n_predict": 1}) for word in ("one", "two")]
    for body in bodies:
        writer.write(
            f"POST /completion HTTP/1.1\r\nAuthorization: Bearer {address.key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
    answers = []
    for _ in bodies:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        answers.append(msgspec.json.decode(await reader.readexactly(length))["content"])
    assert answers == ["one", "two"]
    writer.write(b"nonsense\r\n\r\n")
    assert await reader.read(1) == b""
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_leaves_frees_its_slots_at_once(client: Client) -> None:
    streams = [
        await client.open("/v1/chat/completions", messages=directed(forever=True), n=2)
        for _ in range(2)
    ]
    assert await client.busy() == 4
    for stream in streams:
        stream.close()
    await client.until_busy(0)


async def test_a_client_that_does_not_read_holds_the_engine_up_only_for_itself(
    client: Client,
) -> None:
    stream = await client.open("/v1/chat/completions", messages=directed(forever=True))
    status, _ = await client.post("/v1/chat/completions", messages=user("a"))
    assert status == 200
    await stream.content.readexactly(4_000_000)  # more than any buffer between: it went on
    stream.close()
    await client.until_busy(0)


async def test_who_comes_when_all_slots_are_busy_waits_and_may_leave(client: Client) -> None:
    held = [await client.open("/completion", prompt='/echo {"forever": true}') for _ in range(4)]
    leaving = asyncio.create_task(client.post("/completion", prompt="a"))
    staying = asyncio.create_task(client.post("/completion", prompt="b", n_predict=1))
    while len(await client.get("/echo/requests")) < 6:
        pass
    leaving.cancel()
    held[0].close()
    _, body = await staying
    assert body["content"] == "b"
    for stream in held:
        stream.close()
    await client.until_busy(0)


async def test_every_token_is_a_segment_and_a_burst_is_one(client: Client) -> None:
    async def reads(**directive: Any) -> int:
        async with client.open(
            "/v1/chat/completions", messages=directed(tokens=20, **directive)
        ) as reply:
            return len([part async for part in reply.content.iter_any()])

    assert await reads(gap_ms=5) > 10  # all 20, when the machine lets us read in time
    assert await reads(burst=True) <= 3


async def test_pauses_are_kept(client: Client) -> None:
    loop = asyncio.get_running_loop()
    slow = {"messages": directed(tokens=6, gap_ms=10, ttft_ms=50)}
    for ask in (client.events, client.post):
        start = loop.time()
        await ask("/v1/chat/completions", **slow)
        assert loop.time() - start >= 0.1


async def stream_of(client: Client, **directive: Any) -> bytes:
    """What of a stream arrives, however it ends."""
    received = b""
    async with client.open("/v1/chat/completions", messages=directed(**directive)) as reply:
        try:
            async for part in reply.content.iter_any():
                received += part
        except (aiohttp.ClientError, OSError):
            received += b"<broken>"
    return received


async def test_an_exit_mid_stream_breaks_it_after_the_asked_tokens(client: Client) -> None:
    received = await stream_of(client, text="one two three", fault="exit", fault_after=2)
    assert b" two" in received
    assert b" three" not in received
    assert received.endswith(b"<broken>")
    assert await client.engine.wait_exit() == 17
    assert client.engine.state is State.FAILED
    assert client.engine.log_tail[-1] == "scripted exit"


async def test_a_cut_breaks_the_stream_and_not_the_engine(client: Client) -> None:
    received = await stream_of(client, text="one two", fault="cut", fault_after=1)
    assert b"one" in received
    assert received.endswith(b"<broken>")
    await client.until_busy(0)


async def test_an_error_event_ends_the_stream(client: Client) -> None:
    received = await stream_of(client, text="one two", fault="error", fault_after=1)
    assert b"one" in received
    last = received.split(b"\n\n")[-2].removeprefix(b"data: ")
    assert msgspec.json.decode(last)["error"]["code"] == 500
    assert b"[DONE]" not in received


async def test_garbage_is_no_json(client: Client) -> None:
    received = await stream_of(client, text="one two", fault="garbage", fault_after=1)
    payload = received.split(b"\n\n")[2].removeprefix(b"data: ")
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(payload)
    assert b" two" in received


async def test_a_hang_keeps_its_slot_until_the_client_leaves(client: Client) -> None:
    stream = await client.open(
        "/v1/chat/completions", messages=directed(text="one two", fault="hang", fault_after=1)
    )
    while b"one" not in await stream.content.readany():
        pass
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.content.readany(), 0.05)
    assert await client.busy() == 1
    stream.close()
    await client.until_busy(0)


@pytest.mark.parametrize("fault", ["error", "garbage", "cut", "hang", "exit"])
async def test_faults_show_in_single_bodies_too(client: Client, fault: str) -> None:
    asked = client.post("/v1/chat/completions", messages=directed(text="a", fault=fault))
    if fault == "error":
        assert (await asked)[0] == 500
    elif fault == "hang":
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked, 0.2)
        await client.until_busy(0)
    else:
        with pytest.raises((msgspec.DecodeError, aiohttp.ClientError, ValueError)):
            await asked


async def test_a_fault_can_be_configured(tmp_path: Path) -> None:
    knobs = EchoConfig(fault="error", fault_after=0, tokens=2)
    async for client in connect(echo_engine(tmp_path, knobs)):
        events = await client.events("/v1/chat/completions", messages=user("a"))
        assert "error" in events[-1]


async def test_props_and_slots_tell_of_the_plan(tmp_path: Path) -> None:
    model = servable(facts(context_length=300))
    async for client in connect(echo_engine(tmp_path, model=model, parallel=2)):
        props = await client.get("/props")
        assert props["total_slots"] == 2
        assert props["default_generation_settings"]["n_ctx"] == 300
        assert [slot["n_ctx"] for slot in await client.get("/slots")] == [300, 300]
