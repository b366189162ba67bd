"""Both sides for one request: cascades, whose local answer is judged first, and mirrored copies."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.backends.remote.scripted import Peer, Seen
from tests.server.harness import MODEL, chat_body
from tests.server.routed import CHAT, REPLY, answer, ask, decided, routed


def route(policy: str) -> str:
    return f'[routes]\n"gpt-4o" = {{ policy = "{policy}", local = "{MODEL}" }}'


GOOD = {"text": "42"}
BAD = {"text": "a sentence that is", "finish": "length"}


async def test_a_local_answer_that_passes_is_kept(home: Path) -> None:
    async with routed(home, route("cascade(checks=finish)")) as it:
        response, reply = await it.server.post(CHAT, chat_body({"text": "42"}, model="gpt-4o"))
        assert reply["choices"][0]["message"]["content"] == "42"
        assert reply["model"] == MODEL
        assert decided(response.headers)["side"] == "local"
        assert it.cloud.seen == []
    [outcome] = it.server.outcomes
    assert [(a.role, a.answered) for a in outcome.attempts] == [("primary", True)]
    assert outcome.usage is not None


async def test_a_local_answer_that_fails_is_answered_by_the_cloud(home: Path) -> None:
    async with routed(home, route("cascade(checks=finish)")) as it:
        body = chat_body(BAD, model="gpt-4o")
        async with it.server.session.post(it.server.url + CHAT, json=body) as response:
            assert await response.read() == REPLY
            header = decided(response.headers)
        assert header["side"] == "cloud"
        assert "escalated: finish" in header["why"]
    [outcome] = it.server.outcomes
    roles = [(a.role, a.answered) for a in outcome.attempts]
    assert roles == [("primary", False), ("escalate", True)]
    assert outcome.decision is not None
    assert "escalated: finish" in outcome.decision.why


@pytest.mark.parametrize(("script", "side"), [(GOOD, "local"), (BAD, "cloud")])
async def test_a_stream_begins_when_the_side_is_decided(
    home: Path, script: dict[str, str], side: str
) -> None:
    async with routed(home, route("cascade(checks=finish)")) as it:
        body = chat_body(script, model="gpt-4o", stream=True)
        async with it.server.session.post(it.server.url + CHAT, json=body) as response:
            assert decided(response.headers)["side"] == side
            payloads = (await response.text()).split("\n\n")
    assert payloads[-2] == "data: [DONE]"
    found = [json.loads(payload.removeprefix("data: ")) for payload in payloads[:-2]]
    said = "".join(e["choices"][0]["delta"].get("content") or "" for e in found if e["choices"])
    assert said == ("from the cloud" if side == "cloud" else "42")
    assert len({event["id"] for event in found}) == 1


async def test_log_probabilities_that_only_the_checks_want_are_not_shown(home: Path) -> None:
    async with routed(home, route("cascade(checks=logprob)")) as it:
        body = chat_body({"text": "42"}, model="gpt-4o")
        _, reply = await it.server.post(CHAT, body)
        assert reply["choices"][0]["logprobs"] is None
        _, reply = await it.server.post(CHAT, body | {"logprobs": True})
        assert reply["choices"][0]["logprobs"] is not None


async def test_ollamas_dialect_is_judged_alike(home: Path) -> None:
    async with routed(home, route("cascade(checks=finish)")) as it:
        for script, said in ((GOOD, "42"), (BAD, "from the cloud")):
            content = "/echo " + json.dumps(script)
            body = {"model": "gpt-4o", "prompt": content, "stream": False}
            _, reply = await it.server.post("/api/generate", body)
            assert reply["response"] == said


async def test_vectors_are_not_judged(home: Path) -> None:
    async with routed(home, route("cascade(checks=refusal)")) as it:
        body = {"model": "gpt-4o", "input": "Hi"}
        response, _ = await it.server.post("/v1/embeddings", body)
        assert response.status in (200, 400)
    assert all(a.role != "escalate" for a in it.server.outcomes[0].attempts)


async def test_a_copy_goes_to_the_mirror_after_the_answer(home: Path) -> None:
    mirrored = asyncio.Event()

    async def see(peer: Peer, seen: Seen) -> None:
        await answer(peer, seen)
        mirrored.set()

    policy = f"shadow(local:{MODEL}, cloud:cloud/gpt-4o-mini, share=100%)"
    headers = {"authorization": "Bearer sk-of-the-client"}
    async with routed(home, route(policy), see) as it:
        response, reply = await it.server.post(
            CHAT, chat_body(GOOD, model="gpt-4o"), headers=headers
        )
        assert reply["choices"][0]["message"]["content"] == "42"
        assert decided(response.headers)["side"] == "local"
        await asyncio.wait_for(mirrored.wait(), 5)
        [seen] = it.cloud.seen
        assert json.loads(seen.body)["model"] == "gpt-4o-mini"
        assert "sk-of-the-client" not in str(seen.headers)
    [outcome] = it.server.outcomes
    assert [attempt.role for attempt in outcome.attempts] == ["primary"]


async def test_a_mirror_that_fails_is_nobodys_concern(home: Path) -> None:
    async def fail(peer: Peer, seen: Seen) -> None:
        peer.cut()

    policy = f"shadow(local:{MODEL}, cloud, share=100%)"
    async with routed(home, route(policy), fail) as it:
        for _ in range(3):
            response, _ = await it.server.post(CHAT, ask())
            assert response.status == 200
    assert [outcome.error for outcome in it.server.outcomes] == [None] * 3
