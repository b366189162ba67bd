"""Malformed and hostile input: always a 4xx with a message, never a 5xx."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, chat_body, echo_config, running

CHAT = "/v1/chat/completions"
PATHS = (CHAT, "/v1/completions", "/v1/embeddings")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model":',
        b"[]",
        b"null",
        b"3",
        b'"text"',
        b"\xff\xfe",
        b'{"model":"\xc3\x28"}',
        b'{"model":NaN}',
        b'{"temperature":1e999}',
        b'{"model":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"model":{}}',
        b'{"model":null}',
        b"{}",
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_no_body_is_a_server_error(server: Server, path: str, body: bytes) -> None:
    error = await server.refusal(path, body)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


WRONG: list[dict[str, Any]] = [
    {"messages": []},
    {"messages": "hi"},
    {"messages": [None]},
    {"messages": [{"role": "alien", "content": "x"}]},
    {"messages": [{"role": "user"}]},
    {"messages": [{"role": "user", "content": 3}]},
    {"messages": [{"role": "user", "content": [{"type": "nothing"}]}]},
    {"messages": [{"role": "tool", "content": "x"}]},
    {"temperature": "hot"},
    {"temperature": -1},
    {"top_p": 2},
    {"n": 0},
    {"n": 10_000},
    {"max_tokens": -5},
    {"max_tokens": 1.5},
    {"stop": ["a"] * 10_000},
    {"logit_bias": {"x": 1}},
    {"logit_bias": {"99999999999": 1}},
    {"top_logprobs": 1_000_000, "logprobs": True},
    {"seed": 2**80},
    {"tools": [{}]},
    {"tools": {}},
    {"tool_choice": "sometimes"},
    {"tool_choice": {"type": "function", "function": {"name": "absent"}}},
    {"response_format": {"type": "xml"}},
    {"response_format": {"type": "json_schema"}},
    {"stream": "yes"},
    {"stream_options": {"include_usage": True}},
    {"keep_alive": "soon"},
    {"num_ctx": -1},
    {"grammar": 'root ::= "x"'},
    {"n_discard": -1},
    {"model": "../../etc/passwd"},
    {"model": "a" * 5000},
    {"model": "m\r\nx"},
]


@pytest.mark.parametrize("fields", WRONG, ids=lambda fields: json.dumps(fields)[:50])
async def test_wrong_values_are_refused_with_a_message(
    server: Server, fields: dict[str, Any]
) -> None:
    response, reply = await server.post(CHAT, chat_body("hi") | fields)
    assert response.status in (400, 404), reply
    assert reply["error"]["message"]


async def test_a_body_over_the_limit_is_refused_before_it_is_read(home: Path) -> None:
    async with running(echo_config(home, **{"limits.body_bytes": 100_000})) as server:
        error = await server.refusal(CHAT, b"x" * 1_000_000, 413)
        assert error["code"] == "request_too_large"

        async def pieces() -> Any:
            for _ in range(300):
                yield b"x" * 1000

        async with server.session.post(server.url + CHAT, data=pieces()) as response:
            assert response.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br"])
async def test_compressed_bodies_are_refused(server: Server, encoding: str) -> None:
    response, reply = await server.post(CHAT, b"x", headers={"content-encoding": encoding})
    assert response.status == 415
    assert "compressed" in reply["error"]["message"]


async def test_an_unknown_model_says_what_to_do(server: Server) -> None:
    error = await server.refusal(CHAT, chat_body("hi") | {"model": "tinny"}, 404)
    assert error["code"] == "model_not_found"
    assert MODEL in error["message"]
    error = await server.refusal(CHAT, chat_body("hi") | {"model": "llama9:900b"}, 404)
    assert "reshore pull llama9:900b" in error["message"]


async def test_unknown_paths_and_methods_answer_in_openais_shape(server: Server) -> None:
    async with server.session.get(server.url + "/v1/nothing") as response:
        assert response.status == 404
        error = (await response.json())["error"]
        assert error["code"] == "unknown_url"
        assert error["message"].endswith("see docs/compatibility.md")
    async with server.session.get(server.url + "/api/nothing") as response:
        assert response.status == 404
        assert (await response.json())["error"].endswith("see docs/compatibility-ollama.md")
    async with server.session.get(server.url + CHAT) as response:
        assert response.status == 405
        assert (await response.json())["error"]["code"] == "method_not_supported"


async def test_pages_of_other_sites_are_refused(server: Server) -> None:
    evil = {"origin": "https://evil.example"}
    response, _ = await server.post(CHAT, chat_body("hi"), headers=evil)
    assert response.status == 403
    response, _ = await server.post(CHAT, chat_body("hi"), headers={"host": "evil.example"})
    assert response.status == 403
    local = {"origin": "http://localhost:3000", "content-type": "text/plain"}
    response, _ = await server.post(CHAT, chat_body("hi"), headers=local)
    assert response.status == 415


async def test_local_pages_may_ask_and_are_told_so(server: Server) -> None:
    origin = "http://localhost:3000"
    headers = {"origin": origin, "access-control-request-headers": "x-stainless-lang"}
    async with server.session.options(server.url + CHAT, headers=headers) as response:
        assert response.status == 204
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["access-control-allow-headers"] == "x-stainless-lang"
    response, _ = await server.post(CHAT, chat_body("hi", max_tokens=1), headers={"origin": origin})
    assert response.headers["access-control-allow-origin"] == origin


async def test_with_keys_every_path_but_the_probes_needs_one(home: Path) -> None:
    async with running(echo_config(home, api_key="sk-1,sk-2")) as server:
        for path in ("/v1/models", "/v1/models/tiny:latest", "/nothing"):
            async with server.session.get(server.url + path) as response:
                assert response.status == 401, path
                assert (await response.json())["error"]["code"] == "invalid_api_key"
        for path in ("/", "/health", "/healthz", "/livez", "/readyz"):
            async with server.session.get(server.url + path) as response:
                assert response.status == 200, path
        headers = {"authorization": "Bearer sk-2"}
        async with server.session.get(server.url + "/v1/models", headers=headers) as response:
            assert response.status == 200


async def test_the_admin_api_is_not_on_the_public_address(server: Server) -> None:
    async with server.session.get(server.url + "/admin/loaded") as response:
        assert response.status == 404


async def test_a_control_character_in_a_key_ends_no_header_and_begins_no_event(
    server: Server,
) -> None:
    key = 'a\rdata: {"x": 1}\r\r\u2028\x00'
    schema = {
        "type": "object",
        "properties": {key: {"type": "integer", "multipleOf": 1000003}},
        "required": [key],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = chat_body({"text": json.dumps({key: 5})}, response_format=wanted)
    response, _ = await server.post(CHAT, body)
    told = response.headers["x-reshore-schema-violation"]
    assert told == 'a data: {"x": 1}    : 5 is not a multiple of 1000003'
    *_, comment, end = await server.stream(CHAT, body)
    assert comment == f": x-reshore-schema-violation: {told}"
    assert end == "[DONE]"


async def test_a_schema_whose_references_fan_out_stops_nobody(server: Server) -> None:
    levels = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(30)}
    leaf = {"type": "integer", "multipleOf": 7}
    schema = {"$defs": {**levels, "d30": leaf}, "$ref": "#/$defs/d0"}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    response, _ = await server.post(CHAT, chat_body({"text": "5"}, response_format=wanted, n=16))
    told = response.headers["x-reshore-schema-violation"]
    assert told.startswith("not checked to the end: the schema is too costly")
