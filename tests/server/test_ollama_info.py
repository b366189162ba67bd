"""`/api/tags`, `/api/ps`, `/api/show`, `/api/version`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reshore import __version__
from tests.server.harness import MODEL, Server, echo_config, install, running
from tests.server.ollama import CHAT, GENERATE, answered, chat_of, prompt_of, refused

OTHER = "example.com/team/other:v1"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    install(tmp_path, MODEL, context_length=2048)
    return tmp_path


async def got(server: Server, path: str) -> dict[str, Any]:
    async with server.session.get(server.url + path) as response:
        assert response.status == 200
        reply: dict[str, Any] = await response.json()
        return reply


def moment(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text[:26] + "+00:00")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_version_is_ollamas_and_ours_is_beside_it(server: Server, method: str) -> None:
    async with server.session.request(method, server.url + "/api/version") as response:
        assert response.status == 200
        assert response.headers["x-reshore-version"] == __version__
        if method == "GET":
            major, minor, patch = (await response.json())["version"].split(".")
            assert (int(major), int(minor)) >= (0, 30)
            assert patch.isdigit()


async def test_tags_are_the_models_and_aliases_of_the_other_dialect(home: Path) -> None:
    install(home, OTHER, context_length=512)
    config = echo_config(home, aliases={"gpt-4o-mini": MODEL, "gone": "nobody:1"})
    async with running(config) as server:
        tags = (await got(server, "/api/tags"))["models"]
        theirs = (await got(server, "/v1/models"))["data"]
    assert {tag["name"] for tag in tags} == {item["id"] for item in theirs}
    assert [tag["name"] for tag in tags][-1] == "gpt-4o-mini"
    for tag in tags:
        assert tag["name"] == tag["model"]
        assert len(tag["digest"]) == 64
        assert tag["size"] > 0
        assert moment(tag["modified_at"]) <= datetime.now(UTC)
        assert tag["details"]["format"] == "gguf"
        assert tag["details"]["family"] == "llama"
        assert tag["details"]["families"] == ["llama"]
        assert tag["details"]["quantization_level"] == "F32"
        assert tag["capabilities"] == ["completion"]
    assert {tag["details"]["context_length"] for tag in tags} == {2048, 512}


async def test_an_empty_store_has_an_empty_list(tmp_path: Path) -> None:
    async with running(echo_config(tmp_path)) as server:
        assert await got(server, "/api/tags") == {"models": []}
        assert await got(server, "/api/ps") == {"models": []}


async def test_ps_tells_what_is_loaded_and_until_when(server: Server) -> None:
    before = datetime.now(UTC)
    await answered(server, GENERATE, prompt_of("hi", keep_alive="10m"))
    (row,) = (await got(server, "/api/ps"))["models"]
    assert (row["name"], row["model"]) == (MODEL, MODEL)
    assert row["context_length"] == 2048
    assert row["size"] > 0
    assert row["size_vram"] == 0
    assert row["details"]["family"] == "llama"
    wait = moment(row["expires_at"]) - before
    assert timedelta(minutes=9, seconds=50) < wait < timedelta(minutes=11)
    (tag,) = (await got(server, "/api/tags"))["models"]
    assert row["digest"] == tag["digest"]


async def test_a_keep_alive_stays_until_another_one_is_given(server: Server) -> None:
    await answered(server, GENERATE, prompt_of("hi", keep_alive=-1))
    await answered(server, GENERATE, prompt_of("hi"))
    (row,) = (await got(server, "/api/ps"))["models"]
    assert moment(row["expires_at"]).year > 2200
    await answered(server, CHAT, chat_of("hi", keep_alive="1m"))
    (row,) = (await got(server, "/api/ps"))["models"]
    assert moment(row["expires_at"]) < datetime.now(UTC) + timedelta(minutes=2)


@pytest.mark.parametrize("field", ["model", "name"])
async def test_show_describes_a_model(server: Server, field: str) -> None:
    reply = await answered(server, "/api/show", {field: "tiny"})
    assert reply["details"]["parameter_size"]
    assert reply["capabilities"] == ["completion"]
    assert "im_start" in reply["template"]
    assert reply["modelfile"].splitlines()[-1].startswith(f"FROM {MODEL}")
    assert moment(reply["modified_at"]) <= datetime.now(UTC)
    info = reply["model_info"]
    assert info["general.architecture"] == "llama"
    assert info["llama.context_length"] == 2048
    assert next(key for key in info if "context_length" in key) == "llama.context_length"
    assert info["tokenizer.ggml.tokens"] == []
    assert "tokenizer.chat_template" not in info
    assert "tensors" not in reply


async def test_show_is_complete_when_asked_to_be(server: Server) -> None:
    reply = await answered(server, "/api/show", {"model": MODEL, "verbose": True})
    assert reply["model_info"]["tokenizer.ggml.tokens"][:3] == ["<unk>", "<s>", "</s>"]
    assert {"name": "token_embd.weight", "type": "F32", "shape": [32, 29]} in reply["tensors"]


async def test_a_model_whose_file_is_damaged_is_listed_and_shown_with_a_verdict(
    home: Path,
) -> None:
    (blob,) = (b for b in (home / "models/blobs").iterdir() if b.stat().st_size > 1000)
    blob.chmod(0o600)
    blob.write_bytes(b"no GGUF file at all")
    async with running(echo_config(home)) as server:
        (tag,) = (await got(server, "/api/tags"))["models"]
        assert tag["name"] == MODEL
        assert tag["details"]["family"] == ""
        reply = await answered(server, "/api/show", {"model": MODEL})
    assert reply["model_info"] == {}
    assert reply["reshore"]["verdict"]["state"] == "damaged"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"model": "nobody"}, 404, "model 'nobody' not found"),
        ({}, 400, "model is required"),
        ({"model": "a b"}, 400, 'name "a b" is invalid'),
    ],
)
async def test_what_cannot_be_shown_is_told_in_ollamas_words(
    server: Server, body: dict[str, Any], status: int, text: str
) -> None:
    assert await refused(server, "/api/show", body, status) == text
