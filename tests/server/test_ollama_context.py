"""Long conversations, `num_ctx`, and clients that mix options: nothing is ever reloaded."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, install
from tests.server.ollama import (
    CHAT,
    GENERATE,
    REFLECT,
    answered,
    chat_of,
    engine_body,
    prompt_of,
    refused,
    said,
)

CONTEXT = 2048


@pytest.fixture
def home(tmp_path: Path) -> Path:
    install(tmp_path, MODEL, context_length=CONTEXT)
    return tmp_path


def conversation(turns: int, last: str, length: int = 300) -> list[dict[str, str]]:
    """A system prompt, `turns` exchanges of `length` tokens each, and `last`."""
    messages = [{"role": "system", "content": "be kind"}]
    for turn in range(turns):
        messages.append({"role": "user", "content": f"{turn} ".ljust(length // 2, "x")})
        messages.append({"role": "assistant", "content": f"{turn} ".ljust(length // 2, "y")})
    return [*messages, {"role": "user", "content": last}]


async def test_the_oldest_messages_are_dropped_and_the_reply_says_how_many(
    server: Server,
) -> None:
    messages = conversation(20, said(REFLECT))
    response, reply = await server.post(CHAT, chat_of("", messages=messages))
    assert response.status == 200, reply
    sent = (await engine_body(server, CHAT, chat_of("", messages=messages)))["messages"]
    dropped = len(messages) - len(sent)
    assert response.headers["x-reshore-truncated"] == f"messages={dropped}"
    assert sent[0] == messages[0]
    assert sent[1:] == messages[1 + dropped :]
    assert sent[1]["role"] == "user"
    # There is room for an answer, and not for one exchange more.
    assert CONTEXT // 2 < reply["prompt_eval_count"] <= CONTEXT * 3 // 4


async def test_what_fits_is_left_alone(server: Server) -> None:
    messages = conversation(3, "hi")
    response, _ = await server.post(CHAT, chat_of("", messages=messages))
    assert response.status == 200
    assert "x-reshore-truncated" not in response.headers


async def test_a_smaller_num_ctx_is_what_has_to_be_fitted(server: Server) -> None:
    messages = conversation(3, "hi there")
    body = chat_of("", messages=messages, options={"num_ctx": 600, "num_predict": 50})
    response, reply = await server.post(CHAT, body)
    assert response.status == 200, reply
    assert response.headers["x-reshore-truncated"] == "messages=4"
    assert reply["prompt_eval_count"] <= 550


async def test_without_truncation_too_long_is_refused(server: Server) -> None:
    body = chat_of("", messages=conversation(20, "hi"), truncate=False)
    assert "longer than the context length" in await refused(server, CHAT, body)


TOO_LONG = "z" * 3000 + " and the end"


def words(reply: dict[str, Any], path: str) -> str:
    """What the scripted engine read: it answers the words it was given."""
    text: str = reply["message"]["content"] if path == CHAT else reply["response"]
    return text


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (CHAT, chat_of(TOO_LONG), "prompt"),
        (CHAT, chat_of("", messages=conversation(2, TOO_LONG)), "messages=4, prompt"),
        (GENERATE, prompt_of(TOO_LONG), "prompt"),
        (GENERATE, prompt_of(TOO_LONG, system="be kind"), "prompt"),
        (GENERATE, prompt_of(TOO_LONG, context=[65] * 3000), "context, prompt"),
        (GENERATE, prompt_of(TOO_LONG, raw=True), "prompt"),
        (CHAT, chat_of("z" * 900_000 + " and the end"), "prompt"),
        (GENERATE, prompt_of("z" * 900_000 + " and the end", raw=True), "prompt"),
    ],
    ids=["chat", "last turn", "generate", "system", "context", "raw", "vast chat", "vast raw"],
)
async def test_a_text_that_is_too_long_by_itself_keeps_its_end_and_the_reply_says_so(
    server: Server,
    caplog: pytest.LogCaptureFixture,
    path: str,
    body: dict[str, Any],
    told: str,
) -> None:
    response, reply = await server.post(path, body | {"options": {"num_predict": 4}})
    assert response.status == 200, reply
    assert response.headers["x-reshore-truncated"] == told
    answer = words(reply, path)
    assert answer.endswith("z and the end")
    assert 900 < len(answer) < 1050  # a token is a byte here
    assert CONTEXT // 2 <= reply["prompt_eval_count"] < CONTEXT * 0.6
    (line,) = (r.getMessage() for r in caplog.records if "of a text" in r.getMessage())
    assert f"{MODEL}: kept" in line
    assert f"too long for {CONTEXT} tokens" in line


async def test_what_frames_a_text_stays_whole_and_half_of_the_rest_is_filled(
    server: Server,
) -> None:
    framed = {"system": "be kind", "options": {"num_predict": 1}}
    short = await answered(server, GENERATE, prompt_of("z", **framed))
    frame = short["prompt_eval_count"] - 1
    reply = await answered(server, GENERATE, prompt_of(TOO_LONG, **framed))
    assert reply["prompt_eval_count"] == frame + (CONTEXT - frame + 1) // 2


@pytest.mark.parametrize(
    ("num_keep", "head", "count"),
    [
        (None, "abcd", 1026),
        (10, "abcdefghij", 1029),
        (0, "", 1024),
        (9999, "abcdefghij" + "z" * 2037, 2047),
        (-1, "abcdefghij" + "z" * 2037, 2047),
    ],
)
async def test_a_raw_prompt_keeps_its_beginning_and_half_of_the_rest(
    server: Server, num_keep: int | None, head: str, count: int
) -> None:
    prompt = "abcdefghij" + "z" * 3000 + "."
    options = {"num_predict": 1, "num_keep": num_keep}
    reply = await answered(server, GENERATE, prompt_of(prompt, raw=True, options=options))
    assert reply["response"] == head + prompt[len(prompt) - (count - len(head)) :]
    assert reply["prompt_eval_count"] == count


async def test_num_ctx_is_what_a_text_is_cut_to(server: Server) -> None:
    options = {"num_ctx": 200, "num_predict": 2}
    for body in (
        prompt_of("z" * 250, options=options),
        prompt_of("z" * 250, options=options, raw=True),
    ):
        response, reply = await server.post(GENERATE, body)
        assert response.status == 200, reply
        assert response.headers["x-reshore-truncated"] == "prompt"
        assert 100 <= reply["prompt_eval_count"] < 160


@pytest.mark.parametrize("field", ["truncate", "shift"])
async def test_a_text_that_may_not_be_cut_is_refused(server: Server, field: str) -> None:
    for path, body in (
        (CHAT, chat_of(TOO_LONG)),
        (GENERATE, prompt_of(TOO_LONG)),
        (GENERATE, prompt_of(TOO_LONG, raw=True)),
    ):
        text = await refused(server, path, body | {field: False})
        assert "longer than the context length" in text


async def test_a_system_prompt_is_never_cut(server: Server) -> None:
    body = prompt_of("hi", system=TOO_LONG)
    assert "longer than the context length" in await refused(server, GENERATE, body)


@pytest.mark.parametrize("num_predict", [None, -1, 100_000])
async def test_an_answer_without_end_stops_where_the_context_ends(
    server: Server, num_predict: int | None
) -> None:
    options = {"num_ctx": 256, "num_predict": num_predict}
    for path, body in (
        (CHAT, chat_of({"forever": True}, options=options)),
        (GENERATE, prompt_of({"forever": True}, options=options)),
        (GENERATE, prompt_of({"forever": True}, options=options, raw=True)),
    ):
        reply = await answered(server, path, body)
        assert reply["done_reason"] == "length"
        assert reply["prompt_eval_count"] + reply["eval_count"] == 256


async def test_openais_dialect_never_truncates(server: Server) -> None:
    body = {"model": MODEL, "messages": conversation(20, "hi")}
    error = await server.refusal("/v1/chat/completions", body)
    assert error["code"] == "context_length_exceeded"


async def test_a_larger_num_ctx_is_clamped_and_declared(server: Server) -> None:
    response, _ = await server.post(CHAT, chat_of("hi", options={"num_ctx": 131072}))
    assert response.status == 200
    assert response.headers["x-reshore-num-ctx"] == str(CONTEXT)


async def test_parallel_conversations_do_not_mix(server: Server) -> None:
    texts = [f"answer number {number} " * (number + 1) for number in range(16)]
    paths = [(CHAT, chat_of), (GENERATE, prompt_of)]
    replies = await asyncio.gather(
        *(
            answered(server, path, make({"text": text, "gap_ms": 1}))
            for text, (path, make) in zip(texts, paths * 8, strict=True)
        )
    )
    found = [reply.get("response") or reply["message"]["content"] for reply in replies]
    assert found == [text.strip() for text in texts] or found == texts


MIXED: list[dict[str, Any]] = [
    {"options": {"num_ctx": 131072}},
    {"options": {"num_ctx": 512, "num_predict": 3}},
    {"options": {"num_ctx": 2048, "num_batch": 64, "num_gpu": 1}},
    {"keep_alive": -1},
    {"keep_alive": "1m", "options": {"num_thread": 1}},
    {"options": {"num_predict": -1, "use_mmap": False}},
    {},
]


async def test_clients_that_mix_options_cause_no_reload(server: Server) -> None:
    await answered(server, CHAT, chat_of("warm up"))
    (before,) = server.app.services.pool.loaded()
    bodies = [
        (CHAT, chat_of("hi", **fields)) if number % 2 else (GENERATE, prompt_of("hi", **fields))
        for number in range(4)
        for fields in MIXED
    ]
    replies = await asyncio.gather(*(server.post(path, body) for path, body in bodies))
    assert all(response.status == 200 for response, _ in replies)
    (after,) = server.app.services.pool.loaded()
    assert after.pid == before.pid
