"""What the starter models say through the native API: answers, thoughts, histories, vectors."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from reshore.config import load
from tests.server.harness import Server, running
from tests.server.ollama import CHAT, GENERATE, answered, chat_of, lines, prompt_of, refused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHATTER = "smollm2:135m"
EMBEDDER = "all-minilm"
EMBED = "/api/embed"
GREEDY = {"temperature": 0, "num_predict": 40}
SKY = "Why is the sky blue?"
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
# Those that the small model knows.
CAPITALS = {"Japan": "Tokyo", "Germany": "Berlin", "Russia": "Moscow", "Egypt": "Cairo"}
TAGS = ("<think", "</think", "<tool_call", "</tool_call", "<|im_")

# SmolLM2's own turns, with thoughts as Qwen3 has them, opened for the model.
THINKING = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.reasoning_content %}
        {{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}
    {%- endif %}
    {{- message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- else %}
        {{- '<think>\\n' }}
    {%- endif %}
{%- endif %}
"""


async def serve(starter_home: Path, home: Path) -> AsyncIterator[Server]:
    settings = {"read_models": [str(starter_home / "models")], "engine.context_length": 1024}
    async with running(load(env={"RESHORE_HOME": str(home)}, flags=settings)) as server:
        yield server


@pytest.fixture
async def server(starter_home: Path, tmp_path: Path) -> AsyncIterator[Server]:
    async for server in serve(starter_home, tmp_path):
        yield server


@pytest.fixture
async def thinker(starter_home: Path, tmp_path: Path) -> AsyncIterator[Server]:
    """The chat model thinks before it answers."""
    template = tmp_path / "thinking.jinja"
    template.write_text(THINKING)
    settings = f"[models.'{CHATTER}']\nchat_template = '{template}'\n"
    (tmp_path / "reshore.toml").write_text(settings)
    async for server in serve(starter_home, tmp_path):
        yield server


def capital_of(country: str) -> dict[str, str]:
    return {"role": "user", "content": f"What is the capital of {country}?"}


def chat(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return chat_of("", messages=list(messages), model=CHATTER, **{"options": GREEDY} | fields)


async def vectors(server: Server, **fields: Any) -> tuple[list[list[float]], int]:
    """The vectors of an embedding request, and how many tokens they took."""
    reply = await answered(server, EMBED, {"model": EMBEDDER, **fields})
    return reply["embeddings"], reply.get("prompt_eval_count", 0)


def cosine(one: list[float], other: list[float]) -> float:
    """Of vectors of length one."""
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("path", [GENERATE, CHAT])
async def test_an_answer_is_on_the_topic_and_counted_streamed_or_not(
    server: Server, path: str
) -> None:
    asked = prompt_of(SKY) if path == GENERATE else chat_of(SKY)
    asked |= {"model": CHATTER, "options": GREEDY, "keep_alive": "10m"}
    whole = await answered(server, path, asked)
    *pieces, last = await lines(server, path, asked)
    texts = [
        line["response"] if path == GENERATE else line["message"]["content"] for line in pieces
    ]
    text = whole["response"] if path == GENERATE else whole["message"]["content"]
    assert "".join(texts) == text
    assert len(texts) > 5  # as it is generated, not at the end
    assert "scatter" in text.lower()
    for end in (whole, last):
        assert end["done_reason"] in ("stop", "length")
        assert all(end[name] > 0 for name in DURATIONS)
        assert end["total_duration"] >= end["eval_duration"]
        assert 5 < end["eval_count"] <= 40
        assert end["prompt_eval_count"] > 5
    assert last["eval_count"] == whole["eval_count"]
    if path == GENERATE:
        assert whole["context"] == last["context"] != []
    async with server.session.get(server.url + "/api/ps") as response:
        (row,) = (await response.json())["models"]
    assert (row["name"], row["context_length"]) == (CHATTER, 1024)
    assert row["size"] > 10_000_000
    assert row["details"]["parameter_size"] == "134.52M"
    assert row["expires_at"] > whole["created_at"]


SAMPLED: list[dict[str, Any]] = [
    {"seed": 3, "temperature": 0.7, "top_p": 0.8},
    {"seed": 3, "temperature": 1.0, "presence_penalty": 0.6, "frequency_penalty": 0.4},
    {"seed": 5, "temperature": 1.2, "top_k": 12, "min_p": 0.05, "repeat_penalty": 1.1},
    {"seed": 5, "temperature": 0.7, "stop": ["the", "."]},
]


@pytest.mark.parametrize("options", SAMPLED)
async def test_both_dialects_draw_the_same_text(server: Server, options: dict[str, Any]) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SKY}]
    native = chat(*messages, options=options | {"num_predict": 24})
    openai = {"model": CHATTER, "messages": messages, "max_tokens": 24, **options}
    response, reply = await server.post("/v1/chat/completions", openai)
    assert response.status == 200, reply
    text = reply["choices"][0]["message"]["content"]
    assert text
    assert (await answered(server, CHAT, native))["message"]["content"] == text
    streamed = await lines(server, CHAT, native)
    assert "".join(line["message"]["content"] for line in streamed) == text


async def test_tokens_of_a_chat_are_spelled_by_their_bytes(server: Server) -> None:
    body = chat(capital_of("Germany"), logprobs=True, top_logprobs=3)
    reply = await answered(server, CHAT, body)
    spelled = b"".join(bytes(token["bytes"]) for token in reply["logprobs"])
    assert spelled.decode() == reply["message"]["content"]
    for token in reply["logprobs"]:
        assert bytes(token["bytes"]).decode(errors="replace") == token["token"]
        best, *others = token["top_logprobs"]
        assert best["token"] == token["token"]  # temperature 0 takes the likeliest
        assert all(other["logprob"] <= best["logprob"] <= 0 for other in others)
        assert len(others) == 2


async def test_a_model_thinks_before_it_answers_and_shows_no_tags(thinker: Server) -> None:
    """Examples that think show the small model how; it thinks when nobody says otherwise."""
    examples = []
    for country in ("Germany", "Russia", "Egypt"):
        thought = f"The capital of {country} is {CAPITALS[country]}."
        said = {"role": "assistant", "content": f"{CAPITALS[country]}.", "thinking": thought}
        examples += [capital_of(country), said]
    for think in (None, True, "high"):
        body = chat(*examples, capital_of("Japan"), think=think)
        reply = await answered(thinker, CHAT, body)
        message = reply["message"]
        assert "Tokyo" in message["thinking"]
        assert message["content"] == "Tokyo."
        assert reply["done_reason"] == "stop"
        assert not any(tag in message["thinking"] for tag in TAGS)
        told = [line["message"] for line in await lines(thinker, CHAT, body)]
        assert "".join(piece.get("thinking", "") for piece in told) == message["thinking"]
        assert "".join(piece["content"] for piece in told) == message["content"]


async def test_without_thinking_the_answer_comes_at_once(thinker: Server) -> None:
    reply = await answered(thinker, CHAT, chat(capital_of("Japan"), think=False))
    assert "Tokyo" in reply["message"]["content"]
    assert "thinking" not in reply["message"]
    assert not any(tag in reply["message"]["content"] for tag in TAGS)
    prompt = prompt_of(capital_of("Japan")["content"], think=False, options=GREEDY)
    reply = await answered(thinker, GENERATE, prompt | {"model": CHATTER})
    assert "Tokyo" in reply["response"]
    assert "thinking" not in reply


async def test_an_earlier_turn_is_remembered(server: Server) -> None:
    tell = {"role": "user", "content": "The secret word is banana."}
    noted = {"role": "assistant", "content": "I will remember that the secret word is banana."}
    ask = {"role": "user", "content": "What is the secret word?"}
    reply = await answered(server, CHAT, chat(tell, noted, ask))
    assert "banana" in reply["message"]["content"]
    alone = await answered(server, CHAT, chat(ask))
    assert "banana" not in alone["message"]["content"]


@pytest.mark.parametrize("words", [20, 4000])
async def test_in_a_short_context_an_answer_is_on_the_topic(server: Server, words: int) -> None:
    text = "The weather is fine today. " * (words // 5) + SKY
    body = chat_of(text, model=CHATTER, options={"temperature": 0, "num_ctx": 128})
    response, reply = await server.post(CHAT, body)
    assert response.status == 200, reply
    assert response.headers.get("x-reshore-truncated") == ("prompt" if words > 128 else None)
    assert any(word in reply["message"]["content"].lower() for word in ("sky", "weather", "blue"))
    assert reply["prompt_eval_count"] + reply["eval_count"] <= 128


async def test_a_story_ends_with_its_context_and_says_so(server: Server) -> None:
    options = {"temperature": 0, "num_ctx": 128, "num_predict": -1}
    story = "Write a very long story of a fox, a river and a mountain, in many chapters."
    body = chat_of(story, model=CHATTER, options=options)
    *pieces, last = await lines(server, CHAT, body)
    assert len("".join(line["message"]["content"] for line in pieces).split()) > 40
    assert last["done_reason"] == "length"
    assert last["prompt_eval_count"] + last["eval_count"] == 128


async def test_more_clients_than_slots_get_their_own_answers_without_a_stall(
    server: Server,
) -> None:
    async def client(countries: list[str]) -> None:
        history: list[dict[str, Any]] = []
        for country in countries:
            history.append(capital_of(country))
            began = time.monotonic()
            reply = await answered(server, CHAT, chat(*history))
            assert time.monotonic() - began < 20
            assert CAPITALS[country] in reply["message"]["content"]
            history.append(reply["message"])

    names = list(CAPITALS)
    await asyncio.gather(*(client([*names[n % 4 :], *names[: n % 4]][:3]) for n in range(5)))
    (loaded,) = server.app.services.pool.loaded()
    assert loaded.slots == 4


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
        },
    },
}


@pytest.mark.parametrize("seed", range(4))
async def test_an_offered_tool_is_called_or_answered_without(server: Server, seed: int) -> None:
    question = {"role": "user", "content": "What is the weather in Paris? Use the tool."}
    options = {"seed": seed, "num_predict": 80}
    message = (await answered(server, CHAT, chat(question, tools=[WEATHER], options=options)))[
        "message"
    ]
    calls = message.get("tool_calls", [])
    assert message["content"] or calls
    assert not any(tag in message["content"] for tag in TAGS)
    for call in calls:
        assert call["function"]["name"] == "get_weather"
        assert set(call["function"]["arguments"]) == {"city"}
    result = {"role": "tool", "content": "sunny, 21 degrees", "tool_name": "get_weather"}
    follow = [question, message, result] if calls else [question, message, question]
    reply = await answered(server, CHAT, chat(*follow, options=options))
    assert reply["message"]["content"]
    assert not any(tag in reply["message"]["content"] for tag in TAGS)


async def test_an_input_may_be_cut_to_a_word_and_no_further(server: Server) -> None:
    long = "why is the sky blue?"
    for num_ctx in (1, 2, 0):
        for truncate in (None, True):
            body = {"input": long, "options": {"num_ctx": num_ctx}, "truncate": truncate}
            text = await refused(server, EMBED, {"model": EMBEDDER, **body})
            assert text == "input after truncation exceeds maximum context length"
    ((cut,), count) = await vectors(server, input=long, options={"num_ctx": 3})
    ((why,), _) = await vectors(server, input="why")
    assert cosine(cut, why) > 0.999
    assert count == 3
    strict = {"model": EMBEDDER, "input": long, "options": {"num_ctx": 3}, "truncate": False}
    assert await refused(server, EMBED, strict) == "the input length exceeds the context length"


async def test_each_input_of_a_batch_is_cut_for_itself(server: Server) -> None:
    texts = [f"{word} " * 60 for word in ("river", "mountain", "harbour")]
    cut, count = await vectors(server, input=texts, options={"num_ctx": 30})
    assert len(cut) == 3
    assert count == 90
    assert len({tuple(vector) for vector in cut}) == 3


async def test_inputs_are_counted_each(server: Server) -> None:
    _, one = await vectors(server, input="test")
    many, three = await vectors(server, input=["test"] * 3)
    assert one == 3  # the word between its two special tokens
    assert three == 3 * one
    assert many[0] == pytest.approx(many[2], abs=1e-4)


@pytest.mark.parametrize("batch", [False, True])
async def test_too_long_an_input_names_the_context(server: Server, batch: bool) -> None:
    text = "word " * 3000
    value = ["short", text] if batch else text
    body = {"model": EMBEDDER, "input": value, "truncate": False}
    assert "context" in await refused(server, EMBED, body)


@pytest.mark.parametrize("words", [256, 512, 800])
async def test_a_large_input_is_one_vector(server: Server, words: int) -> None:
    text = " ".join(f"river{number % 7}" for number in range(words))
    ((vector,), count) = await vectors(server, input=text)
    assert len(vector) == 384
    assert cosine(vector, vector) == pytest.approx(1, abs=1e-4)
    assert 256 < count <= 512


async def test_related_texts_are_nearer_than_others(server: Server) -> None:
    pairs = [
        ("The cat sleeps on the sofa.", "A kitten naps on the couch."),
        ("The bank raised interest rates.", "Loans got more expensive this year."),
        ("It rains heavily in the mountains.", "There is a downpour in the hills."),
    ]
    texts = [text for pair in pairs for text in pair]
    found, count = await vectors(server, input=texts)
    alone = [await vectors(server, input=text) for text in texts]
    assert count == sum(tokens for _, tokens in alone)
    for index, vector in enumerate(found):
        assert cosine(vector, alone[index][0][0]) > 0.999
        others = [other for number, other in enumerate(found) if number // 2 != index // 2]
        partner = found[index ^ 1]
        assert all(cosine(vector, partner) > cosine(vector, other) for other in others)
