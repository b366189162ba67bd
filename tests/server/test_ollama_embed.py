"""`/api/embed` and `/api/embeddings`, on the scripted engine, whose tokens are bytes."""

from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, install
from tests.server.ollama import answered, refused

EMBEDDER = "embedder:latest"
EMBED = "/api/embed"
OLDER = "/api/embeddings"
CONTEXT = 256  # of MODEL


@pytest.fixture
def home(tmp_path: Path) -> Path:
    install(tmp_path, MODEL)
    install(
        tmp_path,
        EMBEDDER,
        architecture="bert",
        chat_template=None,
        context_length=64,
        extra={"bert.pooling_type": 1, "bert.attention.causal": False},
    )
    return tmp_path


def body_of(value: Any, **fields: Any) -> dict[str, Any]:
    return {"model": EMBEDDER, "input": value, **fields}


async def test_vectors_come_in_the_order_of_the_inputs_with_the_counts(server: Server) -> None:
    reply = await answered(server, EMBED, body_of(["one", "two", "one"]))
    first, second, third = reply["embeddings"]
    assert first == third != second
    assert sum(value * value for value in first) == pytest.approx(1, abs=1e-4)
    assert reply["model"] == EMBEDDER
    assert reply["prompt_eval_count"] == 9
    assert reply["total_duration"] > 0
    assert reply["load_duration"] > 0
    single = await answered(server, EMBED, body_of("one"))
    assert single["embeddings"] == [first]


@pytest.mark.parametrize("value", ["", [], None])
async def test_no_input_loads_the_model(server: Server, value: Any) -> None:
    reply = await answered(server, EMBED, body_of(value))
    assert reply["embeddings"] == []
    assert len(server.app.services.pool.loaded()) == 1


@pytest.mark.parametrize("value", [5, {"a": 1}, ["a", 1], [[1, 2]]])
async def test_other_inputs_are_refused_in_ollamas_words(server: Server, value: Any) -> None:
    assert await refused(server, EMBED, body_of(value)) == "invalid input type"


async def test_dimensions_cut_and_scale(server: Server) -> None:
    reply = await answered(server, EMBED, body_of("hello", dimensions=4))
    (vector,) = reply["embeddings"]
    assert len(vector) == 4
    assert sum(value * value for value in vector) == pytest.approx(1)
    assert "dimensions" in await refused(server, EMBED, body_of("hello", dimensions=9999))


async def test_too_long_an_input_is_cut_and_the_reply_says_so(server: Server) -> None:
    limit = 64
    response, reply = await server.post(EMBED, body_of(["short", "x" * 500, "y" * 99]))
    assert response.status == 200, reply
    assert response.headers["x-reshore-truncated"] == "inputs=2"
    assert reply["prompt_eval_count"] == 5 + limit + limit
    exact = await answered(server, EMBED, body_of("x" * limit))
    assert exact["embeddings"][0] == reply["embeddings"][1]


async def test_without_truncation_it_is_refused(server: Server) -> None:
    for value in ("x" * 500, ["fine", "x" * 500]):
        text = await refused(server, EMBED, body_of(value, truncate=False))
        assert text == "the input length exceeds the context length"


async def test_num_ctx_is_where_an_input_is_cut(server: Server) -> None:
    response, reply = await server.post(EMBED, body_of("why is it blue", options={"num_ctx": 3}))
    assert response.headers["x-reshore-truncated"] == "inputs=1"
    expected = await answered(server, EMBED, body_of("why"))
    assert reply["embeddings"] == expected["embeddings"]
    strict = body_of("why is it blue", options={"num_ctx": 3}, truncate=False)
    assert await refused(server, EMBED, strict) == "the input length exceeds the context length"
    none = body_of("why is it blue", options={"num_ctx": 0})
    text = await refused(server, EMBED, none)
    assert text == "input after truncation exceeds maximum context length"


async def test_a_larger_num_ctx_is_clamped_and_declared(server: Server) -> None:
    response, _ = await server.post(EMBED, body_of("why", options={"num_ctx": 4096}))
    assert response.headers["x-reshore-num-ctx"] == "64"


async def test_the_older_endpoint_gives_one_vector(server: Server) -> None:
    reply = await answered(server, OLDER, {"model": EMBEDDER, "prompt": "hello"})
    assert set(reply) == {"embedding"}
    assert len(reply["embedding"]) == 32
    reply = await answered(server, OLDER, {"model": EMBEDDER, "prompt": ""})
    assert reply == {"embedding": []}


class TestModelsThatGenerate:
    """They embed with an engine of their own, as Ollama embeds with any model."""

    async def test_vectors_come_and_the_reply_says_of_what_kind(self, server: Server) -> None:
        body = {"model": MODEL, "input": ["one", "two"]}
        reply, value = await server.post(EMBED, body)
        assert reply.headers["x-reshore-pooling"] == "last"
        assert len(value["embeddings"]) == 2
        reply, _ = await server.post(EMBED, body | {"model": EMBEDDER})
        assert "x-reshore-pooling" not in reply.headers

    async def test_both_engines_stay_and_end_together(self, server: Server) -> None:
        """A chat between two embeddings reloads nothing."""
        say = {"model": MODEL, "prompt": "hi", "stream": False}
        for _ in range(2):
            await answered(server, EMBED, {"model": MODEL, "input": "hi"})
            await answered(server, "/api/generate", say)
        loaded = server.app.services.pool.loaded()
        assert [model.name for model in loaded] == [MODEL, MODEL]
        await answered(server, "/api/generate", {"model": MODEL, "keep_alive": 0})
        assert server.app.services.pool.loaded() == ()

    async def test_a_longer_text_is_cut_to_the_context(self, server: Server) -> None:
        long = {"model": MODEL, "input": "x" * 600}
        reply, value = await server.post(EMBED, long)
        assert reply.headers["x-reshore-truncated"] == "inputs=1"
        assert value["prompt_eval_count"] == CONTEXT - 1
        text = await refused(server, EMBED, long | {"truncate": False})
        assert text == "the input length exceeds the context length"


async def test_models_do_only_what_they_can(server: Server) -> None:
    messages = [{"role": "user", "content": "hi"}]
    text = await refused(server, "/api/chat", {"model": EMBEDDER, "messages": messages})
    assert text == f'"{EMBEDDER}" does not support chat'
    text = await refused(server, "/api/generate", {"model": "embedder", "prompt": "hi"})
    assert text == '"embedder" does not support generate'


async def test_an_unknown_model_is_told_with_the_way_out(server: Server) -> None:
    for path, field in ((EMBED, "input"), (OLDER, "prompt")):
        text = await refused(server, path, {"model": "nobody", field: "hi"}, 404)
        assert text == 'model "nobody" not found, try pulling it first'
