"""Models that were judged unfit, and what models can do, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.harness import Server, chat_body, echo_config, install, running

NOMIC = {"nomic-bert.pooling_type": 1, "nomic-bert.attention.causal": False}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """`gpt-oss` and `forced` are unfit, `base` has no template, `nomic-embed-text` embeds."""
    install(tmp_path, "gpt-oss:20b", architecture="gptoss", context_length=2048)
    install(tmp_path, "forced", architecture="gptoss", context_length=2048)
    install(tmp_path, "base", chat_template=None, context_length=2048)
    install(tmp_path, "named", chat_template=None, context_length=2048)
    install(
        tmp_path,
        "nomic-embed-text",
        architecture="nomic-bert",
        chat_template=None,
        extra=NOMIC,
    )
    (tmp_path / "reshore.toml").write_text(
        "[models.forced]\nforce = true\n[models.'named:latest']\nchat_template = 'gemma'\n"
    )
    async with running(echo_config(tmp_path)) as server:
        yield server


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
async def test_an_unfit_model_is_refused_with_the_reason_and_the_fix(
    server: Server, path: str
) -> None:
    body = {"chat": chat_body("a"), "completions": {"prompt": "a"}, "embeddings": {"input": "a"}}
    asked = next(fields for name, fields in body.items() if name in path)
    error = await server.refusal(path, asked | {"model": "gpt-oss:20b"})
    assert (error["code"], error["param"]) == ("model_unfit", "model")
    assert "needs a fix" in error["message"]
    assert "hf.co/ggml-org/gpt-oss-20b-GGUF" in error["message"]


async def test_a_model_that_is_forced_answers(server: Server) -> None:
    response, reply = await server.post("/v1/completions", {"model": "forced", "prompt": "a b"})
    assert response.status == 200, reply
    assert reply["choices"][0]["text"].startswith("a b")


async def test_a_model_without_a_template_completes_and_does_not_chat(server: Server) -> None:
    error = await server.refusal("/v1/chat/completions", chat_body("a") | {"model": "base"})
    assert "chat template" in error["message"]
    assert "/v1/completions" in error["message"]
    response, reply = await server.post("/v1/completions", {"model": "base", "prompt": "a b"})
    assert response.status == 200, reply


async def test_a_template_that_the_settings_name_makes_it_chat(server: Server) -> None:
    response, reply = await server.post(
        "/v1/chat/completions", chat_body("a b") | {"model": "named"}
    )
    assert response.status == 200, reply


async def test_lists_tell_what_models_can_do(server: Server) -> None:
    async with server.session.get(server.url + "/v1/models") as response:
        listed = {model["id"]: model for model in (await response.json())["data"]}
    assert listed["nomic-embed-text:latest"]["capabilities"] == ["embedding"]
    assert listed["base:latest"]["capabilities"] == ["completion"]
    assert listed["base:latest"]["context_length"] == 2048
    async with server.session.get(server.url + "/api/tags") as response:
        tags = {model["name"]: model for model in (await response.json())["models"]}
    for name, model in listed.items():
        assert tags[name]["capabilities"] == model["capabilities"]
        _, shown = await server.post("/api/show", {"model": name})
        assert shown["capabilities"] == model["capabilities"]


async def test_a_prefix_is_added_on_request_and_said(server: Server) -> None:
    plain = {"model": "nomic-embed-text", "input": "search_query: a"}
    response, wanted = await server.post("/v1/embeddings", plain)
    assert response.status == 200, wanted
    assert "x-reshore-prompt" not in response.headers
    response, found = await server.post(
        "/v1/embeddings", {"model": "nomic-embed-text", "input": "a", "prompt_name": "query"}
    )
    assert response.headers["x-reshore-prompt"] == "query"
    assert found["data"] == wanted["data"]
    error = await server.refusal(
        "/v1/embeddings", {"model": "nomic-embed-text", "input": "a", "prompt_name": "nonsense"}
    )
    assert "it has: query, document" in error["message"]


async def test_ollamas_api_adds_a_prefix_on_request_too(server: Server) -> None:
    plain = {"model": "nomic-embed-text", "input": "search_document: a"}
    _, wanted = await server.post("/api/embed", plain)
    response, found = await server.post(
        "/api/embed", plain | {"input": "a", "prompt_name": "document"}
    )
    assert response.status == 200, found
    assert response.headers["x-reshore-prompt"] == "document"
    assert "x-reshore-ignored" not in response.headers
    assert found["embeddings"] == wanted["embeddings"]


async def test_an_unfit_model_is_refused_on_ollamas_api_in_its_shape(server: Server) -> None:
    response, reply = await server.post("/api/chat", chat_body("a") | {"model": "gpt-oss:20b"})
    assert response.status == 400
    assert set(reply) == {"error"}
    assert "needs a fix" in reply["error"]
    _, shown = await server.post("/api/show", {"model": "gpt-oss:20b"})
    assert shown["reshore"]["verdict"]["state"] == "needs a fix"
