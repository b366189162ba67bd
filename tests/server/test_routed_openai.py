"""OpenAI's endpoints, answered by an upstream: byte for byte, and accounted for."""

import asyncio
import json
from pathlib import Path

from tests.backends.remote.scripted import Peer, Seen
from tests.server.harness import MODEL, chat_body
from tests.server.routed import (
    CHAT,
    DONE,
    FINISH,
    KEY,
    REPLY,
    STREAM,
    USAGE,
    ask,
    decided,
    routed,
)

UNKNOWN = {"a_field_of_next_year": {"deep": [1, None]}, "store": True, "metadata": {"k": "v"}}


async def test_a_name_that_nothing_here_answers_goes_to_the_upstream(home: Path) -> None:
    async with routed(home) as it:
        async with it.server.session.post(it.server.url + CHAT, json=ask()) as response:
            assert response.status == 200
            assert response.headers["content-type"] == "application/json"
            assert await response.read() == REPLY
        assert it.asked == [ask()]


async def test_fields_that_nobody_knows_arrive_as_they_were_sent(home: Path) -> None:
    body = b'{"model": "gpt-4o", "messages": [], "n\\u0065w": 1.50, "x": {"a": [1e2, "\xc3\xa9"]}}'
    async with routed(home) as it:
        async with it.server.session.post(it.server.url + CHAT, data=body) as response:
            assert await response.read() == REPLY
        [seen] = it.cloud.seen
        assert b"1.50" in seen.body
        assert b'[1e2, "\xc3\xa9"]' in seen.body
        assert json.loads(seen.body) == json.loads(body)


async def test_a_stream_comes_as_it_was_sent(home: Path) -> None:
    wanted = ask(stream=True, stream_options={"include_usage": True}, **UNKNOWN)
    async with routed(home) as it:
        async with it.server.session.post(it.server.url + CHAT, json=wanted) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-cache"
            assert await response.read() == b"".join((*STREAM, FINISH, USAGE, DONE))
        assert it.asked == [wanted]


async def test_token_counts_are_asked_for_and_hidden_from_who_did_not_ask(home: Path) -> None:
    async with routed(home) as it:
        async with it.server.session.post(it.server.url + CHAT, json=ask(stream=True)) as response:
            assert await response.read() == b"".join((*STREAM, FINISH, DONE))
        [asked] = it.asked
        assert asked["stream_options"] == {"include_usage": True}
    [outcome] = it.server.outcomes
    assert outcome.usage is not None
    assert (outcome.usage.prompt_tokens, outcome.usage.completion_tokens) == (9, 3)


async def test_the_upstream_gets_our_key_and_nothing_of_the_clients(home: Path) -> None:
    headers = {
        "authorization": "Bearer sk-of-the-client",
        "cookie": "session=1",
        "openai-organization": "org-client",
        "x-reshore-route": "cloud",
        "x-reshore-anything": "private",
        "openai-beta": "assistants=v2",
    }
    async with routed(home) as it:
        async with it.server.session.post(
            it.server.url + CHAT, json=ask(), headers=headers
        ) as response:
            assert response.status == 200
        [seen] = it.cloud.seen
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["openai-beta"] == "assistants=v2"
    assert not [name for name in seen.headers if name.startswith("x-reshore")]
    assert "cookie" not in seen.headers
    assert "openai-organization" not in seen.headers
    assert seen.headers["via"].startswith("1.1 reshore-")


async def test_an_installed_model_answers_here(home: Path) -> None:
    async with routed(home) as it:
        reply = await it.server.chat({"text": "from here"})
        assert reply["choices"][0]["message"]["content"] == "from here"
        assert it.cloud.seen == []
    [outcome] = it.server.outcomes
    assert outcome.decision is not None
    assert (outcome.decision.side, outcome.decision.why) == ("local", "installed here")
    [attempt] = outcome.attempts
    assert (attempt.role, attempt.answered, attempt.target.model) == ("primary", True, MODEL)
    assert attempt.usage is not None
    assert attempt.usage == outcome.usage


async def test_the_outcome_tells_the_decision_and_the_attempt(home: Path) -> None:
    async with routed(home, '[routes]\n"gpt-*" = "cloud:cloud/gpt-4o-mini"') as it:
        response, _ = await it.server.post(CHAT, ask())
        header = decided(response.headers)
    assert header["side"] == "cloud"
    assert header["backend"] == "cloud"
    assert header["model"] == "gpt-4o-mini"
    assert header["route"] == "gpt-*"
    assert header["policy"] == "cloud:cloud/gpt-4o-mini"
    [outcome] = it.server.outcomes
    assert outcome.asked_model == "gpt-4o"
    assert outcome.model == "gpt-4o-2024-08-06"
    assert outcome.wall_s > 1_600_000_000
    assert outcome.decision is not None
    assert outcome.decision.route == "gpt-*"
    [attempt] = outcome.attempts
    assert (attempt.answered, attempt.status, attempt.error) == (True, 200, None)
    assert attempt.usage == outcome.usage
    assert it.asked[0]["model"] == "gpt-4o-mini"


async def test_a_model_has_the_name_that_the_upstream_gives_it(home: Path) -> None:
    async with routed(home, models={"gpt-4o": "azure-deployment-7"}) as it:
        await it.server.post(CHAT, ask())
        assert [body["model"] for body in it.asked] == ["azure-deployment-7"]


async def test_a_client_that_hangs_up_ends_the_request_upstream(home: Path) -> None:
    async def endless(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(STREAM[0])
        await peer.watch()

    async with routed(home, script=endless) as it:
        async with it.server.session.post(it.server.url + CHAT, json=ask(stream=True)) as response:
            await response.content.readany()
            [peer] = it.cloud.peers()
            response.close()
        await asyncio.wait_for(peer.gone.wait(), 5)
        await it.server.recorded(1)
    [outcome] = it.server.outcomes
    assert outcome.error == "ClientGone"
    [attempt] = outcome.attempts
    assert attempt.error == "Cancelled"


async def test_fifty_at_once_each_get_their_own(home: Path) -> None:
    async def repeat(peer: Peer, seen: Seen) -> None:
        said = json.loads(seen.body)["messages"][0]["content"]
        await peer.reply(json.dumps({"choices": [], "said": said}).encode())

    async with routed(home, script=repeat) as it:

        async def one(i: int) -> None:
            body = ask(messages=[{"role": "user", "content": f"number {i}"}])
            _, reply = await it.server.post(CHAT, body)
            assert reply["said"] == f"number {i}"

        await asyncio.gather(*(one(i) for i in range(50)))
    assert len({outcome.request_id for outcome in it.server.outcomes}) == 50


async def test_completions_and_embeddings_pass_as_they_are(home: Path) -> None:
    async with routed(home) as it:
        for path, fields in (("completions", {"prompt": "Hi"}), ("embeddings", {"input": "Hi"})):
            body = {"model": "gpt-4o", "new": True, **fields}
            async with it.server.session.post(f"{it.server.url}/v1/{path}", json=body) as response:
                assert await response.read() == REPLY
            assert it.asked[-1] == body
            assert it.cloud.seen[-1].path == f"/v1/{path}"


async def test_a_local_answer_refuses_what_the_cloud_takes(home: Path) -> None:
    async with routed(home) as it:
        error = await it.server.refusal(CHAT, chat_body("Hi", **UNKNOWN))
        assert error["code"] == "unknown_parameter"
        response, _ = await it.server.post(CHAT, ask(**UNKNOWN))
        assert response.status == 200
