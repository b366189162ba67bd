"""Many clients of the native API at once: queues, models that make room, and no reload."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from reshore.config import load
from reshore.models.create import create
from reshore.models.recipe import Recipe
from reshore.models.store import Store
from tests.server.harness import MODEL, Server, chat_body, echo_config, install, running
from tests.server.ollama import CHAT, GENERATE, answered, chat_of, lines, prompt_of

CONTEXT = 2048
MODELS = ("one:latest", "two:latest", "three:latest")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in (MODEL, *MODELS):
        install(tmp_path, name, context_length=CONTEXT, extra={"general.version": name})
    return tmp_path


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "reshore.engine")
    return caplog


def loads(log: pytest.LogCaptureFixture, model: str = MODEL) -> int:
    """How often the pool has loaded a model."""
    return [record.getMessage() for record in log.records].count(f"loaded {model}")


async def ps(server: Server) -> list[dict[str, Any]]:
    async with server.session.get(server.url + "/api/ps") as response:
        rows: list[dict[str, Any]] = (await response.json())["models"]
        return rows


OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_ctx": 131072},
    {"num_ctx": CONTEXT},
    {"num_ctx": 512, "num_predict": 3},
    {"num_predict": -1, "num_batch": 64, "num_gpu": 1},
    {"num_predict": 7, "num_thread": 1, "use_mmap": False},
]
KEEP_ALIVES: list[Any] = [None, -1, "1m", 300]


async def test_clients_that_mix_options_share_one_load(
    server: Server, log: pytest.LogCaptureFixture
) -> None:
    """Cold, so that they race for the load too; OpenAI's clients among them."""
    asked = []
    for options in OPTIONS:
        for keep_alive in KEEP_ALIVES:
            fields: dict[str, Any] = {"options": options, "keep_alive": keep_alive}
            asked += [
                (CHAT, chat_of("hi", **fields)),
                (GENERATE, prompt_of("hi", **fields)),
                (GENERATE, {"model": MODEL, **fields}),
            ]
        asked.append(("/v1/chat/completions", chat_body("hi", max_tokens=5)))
    replies = await asyncio.gather(*(server.post(path, body) for path, body in asked))
    assert {response.status for response, _ in replies} == {200}
    assert loads(log) == 1
    assert [row["context_length"] for row in await ps(server)] == [CONTEXT]


async def test_more_models_than_fit_all_answer(home: Path, log: pytest.LogCaptureFixture) -> None:
    async with running(echo_config(home, **{"pool.max_loaded_models": 2})) as server:

        async def ask(number: int) -> None:
            name = MODELS[number % 3]
            text = f"answer {number}"
            reply = await answered(server, CHAT, chat_of({"text": text}) | {"model": name})
            assert (reply["model"], reply["message"]["content"]) == (name, text)

        await asyncio.gather(*(ask(number) for number in range(12)))
        assert len(await ps(server)) == 2
    assert sum(loads(log, name) for name in MODELS) >= 3


async def test_a_second_model_is_loaded_beside_the_first(
    server: Server, log: pytest.LogCaptureFixture
) -> None:
    for name in MODELS[:2] * 2:
        await answered(server, GENERATE, prompt_of("hi") | {"model": name})
    assert [loads(log, name) for name in MODELS] == [1, 1, 0]
    assert {row["name"] for row in await ps(server)} == set(MODELS[:2])


async def test_a_model_that_was_unloaded_is_loaded_anew_and_others_stay(
    server: Server, log: pytest.LogCaptureFixture
) -> None:
    for name in MODELS[:2]:
        await answered(server, GENERATE, {"model": name})
    reply = await answered(server, GENERATE, {"model": MODELS[0], "keep_alive": 0})
    assert reply["done_reason"] == "unload"
    assert [row["name"] for row in await ps(server)] == [MODELS[1]]
    await answered(server, CHAT, chat_of("hi") | {"model": MODELS[0]})
    assert [loads(log, name) for name in MODELS] == [2, 1, 0]


async def test_callers_beyond_the_queue_are_busy_and_the_others_are_answered(home: Path) -> None:
    config = echo_config(home, **{"pool.max_queue": 16, "engine.parallel": 1})
    async with running(config) as server:
        await answered(server, GENERATE, {"model": MODEL})
        body = chat_of({"text": "one two three", "gap_ms": 10})
        replies = await asyncio.gather(*(server.post(CHAT, body) for _ in range(26)))
    busy = [reply for response, reply in replies if response.status == 503]
    served = [reply for response, reply in replies if response.status == 200]
    assert (len(busy), len(served)) == (9, 17)
    assert all("server busy" in reply["error"] for reply in busy)
    assert all(reply["message"]["content"] == "one two three" for reply in served)


async def test_one_client_more_than_slots_each_with_three_questions(home: Path) -> None:
    async with running(echo_config(home, **{"engine.parallel": 3})) as server:

        async def client(number: int) -> None:
            for turn in range(3):
                text = f"client {number} turn {turn}"
                *pieces, last = await lines(server, CHAT, chat_of({"text": text, "gap_ms": 1}))
                assert "".join(line["message"]["content"] for line in pieces) == text
                assert last["done_reason"] == "stop"

        await asyncio.gather(*(client(number) for number in range(4)))
        (loaded,) = server.app.services.pool.loaded()
        assert loaded.slots == 3


async def test_num_ctx_of_the_request_comes_before_the_models_and_the_settings(
    home: Path,
) -> None:
    """The engine's context is the settings'; within it the smaller one counts, by no reload."""
    recipe = Recipe(base=MODEL, parameters={"num_ctx": 600})
    await create(Store(home / "models"), "short", recipe)
    env = {"RESHORE_HOME": str(home), "OLLAMA_CONTEXT_LENGTH": "1024"}
    turn = [{"role": "user", "content": "x" * 300}, {"role": "assistant", "content": "y" * 300}]
    messages = [*turn, {"role": "user", "content": "hi"}]

    async def truncated(model: str, **options: int) -> str | None:
        body = chat_of("", messages=messages, options=options | {"num_predict": 8})
        response, _ = await server.post(CHAT, body | {"model": model})
        assert response.status == 200
        return response.headers.get("x-reshore-truncated")

    async with running(load(env=env, flags={"engine.kind": "echo"})) as server:
        assert await truncated(MODEL) is None
        assert await truncated(MODEL, num_ctx=600) == "messages=2"
        assert await truncated("short") == "messages=2"
        assert await truncated("short", num_ctx=1024) is None
        assert {row["context_length"] for row in await ps(server)} == {1024}
        assert all(loaded.context_length == 1024 for loaded in server.app.services.pool.loaded())
