"""Completions, embeddings, models, probes and the admin API."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, echo_config, install, running

EMBEDDER = "embedder:latest"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    install(tmp_path, MODEL, context_length=2048)
    install(
        tmp_path,
        EMBEDDER,
        architecture="bert",
        chat_template=None,
        context_length=64,
        extra={"bert.pooling_type": 1, "bert.attention.causal": False},
    )
    return tmp_path


async def test_completions_continue_raw_text_prompt_by_prompt(server: Server) -> None:
    body = {"model": MODEL, "prompt": ["a b", "c d"], "max_tokens": 2, "n": 2}
    response, reply = await server.post("/v1/completions", body)
    assert response.status == 200, reply
    assert reply["object"] == "text_completion"
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2, 3]
    texts = [choice["text"].split() for choice in reply["choices"]]
    assert texts == [["a", "b"]] * 2 + [["c", "d"]] * 2


async def test_a_streamed_completion_says_its_text_finish_and_usage(server: Server) -> None:
    body = {"model": MODEL, "prompt": "a b c", "max_tokens": 2}
    *payloads, done = await server.stream("/v1/completions", body)
    assert done == "[DONE]"
    chunks = [json.loads(payload) for payload in payloads]
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["text"] for choice in choices] == ["a", " b", ""]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "length"]
    assert not any("usage" in chunk for chunk in chunks)

    counted = body | {"stream_options": {"include_usage": True}}
    *payloads, last, _ = await server.stream("/v1/completions", counted)
    assert all(json.loads(payload)["usage"] is None for payload in payloads)
    assert json.loads(last)["choices"] == []
    _, whole = await server.post("/v1/completions", body)
    usage = json.loads(last)["usage"]
    assert usage == whole["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (5, 2)


async def test_echo_puts_each_prompt_before_its_completion(server: Server) -> None:
    body = {"model": MODEL, "prompt": ["a b", "c d"], "max_tokens": 1, "echo": True}
    _, reply = await server.post("/v1/completions", body)
    assert [choice["text"][:3] for choice in reply["choices"]] == ["a b", "c d"]


async def test_best_of_returns_the_likeliest_without_logprobs(server: Server) -> None:
    body = {"model": MODEL, "prompt": "a b", "max_tokens": 2, "best_of": 5, "n": 2}
    response, reply = await server.post("/v1/completions", body)
    assert response.status == 200, reply
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    assert all(choice["logprobs"] is None for choice in reply["choices"])
    assert reply["usage"]["completion_tokens"] == 10


async def test_suffix_needs_infill_tokens(server: Server) -> None:
    body = {"model": MODEL, "prompt": "a", "suffix": "b"}
    error = await server.refusal("/v1/completions", body)
    assert error["param"] == "suffix"


async def test_embeddings_keep_their_order_in_any_number(server: Server) -> None:
    inputs = [f"text {index}" for index in range(600)]
    body = {"model": EMBEDDER, "input": inputs}
    _, reply = await server.post("/v1/embeddings", body)
    assert [item["index"] for item in reply["data"]] == list(range(600))
    _, single = await server.post("/v1/embeddings", body | {"input": "text 599"})
    assert reply["data"][599]["embedding"] == single["data"][0]["embedding"]


async def test_base64_holds_the_same_little_endian_floats(server: Server) -> None:
    body = {"model": EMBEDDER, "input": "hello"}
    _, floats = await server.post("/v1/embeddings", body)
    _, packed = await server.post("/v1/embeddings", body | {"encoding_format": "base64"})
    data = base64.b64decode(packed["data"][0]["embedding"])
    values = struct.unpack(f"<{len(data) // 4}f", data)
    assert values == pytest.approx(floats["data"][0]["embedding"], abs=1e-7)


async def test_every_vector_of_a_batch_is_packed_and_has_its_index(server: Server) -> None:
    body = {"model": EMBEDDER, "input": ["one", "two", "three"]}
    _, floats = await server.post("/v1/embeddings", body)
    _, packed = await server.post("/v1/embeddings", body | {"encoding_format": "base64"})
    assert [item["index"] for item in packed["data"]] == [0, 1, 2]
    assert packed["usage"] == floats["usage"]
    assert len({item["embedding"] for item in packed["data"]}) == 3
    for item, expected in zip(packed["data"], floats["data"], strict=True):
        data = base64.b64decode(item["embedding"], validate=True)
        values = struct.unpack(f"<{len(data) // 4}f", data)
        assert values == pytest.approx(expected["embedding"], abs=1e-7)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": 5}, "encoding_format"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": {}}, "input"),
        ({"input": None}, "input"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_by_field(
    server: Server, fields: dict[str, Any], param: str
) -> None:
    body = {"model": EMBEDDER, "input": "hello"} | fields
    error = await server.refusal("/v1/embeddings", body)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


async def test_dimensions_cut_and_renormalise(server: Server) -> None:
    body = {"model": EMBEDDER, "input": "hello", "dimensions": 4}
    _, reply = await server.post("/v1/embeddings", body)
    vector = reply["data"][0]["embedding"]
    assert len(vector) == 4
    assert sum(value * value for value in vector) == pytest.approx(1)
    error = await server.refusal("/v1/embeddings", body | {"dimensions": 100_000})
    assert error["param"] == "dimensions"


async def test_an_input_over_the_context_is_refused_not_cut(server: Server) -> None:
    body = {"model": EMBEDDER, "input": ["fine", "word " * 500]}
    error = await server.refusal("/v1/embeddings", body)
    assert error["code"] == "context_length_exceeded"


async def test_models_do_only_what_they_can(server: Server) -> None:
    chat = {"model": EMBEDDER, "messages": [{"role": "user", "content": "hi"}]}
    assert (
        "does not support chat" in (await server.refusal("/v1/chat/completions", chat))["message"]
    )


async def test_models_are_listed_and_found_with_slashes_and_aliases(home: Path) -> None:
    install(home, "example.com/team/model:v1")
    config = echo_config(home, aliases={"gpt-4o-mini": MODEL, "gone": "nobody:1", "ft:*": MODEL})
    async with running(config) as server:
        async with server.session.get(server.url + "/v1/models") as response:
            listed = await response.json()
        assert listed["object"] == "list"
        names = [item["id"] for item in listed["data"]]
        assert {MODEL, EMBEDDER, "example.com/team/model:v1", "gpt-4o-mini"} == set(names)
        for name in (MODEL, "tiny", "example.com%2Fteam%2Fmodel:v1", "gpt-4o-mini", "ft:x"):
            async with server.session.get(f"{server.url}/v1/models/{name}") as response:
                assert response.status == 200, name
        async with server.session.get(server.url + "/v1/models/nobody") as response:
            assert response.status == 404
            assert (await response.json())["error"]["code"] == "model_not_found"


async def test_a_model_alone_is_as_it_is_in_the_list(server: Server) -> None:
    async with server.session.get(server.url + "/v1/models") as response:
        listed = (await response.json())["data"]
    for item in listed:
        assert item.keys() >= {"id", "object", "created", "owned_by"}
        assert (item["object"], item["owned_by"]) == ("model", "library")
        assert item["created"] > 1_700_000_000
        async with server.session.get(f"{server.url}/v1/models/{item['id']}") as response:
            assert await response.json() == item


async def test_no_models_are_an_empty_list(tmp_path: Path) -> None:
    async with (
        running(echo_config(tmp_path / "empty")) as server,
        server.session.get(server.url + "/v1/models") as response,
    ):
        assert await response.json() == {"object": "list", "data": []}


async def test_an_alias_answers_and_says_who_did(home: Path) -> None:
    async with running(echo_config(home, aliases={"ft:gpt-4o-mini:*": MODEL})) as server:
        body = {
            "model": "ft:gpt-4o-mini:acme::7",
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 1,
        }
        _, reply = await server.post("/v1/chat/completions", body)
        assert reply["model"] == MODEL
        assert server.outcomes[-1].asked_model == "ft:gpt-4o-mini:acme::7"
        assert server.outcomes[-1].model == MODEL


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_banner_is_the_one_ollamas_clients_look_for(server: Server, method: str) -> None:
    async with server.session.request(method, server.url + "/") as response:
        assert response.status == 200
        assert await response.text() == ("Ollama is running" if method == "GET" else "")


async def test_the_admin_api_tells_and_stops_what_is_loaded(home: Path) -> None:
    async with running(echo_config(home), admin=True) as server:
        await server.chat("hi", max_tokens=1)
        async with server.session.get(server.url + "/admin/loaded") as response:
            (loaded,) = json.loads(await response.text())
        assert loaded["name"] == MODEL
        _, reply = await server.post("/admin/stop", {"model": MODEL})
        assert reply == {"stopped": True}
        async with server.session.get(server.url + "/admin/loaded") as response:
            assert json.loads(await response.text()) == []


async def test_the_admin_api_is_told_of_models_that_were_removed(home: Path) -> None:
    async with running(echo_config(home), admin=True) as server:
        await server.chat("hi", max_tokens=1)
        server.app.services.store.remove(MODEL)
        await server.post("/admin/forget", {"model": MODEL})
        assert server.app.services.pool.loaded() == ()


async def test_preloaded_models_are_there_from_the_start(home: Path) -> None:
    config = echo_config(home, **{"pool.preload": [MODEL, "nobody:1"]})
    async with running(config, admin=True) as server:
        await server.chat("hi", max_tokens=1)
        assert [loaded.name for loaded in server.app.services.pool.loaded()] == [MODEL]
