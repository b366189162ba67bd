"""Models that `FROM` makes of another: one engine, and for each request its own model."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reshore.models.create import create
from reshore.models.recipe import Recipe
from reshore.models.store import Store
from reshore.server.app import App
from reshore.types import Message
from tests.server.harness import MODEL, Server, echo_config, running
from tests.server.ollama import CHAT, GENERATE, REFLECT, answered, chat_of, engine_body, prompt_of

PIRATE, BUTLER = "pirate:latest", "butler:latest"


@pytest.fixture
async def server(server: Server) -> Server:
    store = Store(server.app.services.config.home / "models")
    example = (Message(role="user", content="Tea?"), Message(role="assistant", content="Sir."))
    options = {"num_predict": 3, "temperature": 0.25}
    await create(store, "pirate", Recipe(base=MODEL, system="Arr.", parameters=options))
    await create(store, "butler", Recipe(base="pirate", system="Sir?", messages=example))
    return server


def pids(app: App) -> set[int | None]:
    return {one.pid for one in app.services.pool.loaded()}


async def ps(server: Server) -> dict[str, dict[str, Any]]:
    async with server.session.get(server.url + "/api/ps") as response:
        return {row["name"]: row for row in (await response.json())["models"]}


async def test_derived_models_and_copies_are_one_load(server: Server) -> None:
    server.app.services.store.copy(MODEL, "copied")
    names = (MODEL, PIRATE, BUTLER, "copied:latest")
    asked = [chat_of("hi") | {"model": name} for name in names * 3]
    replies = await asyncio.gather(*(answered(server, CHAT, body) for body in asked))
    assert [reply["model"] for reply in replies] == list(names * 3)
    assert len(pids(server.app)) == 1
    assert set(await ps(server)) == set(names)


async def test_each_request_gets_the_prompt_the_examples_and_the_options_of_its_model(
    server: Server,
) -> None:
    async def sent(name: str) -> tuple[list[str], Any, Any]:
        body = await engine_body(server, CHAT, chat_of(REFLECT) | {"model": name})
        said = [message["content"] for message in body["messages"][:-1]]
        return said, body.get("max_tokens"), body.get("temperature")

    plain = await sent(MODEL)
    assert plain[0] == []
    assert await sent(PIRATE) == (["Arr."], 3, 0.25)
    assert await sent(BUTLER) == (["Sir?", "Tea?", "Sir."], 3, 0.25)
    assert await sent(MODEL) == plain
    assert len(pids(server.app)) == 1


async def test_raw_completions_use_the_options_of_the_model_that_was_asked(server: Server) -> None:
    for name, count in ((MODEL, 16), (PIRATE, 3)):
        reply = await answered(server, GENERATE, prompt_of("x", raw=True) | {"model": name})
        assert (reply["model"], reply["eval_count"]) == (name, count)


async def test_a_name_that_gets_another_prompt_is_not_loaded_anew(server: Server) -> None:
    await answered(server, GENERATE, {"model": PIRATE})
    before = pids(server.app)
    await create(server.app.services.store, "pirate", Recipe(base=MODEL, system="Ahoy."))
    body = await engine_body(server, CHAT, chat_of(REFLECT) | {"model": PIRATE})
    assert body["messages"][0]["content"] == "Ahoy."
    assert pids(server.app) == before
    digest = server.app.services.store.get(PIRATE).digest
    assert {row["digest"] for row in (await ps(server)).values()} == {digest}


async def test_a_deleted_model_leaves_the_engine_to_the_others(server: Server) -> None:
    for name in (PIRATE, BUTLER):
        await answered(server, GENERATE, {"model": name})
    before = pids(server.app)
    async with server.session.delete(server.url + "/api/delete", json={"model": PIRATE}) as reply:
        assert reply.status == 200
    assert set(await ps(server)) == {BUTLER}
    assert pids(server.app) == before


async def test_settings_of_its_own_give_a_model_an_engine_of_its_own(server: Server) -> None:
    flags = {"models": {"pirate": {"parallel": 1}, "butler": {"chat_template": "chatml"}}}
    async with running(echo_config(server.app.services.config.home, **flags)) as other:
        for name in (MODEL, PIRATE, BUTLER):
            await answered(other, CHAT, chat_of("hi") | {"model": name})
        assert len(pids(other.app)) == 3


async def test_the_same_file_in_two_stores_is_one_load(server: Server, tmp_path: Path) -> None:
    theirs = server.app.services.store.root
    config = echo_config(tmp_path / "other", **{"read_models": [str(theirs)]})
    await create(Store.from_config(config), "knight", Recipe(base=MODEL, system="Hail."))
    async with running(config) as other:
        for name in (MODEL, "knight"):
            await answered(other, CHAT, chat_of("hi") | {"model": name})
        assert len(other.app.services.pool.loaded()) == 2
        assert len(pids(other.app)) == 1


async def test_errors_name_the_model_that_was_asked(server: Server) -> None:
    await answered(server, GENERATE, {"model": MODEL})
    body = chat_of({"text": "x", "fault": "garbage", "fault_after": 0}) | {"model": PIRATE}
    _, reply = await server.post(CHAT, body)
    assert PIRATE in reply["error"]
