"""The native API on the starter models: what a scripted engine cannot show."""

import base64
import json
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reshore.config import load
from reshore.engine.base import State
from reshore.models.create import create
from reshore.models.recipe import Recipe
from reshore.models.store import Store
from tests.backends.image_samples import png
from tests.models.tiny_vision import write_tiny_vision
from tests.server.harness import Server, running
from tests.server.ollama import CHAT, GENERATE, answered, chat_of, lines, prompt_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHATTER = "smollm2:135m"
EMBEDDER = "all-minilm"
QUESTION = "Why is the sky blue? Answer in one sentence."


@pytest.fixture
async def server(starter_home: Path, tmp_path: Path) -> AsyncIterator[Server]:
    settings = {"read_models": [str(starter_home / "models")], "engine.context_length": 1024}
    config = load(env={"RESHORE_HOME": str(tmp_path)}, flags=settings)
    async with running(config) as server:
        yield server


@pytest.mark.parametrize("temperature", [0.0, 0.9])
async def test_both_dialects_give_the_same_text(server: Server, temperature: float) -> None:
    options = {"seed": 11, "temperature": temperature, "top_k": 20, "num_predict": 32}
    native = chat_of(QUESTION, options=options) | {"model": CHATTER}
    openai = {
        "model": CHATTER,
        "messages": native["messages"],
        "seed": 11,
        "temperature": temperature,
        "top_k": 20,
        "max_tokens": 32,
    }
    _, reply = await server.post("/v1/chat/completions", openai)
    text = reply["choices"][0]["message"]["content"]
    assert text
    assert (await answered(server, CHAT, native))["message"]["content"] == text
    *pieces, last = await lines(server, CHAT, native)
    assert "".join(line["message"]["content"] for line in pieces) == text
    assert last["prompt_eval_count"] == reply["usage"]["prompt_tokens"]
    assert last["eval_count"] == reply["usage"]["completion_tokens"]
    prompt = prompt_of(QUESTION, options=options) | {"model": CHATTER}
    assert (await answered(server, GENERATE, prompt))["response"] == text


async def test_a_chat_model_embeds_beside_its_chats(server: Server) -> None:
    """In several batches, cut to the context, and no chat in between is answered otherwise."""
    chat = chat_of(QUESTION, options={"temperature": 0, "num_predict": 8}) | {"model": CHATTER}
    before = (await answered(server, CHAT, chat))["message"]
    inputs = ["The sky is blue.", "word " * 900, "word " * 3000, "The sky is blue."]
    body = {"model": CHATTER, "input": inputs}
    reply, value = await server.post("/api/embed", body)
    assert reply.status == 200, value
    assert reply.headers["x-reshore-pooling"] == "last"
    assert reply.headers["x-reshore-truncated"] == "inputs=1"
    first, _, _, again = vectors = value["embeddings"]
    assert [math.hypot(*vector) for vector in vectors] == pytest.approx([1.0] * 4, abs=1e-4)
    assert sum(a * b for a, b in zip(first, again, strict=True)) > 0.999
    assert (await answered(server, CHAT, chat))["message"] == before
    loaded = [(one.name, one.state) for one in server.app.services.pool.loaded()]
    assert loaded == [(CHATTER, State.READY)] * 2


async def test_derived_models_share_an_engine_and_answer_by_their_own_prompts(
    server: Server,
) -> None:
    systems = {CHATTER: None, "pirate": "You are a pirate.", "judge": "You are a judge."}
    options = {"temperature": 0, "num_predict": 12}
    for name in ("pirate", "judge"):
        recipe = Recipe(base=CHATTER, system=systems[name], parameters=options)
        await create(server.app.services.store, name, recipe)

    async def said(model: str, system: str | None = None) -> str:
        turns = [{"role": "system", "content": system}] if system else []
        messages = [*turns, {"role": "user", "content": "Who are you?"}]
        body = chat_of("", messages=messages, options=options) | {"model": model}
        return str((await answered(server, CHAT, body))["message"]["content"])

    expected = {name: await said(CHATTER, system) for name, system in systems.items()}
    assert len(set(expected.values())) == 3
    assert {name: await said(name) for name in [*systems, *systems]} == expected
    loaded = server.app.services.pool.loaded()
    assert {one.name.removesuffix(":latest") for one in loaded} == set(systems)
    assert len({one.pid for one in loaded}) == 1


async def test_a_schema_is_followed(server: Server) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "size": {"type": "integer"}},
        "required": ["city", "size"],
    }
    options = {"seed": 1, "num_predict": 100}
    body = chat_of("Tell me of Paris.", format=schema, options=options) | {"model": CHATTER}
    found = json.loads((await answered(server, CHAT, body))["message"]["content"])
    assert set(found) == {"city", "size"}
    raw = prompt_of("Paris:", raw=True, format=schema, options=options) | {"model": CHATTER}
    assert set(json.loads((await answered(server, GENERATE, raw))["response"])) == {"city", "size"}


async def test_num_predict_bounds_the_tokens_and_bytes_spell_them(server: Server) -> None:
    body = prompt_of("Tell me a story.", logprobs=True, top_logprobs=3) | {"model": CHATTER}
    reply = await answered(server, GENERATE, body | {"options": {"num_predict": 10}})
    assert len(reply["logprobs"]) == 10
    assert reply["done_reason"] == "length"
    for token in reply["logprobs"]:
        assert bytes(token["bytes"]).decode(errors="replace") == token["token"]
        assert len(token["top_logprobs"]) == 3


async def test_a_context_is_what_the_model_saw_and_said(server: Server) -> None:
    options = {"temperature": 0, "num_predict": 12}
    first = prompt_of("My name is Ada. Say hello.", options=options) | {"model": CHATTER}
    one = await answered(server, GENERATE, first)
    # A last token that ends the answer is counted and has no text.
    assert len(one["context"]) in (
        one["prompt_eval_count"] + one["eval_count"],
        one["prompt_eval_count"] + one["eval_count"] - 1,
    )
    second = prompt_of("And what is my name?", options=options, context=one["context"])
    two = await answered(server, GENERATE, second | {"model": CHATTER})
    assert two["context"][: len(one["context"])] == one["context"]
    assert two["prompt_eval_count"] > len(one["context"])
    assert two["response"]


async def test_a_long_conversation_is_cut_and_answered(server: Server) -> None:
    messages = [
        {"role": role, "content": f"{turn} " + "and so on " * 40}
        for turn in range(10)
        for role in ("user", "assistant")
    ]
    messages.append({"role": "user", "content": QUESTION})
    body = chat_of("", messages=messages, options={"num_predict": 8}) | {"model": CHATTER}
    response, reply = await server.post(CHAT, body)
    assert response.status == 200, reply
    assert response.headers["x-reshore-truncated"].startswith("messages=")
    assert reply["message"]["content"]
    assert 512 < reply["prompt_eval_count"] <= 1024 - 8


@pytest.mark.parametrize("path", [CHAT, GENERATE, "raw"])
async def test_a_text_that_is_too_long_by_itself_is_cut_and_answered(
    server: Server, path: str
) -> None:
    text = "Ünser Zug fährt um neun. " * 400 + QUESTION
    options = {"num_predict": 24, "temperature": 0}
    if path == CHAT:
        body = chat_of(text, options=options)
    else:
        body = prompt_of(text, options=options, raw=path == "raw")
    response, reply = await server.post(
        CHAT if path == CHAT else GENERATE, body | {"model": CHATTER}
    )
    assert response.status == 200, reply
    assert response.headers["x-reshore-truncated"] == "prompt"
    assert 500 < reply["prompt_eval_count"] < 560
    answer = reply["message"]["content"] if path == CHAT else reply["response"]
    assert "\ufffd" not in answer
    assert path == "raw" or any(word in answer.lower() for word in ("sky", "blue", "light"))


async def test_embeddings_are_those_of_the_other_dialect(server: Server) -> None:
    texts = ["The sky is blue.", "What colour has the sky?", "Trains are late."]
    reply = await answered(server, "/api/embed", {"model": EMBEDDER, "input": texts})
    theirs = {"model": EMBEDDER, "input": texts, "encoding_format": "float"}
    _, openai = await server.post("/v1/embeddings", theirs)
    for ours, item in zip(reply["embeddings"], openai["data"], strict=True):
        assert ours == pytest.approx(item["embedding"], abs=1e-5)
    blue, colour, trains = reply["embeddings"]
    assert _sumprod(blue, colour) > _sumprod(blue, trains)
    assert reply["prompt_eval_count"] == openai["usage"]["prompt_tokens"]


async def test_the_older_vector_is_the_same_without_its_length(server: Server) -> None:
    body = {"model": EMBEDDER, "prompt": "The sky is blue."}
    vector = (await answered(server, "/api/embeddings", body))["embedding"]
    length = math.sqrt(_sumprod(vector, vector))
    assert length != pytest.approx(1, abs=1e-3)
    embed = {"model": EMBEDDER, "input": "The sky is blue."}
    (unit,) = (await answered(server, "/api/embed", embed))["embeddings"]
    assert [value / length for value in vector] == pytest.approx(unit, abs=1e-4)


async def test_an_input_is_cut_at_the_tokens_asked_for(server: Server) -> None:
    body = {"model": EMBEDDER, "input": "why is the sky blue?", "options": {"num_ctx": 3}}
    response, reply = await server.post("/api/embed", body)
    assert response.headers["x-reshore-truncated"] == "inputs=1"
    (why,) = (await answered(server, "/api/embed", {"model": EMBEDDER, "input": "why"}))[
        "embeddings"
    ]
    assert reply["embeddings"][0] == pytest.approx(why, abs=1e-3)
    long = {"model": EMBEDDER, "input": ["word " * 2000, "short"]}
    response, reply = await server.post("/api/embed", long)
    assert response.status == 200, reply
    assert len(reply["embeddings"]) == 2
    strict = long | {"truncate": False}
    response, reply = await server.post("/api/embed", strict)
    assert response.status == 400
    assert reply == {"error": "the input length exceeds the context length"}


async def test_show_tells_what_the_file_says(server: Server) -> None:
    reply = await answered(server, "/api/show", {"model": CHATTER})
    assert reply["details"]["parameter_size"] == "134.52M"
    assert reply["model_info"]["llama.context_length"] >= 2048
    assert "completion" in reply["capabilities"]
    whole = await answered(server, "/api/show", {"model": CHATTER, "verbose": True})
    assert len(whole["model_info"]["tokenizer.ggml.tokens"]) == 49152


async def test_a_model_that_sees_gets_the_same_image_through_both(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "files"
    folder.mkdir()
    write_tiny_vision(folder)
    await create(Store(home / "models"), "seer", Recipe(paths=tuple(folder.iterdir())))
    rows = (b"\0" + b"\xff\0\0" * 40) * 30
    image = base64.b64encode(png(40, 30, rows)).decode()
    options = {"temperature": 0, "num_predict": 6}
    messages = [{"role": "user", "content": "What is it?", "images": [image]}]
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
        {"type": "text", "text": "What is it?"},
    ]
    openai = {
        "model": "seer",
        "messages": [{"role": "user", "content": parts}],
        "temperature": 0,
        "max_tokens": 6,
    }
    config = load(env={"RESHORE_HOME": str(home)}, flags={"engine.context_length": 512})
    async with running(config) as server:
        chat = await answered(
            server, CHAT, chat_of("", messages=messages, options=options) | {"model": "seer"}
        )
        prompt = prompt_of("What is it?", images=[image], options=options) | {"model": "seer"}
        generated = await answered(server, GENERATE, prompt)
        _, theirs = await server.post("/v1/chat/completions", openai)
        shown = await answered(server, "/api/show", {"model": "seer"})
    assert chat["message"]["content"] == theirs["choices"][0]["message"]["content"]
    assert chat["prompt_eval_count"] == theirs["usage"]["prompt_tokens"]
    assert generated["response"] == chat["message"]["content"]
    assert "context" not in generated
    assert "vision" in shown["capabilities"]
    assert shown["projector_info"]["general.architecture"] == "clip"
    assert shown["details"]["families"][-1] == "clip"


def _sumprod(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
