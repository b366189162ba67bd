"""Ollama's own Python library, on a real socket against scripted engines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest
from ollama import AsyncClient, Client, ResponseError
from pydantic import BaseModel

from tests.compat.running import Server, wait_until
from tests.compat.scripts import script
from tests.models.sources.scripted_registry import ScriptedRegistry, sha256
from tests.models.tiny import write_tiny_gguf

WORDS = "the quick brown fox jumps"
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
    b"\x1f\x15\xc4\x89\x00\x00\x00\nIDATx\x9cc\x00\x01\x00\x00\x05\x00\x01\r\n-\xb4\x00\x00\x00"
    b"\x00IEND\xaeB`\x82"
)


class Country(BaseModel):
    name: str
    capital: str
    languages: list[str]


CANADA = Country(name="Canada", capital="Ottawa", languages=["English", "French"])


def get_weather(city: str, unit: str = "celsius") -> str:
    """Look up the weather of a city.

    Args:
        city: where
        unit: celsius or fahrenheit
    """
    return f"sunny in {city}, 21 {unit}"


@pytest.fixture
def client(scripted_server: Server) -> Iterator[Client]:
    with Client(host=scripted_server.root) as client:
        yield client


@pytest.fixture
async def async_client(scripted_server: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(host=scripted_server.root) as client:
        yield client


def said(**directive: Any) -> list[dict[str, str]]:
    return [{"role": "user", "content": script(**directive)}]


# Chat and generate


def test_a_chat_has_every_part_that_applications_read(client: Client) -> None:
    reply = client.chat("tiny", said(text=WORDS))
    assert reply.message.role == "assistant"
    assert reply.message.content == WORDS
    assert reply["message"]["content"] == WORDS
    assert reply.done is True
    assert reply.done_reason == "stop"
    assert reply.created_at
    assert reply.eval_count == 5
    assert reply.prompt_eval_count
    for duration in (reply.total_duration, reply.prompt_eval_duration, reply.eval_duration):
        assert duration
        assert duration > 0


def test_a_streamed_chat_gives_the_words_in_order_and_its_counts_at_the_end(client: Client) -> None:
    *parts, last = client.chat("tiny", said(text=WORDS), stream=True)
    assert "".join(part.message.content or "" for part in parts) == WORDS
    assert len(parts) >= 5
    assert not any(part.done for part in parts)
    assert (last.done, last.done_reason, last.message.content) == (True, "stop", "")
    assert last.eval_count == 5


def test_a_prompt_is_answered_whole_and_streamed(client: Client) -> None:
    whole = client.generate("tiny", script(text=WORDS))
    *parts, last = client.generate("tiny", script(text=WORDS), stream=True)
    assert whole.response == "".join(part.response for part in parts) + last.response == WORDS
    assert whole.done_reason == last.done_reason == "stop"
    assert whole.eval_count == last.eval_count == 5
    assert whole.context
    assert last.context == whole.context


async def test_the_async_client_chats_and_generates(async_client: AsyncClient) -> None:
    chat = await async_client.chat("tiny", said(text=WORDS))
    assert chat.message.content == WORDS
    pieces = [
        part.response
        async for part in await async_client.generate("tiny", script(text=WORDS), stream=True)
    ]
    assert "".join(pieces) == WORDS


async def test_leaving_a_stream_frees_its_slot(
    async_client: AsyncClient, scripted_server: Server
) -> None:
    stream = await async_client.chat("tiny", said(forever=True, gap_ms=2), stream=True)
    async for part in stream:
        if part.message.content:
            break
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.to_thread(wait_until, lambda: scripted_server.in_flight() == 0, "free", 10)


def test_thoughts_stand_beside_the_answer(client: Client) -> None:
    reply = client.chat("thinker", said(text="42", reasoning="six times seven"), think=True)
    assert reply.message.thinking == "six times seven"
    assert reply.message.content == "42"
    parts = list(client.chat("thinker", said(text="42", reasoning="six times seven"), stream=True))
    assert "".join(part.message.thinking or "" for part in parts) == "six times seven"


def test_a_model_that_does_not_think_says_so(client: Client) -> None:
    with pytest.raises(ResponseError, match='"tiny" does not support thinking') as caught:
        client.chat("tiny", said(text=WORDS), think=True)
    assert caught.value.status_code == 400
    assert client.chat("tiny", said(text=WORDS), think=False).message.content == WORDS


def test_options_reach_the_engine(client: Client) -> None:
    options = ollama.Options(temperature=0.25, top_k=7, seed=3, num_predict=50, stop=["\n\n"])
    asked = json.loads(client.chat("tiny", said(reflect=True), options=options).message.content)
    assert asked["temperature"] == 0.25
    assert asked["top_k"] == 7
    assert asked["seed"] == 3
    assert asked["stop"] == ["\n\n"]
    assert 50 in (asked.get("max_tokens"), asked.get("n_predict"))


def test_num_predict_cuts_an_answer(client: Client) -> None:
    reply = client.chat("tiny", said(text=WORDS), options={"num_predict": 2})
    assert reply.message.content == "the quick"
    assert reply.done_reason == "length"


def test_logprobs_are_those_of_the_tokens(client: Client) -> None:
    reply = client.chat("tiny", said(text=WORDS), logprobs=True, top_logprobs=2)
    assert reply.logprobs is not None
    assert "".join(each.token for each in reply.logprobs) == WORDS
    assert [len(each.top_logprobs or []) for each in reply.logprobs] == [2] * 5


def test_an_answer_fills_a_pydantic_model(client: Client) -> None:
    reply = client.chat(
        "tiny", said(text=CANADA.model_dump_json()), format=Country.model_json_schema()
    )
    assert Country.model_validate_json(reply.message.content or "") == CANADA
    asked = client.generate("tiny", script(reflect=True), format=Country.model_json_schema())
    assert "capital" in json.loads(asked.response)["grammar"]


def test_json_is_plain_content(client: Client) -> None:
    reply = client.generate("tiny", script(text='{"a": 1}'), format="json")
    assert json.loads(reply.response) == {"a": 1}


@pytest.mark.parametrize("image", [PNG, "path"])
def test_a_model_that_does_not_see_refuses_images(
    client: Client, image: bytes | str, tmp_path: Path
) -> None:
    if image == "path":
        path = tmp_path / "cat.png"
        path.write_bytes(PNG)
        image = str(path)
    with pytest.raises(ResponseError, match=r"does not support (vision|images)") as caught:
        client.chat("tiny", [{"role": "user", "content": "what is it?", "images": [image]}])
    assert caught.value.status_code == 400


# Tools


@pytest.mark.parametrize("model", ["tools", "tiny"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_function_is_offered_called_and_answered(
    client: Client, model: str, stream: bool
) -> None:
    """The library makes the schema of the function, and the arguments are an object."""
    call = {"name": "get_weather", "arguments": {"unit": "celsius", "city": "Paris"}}
    text = f"<tool_call>\n{json.dumps(call)}\n</tool_call>"
    messages: list[Any] = said(**({"tool_calls": [call]} if model == "tools" else {"text": text}))
    if stream:
        parts = list(client.chat(model, messages, tools=[get_weather], stream=True))
        [message] = [part.message for part in parts if part.message.tool_calls]
        assert parts[-1].done
    else:
        message = client.chat(model, messages, tools=[get_weather]).message
    [asked] = message.tool_calls or ()
    assert asked.function.name == "get_weather"
    assert list(asked.function.arguments.items()) == list(call["arguments"].items())
    result = get_weather(**asked.function.arguments)
    messages += [
        message,
        {"role": "tool", "content": result, "tool_name": asked.function.name},
        *said(text="It is sunny."),
    ]
    assert client.chat(model, messages, tools=[get_weather]).message.content == "It is sunny."


def test_a_tools_result_and_its_call_reach_the_engine(client: Client) -> None:
    call = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    messages: list[Any] = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "sunny", "tool_name": "get_weather"},
        *said(reflect=True),
    ]
    asked = json.loads(client.chat("tools", messages, tools=[get_weather]).message.content or "")
    made, result = asked["messages"][1]["tool_calls"][0], asked["messages"][2]
    assert json.loads(made["function"]["arguments"]) == {"city": "Paris"}
    assert result["content"] == "sunny"
    assert result["tool_call_id"] == made["id"]


# Embeddings


def test_texts_are_embedded_one_and_many(client: Client) -> None:
    many = client.embed("team/embed", ["one", "two"])
    one = client.embed("team/embed", "one")
    assert len(many.embeddings) == 2
    assert one.embeddings[0] == pytest.approx(many.embeddings[0])
    assert sum(value * value for value in one.embeddings[0]) == pytest.approx(1, abs=1e-4)
    assert many.prompt_eval_count
    assert many.total_duration
    cut = client.embed("team/embed", "one", dimensions=8)
    assert sum(value * value for value in cut.embeddings[0]) == pytest.approx(1, abs=1e-4)
    assert len(cut.embeddings[0]) == 8


def test_the_old_endpoint_embeds_one_text(client: Client) -> None:
    assert len(client.embeddings("team/embed", "one").embedding) == 32


def test_a_chat_model_embeds_too_and_an_embedding_model_does_not_chat(client: Client) -> None:
    (vector,) = client.embed("tiny", "one").embeddings
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-4)
    with pytest.raises(ResponseError, match='"team/embed" does not support chat'):
        client.chat("team/embed", said(text=WORDS))


# Models


def test_models_are_listed_with_their_details(client: Client) -> None:
    models = {model.model: model for model in client.list().models}
    assert {"tiny:latest", "tools:latest", "team/embed:latest"} <= set(models)
    tiny = models["tiny:latest"]
    assert tiny.size
    assert tiny.digest is not None
    assert len(tiny.digest) == 64
    assert tiny.modified_at is not None
    assert tiny.details is not None
    assert (tiny.details.format, tiny.details.family) == ("gguf", "llama")


def test_a_model_is_shown(client: Client) -> None:
    shown = client.show("tools")
    assert shown.modelinfo is not None
    assert shown.modelinfo["general.architecture"] == "llama"
    assert shown.modelinfo["llama.context_length"] == 4096
    assert shown.capabilities is not None
    assert {"completion", "tools"} <= set(shown.capabilities)
    assert shown.template
    assert shown.modelfile
    assert "FROM" in shown.modelfile


def test_models_in_memory_are_those_that_were_asked(client: Client) -> None:
    client.chat("tiny", said(text=WORDS), keep_alive="10m")
    loaded = {model.model: model for model in client.ps().models}
    assert loaded["tiny:latest"].expires_at is not None
    assert loaded["tiny:latest"].size
    assert loaded["tiny:latest"].context_length == 4096


def test_an_empty_prompt_loads_and_unloads(client: Client) -> None:
    def loaded() -> set[str | None]:
        return {model.model for model in client.ps().models}

    assert client.generate("tools").done_reason == "load"
    assert "tools:latest" in loaded()
    assert client.generate("tools", keep_alive=0).done_reason == "unload"
    wait_until(lambda: "tools:latest" not in loaded(), "unloaded", 10)
    assert client.chat("tools", []).done_reason == "load"


def test_models_are_copied_and_deleted(client: Client) -> None:
    assert client.copy("tiny", "team/copied").status == "success"
    assert client.chat("team/copied", said(text=WORDS)).message.content == WORDS
    assert client.delete("team/copied").status == "success"
    with pytest.raises(ResponseError, match="not found") as caught:
        client.delete("team/copied")
    assert caught.value.status_code == 404
    assert client.chat("tiny", said(text=WORDS)).message.content == WORDS


def test_a_model_is_derived_with_a_system_prompt_and_options(client: Client) -> None:
    statuses = [
        part.status
        for part in client.create(
            "derived",
            from_="tiny",
            system="Be kind.",
            parameters={"temperature": 0.5},
            messages=[ollama.Message(role="user", content="hi")],
            stream=True,
        )
    ]
    assert statuses[-1] == "success"
    shown = client.show("derived")
    assert shown.parameters is not None
    assert "0.5" in shown.parameters
    asked = json.loads(client.chat("derived", said(reflect=True)).message.content or "")
    assert [message["content"] for message in asked["messages"][:2]] == ["Be kind.", "hi"]
    assert asked["temperature"] == 0.5
    client.delete("derived")


def test_a_model_is_made_of_an_uploaded_file(client: Client, tmp_path: Path) -> None:
    file = write_tiny_gguf(tmp_path / "new.gguf", name="new", context_length=4096)
    digest = client.create_blob(file)
    assert client.create_blob(file) == digest  # there already
    assert client.create("uploaded", files={"new.gguf": digest}).status == "success"
    assert client.chat("uploaded", said(text=WORDS)).message.content == WORDS
    client.delete("uploaded")


async def test_a_pull_tells_its_progress(async_client: AsyncClient, tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "far.gguf", name="far", context_length=4096).read_bytes()
    async with ScriptedRegistry(model).serve() as registry:
        parts = [
            part
            async for part in await async_client.pull(registry.name, insecure=True, stream=True)
        ]
        whole = await async_client.pull(registry.name, insecure=True)
    statuses = [part.status for part in parts]
    assert statuses[0] == "pulling manifest"
    assert statuses[-1] == whole.status == "success"
    assert "writing manifest" in statuses
    [*_, last] = [part for part in parts if part.total and part.digest == sha256(model)]
    assert last.completed == last.total == len(model)
    name = registry.name.removeprefix("http://")
    assert (await async_client.chat(name, said(text=WORDS))).message.content == WORDS
    await async_client.delete(name)


async def test_a_pull_of_nothing_fails_in_the_stream_or_with_a_status(
    async_client: AsyncClient,
) -> None:
    async with ScriptedRegistry(b"").serve() as registry:
        name = registry.name.replace("ns/model", "ns/nothing")
        with pytest.raises(ResponseError, match="pull model manifest: file does not exist"):
            async for _ in await async_client.pull(name, insecure=True, stream=True):
                pass
        with pytest.raises(ResponseError, match="file does not exist"):
            await async_client.pull(name, insecure=True)


# Errors


def test_an_unknown_model_is_not_found(client: Client) -> None:
    for ask in (
        lambda: client.chat("nobody", said(text=WORDS)),
        lambda: client.generate("nobody", "hello"),
        lambda: client.show("nobody"),
        lambda: client.embed("nobody", "hello"),
    ):
        with pytest.raises(ResponseError, match="nobody") as caught:
            ask()
        assert caught.value.status_code == 404
        assert "not found" in caught.value.error


def test_a_failure_in_mid_stream_is_raised_after_what_was_said_before(client: Client) -> None:
    stream = client.chat(
        "tiny", said(text=WORDS, fault="error", fault_after=2, gap_ms=5), stream=True
    )
    heard = [next(stream).message.content, next(stream).message.content]
    with pytest.raises(ResponseError):
        list(stream)
    assert heard == ["the", " quick"]


def test_a_full_queue_is_busy(narrow_server: Server) -> None:
    headers = {"Authorization": "Bearer sk-compat-0123456789"}
    with Client(host=narrow_server.root, headers=headers) as client:
        stream = client.chat("tiny", said(forever=True, gap_ms=2), stream=True)
        next(stream)
        with pytest.raises(ResponseError, match="server busy") as caught:
            client.chat("tiny", said(text=WORDS))
        assert caught.value.status_code == 503
        stream.close()  # type: ignore[attr-defined]
    wait_until(lambda: narrow_server.in_flight() == 0, "the slot is free", 10)


def test_a_server_with_a_key_asks_for_it(narrow_server: Server) -> None:
    with Client(host=narrow_server.root) as client, pytest.raises(ResponseError) as caught:
        client.list()
    assert caught.value.status_code == 401
