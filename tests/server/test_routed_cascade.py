"""Cascades through the whole server: what a client sees of them, and what is remembered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from ollama import AsyncClient

from tests.backends.remote.scripted import Peer, Seen
from tests.server.harness import MODEL
from tests.server.routed import CHAT, Routed, ask, decided, routed

REFUSAL = "I'm sorry, but I can't help with that."


def cascade(options: str = "", model: str = MODEL) -> str:
    policy = f"cascade(local, cloud{options})"
    return (
        "[routing]\nretries = 0\n[routes]\n"
        f'"gpt-4o" = {{ policy = "{policy}", local = "{model}", cloud = "cloud" }}'
    )


def echoed(**directive: Any) -> list[dict[str, str]]:
    """A conversation that the scripted engine answers as it is told."""
    # Escaped: what is asked for must not contain what a check looks for in the answer.
    text = "".join(f"\\u{ord(character):04x}" for character in directive.pop("text"))
    content = json.dumps(directive | {"text": "@"}).replace("@", text)
    return [{"role": "user", "content": f"/echo {content}"}]


async def reply_to(it: Routed, **fields: Any) -> tuple[str, dict[str, str]]:
    response, reply = await it.server.post(CHAT, ask(**fields))
    assert response.status == 200, reply
    return reply["choices"][0]["message"]["content"], decided(response.headers)


async def test_an_answer_that_passes_is_the_local_one(home: Path) -> None:
    async with routed(home, cascade()) as it:
        text, header = await reply_to(it, messages=echoed(text="Blue light scatters."))
        assert text == "Blue light scatters."
        assert header["side"] == "local"
        assert "kept: checks passed" in header["why"]
        assert it.asked == []
        await it.server.recorded(1)
    [outcome] = it.server.outcomes
    [attempt] = outcome.attempts
    assert (attempt.role, attempt.answered, attempt.error) == ("primary", True, None)
    assert attempt.usage is not None
    assert outcome.usage == attempt.usage
    assert outcome.decision is not None
    assert "kept: checks passed" in outcome.decision.why


@pytest.mark.parametrize(
    ("directive", "why"),
    [
        ({"text": REFUSAL}, "escalated: refusal"),
        ({"text": "So 3 * 4 = 13 apples."}, "escalated: arithmetic"),
        ({"text": "cut", "finish": "length"}, "escalated: finish"),
        ({"text": "a", "fault": "cut", "fault_after": 0}, "escalated: no local answer"),
    ],
    ids=["refusal", "arithmetic", "finish", "broken"],
)
async def test_an_answer_that_fails_is_the_cloud_s(
    home: Path, directive: dict[str, Any], why: str
) -> None:
    async with routed(home, cascade()) as it:
        text, header = await reply_to(it, messages=echoed(**directive))
        assert text == "from the cloud"
        assert header["side"] == "cloud"
        assert why in header["why"]
        await it.server.recorded(1)
    [outcome] = it.server.outcomes
    assert [(each.role, each.answered) for each in outcome.attempts] == [
        ("primary", False),
        ("escalate", True),
    ]
    assert outcome.model == "gpt-4o-2024-08-06"


async def test_a_stream_is_the_same_answer_in_pieces(home: Path) -> None:
    async with routed(home, cascade()) as it:
        kept = await it.server.stream(CHAT, ask(stream=True, messages=echoed(text="Blue light.")))
        escalated = await it.server.stream(CHAT, ask(stream=True, messages=echoed(text=REFUSAL)))
    assert said(kept) == "Blue light."
    assert said(escalated) == "from the cloud"
    assert kept[-1] == escalated[-1] == "[DONE]"


async def test_a_late_answer_streams_on_where_the_route_keeps_it(home: Path) -> None:
    options = ", budget=200ms, late=local"
    async with routed(home, cascade(options)) as it:
        messages = echoed(text="one two three four", gap_ms=150)
        payloads = await it.server.stream(CHAT, ask(stream=True, messages=messages))
        await it.server.recorded(1)
    assert said(payloads) == "one two three four"
    assert payloads[-1] == "[DONE]"
    [outcome] = it.server.outcomes
    assert outcome.decision is not None
    assert "kept: nothing against it in 0.2 s" in outcome.decision.why


async def test_a_late_answer_is_escalated_and_its_engine_is_free(home: Path) -> None:
    async with routed(home, cascade(", budget=200ms")) as it:
        messages = echoed(text="one", forever=True, gap_ms=20)
        payloads = await it.server.stream(CHAT, ask(stream=True, messages=messages))
        assert said(payloads) == "from the cloud"
        await it.server.recorded(1)
        assert it.server.app.services.pool.present() == 0


async def test_a_client_that_hangs_up_frees_the_engine(home: Path) -> None:
    async with routed(home, cascade(", checks=agreement")) as it:
        body = ask(messages=echoed(text="one", forever=True, gap_ms=20))
        task = asyncio.create_task(it.server.post(CHAT, body))
        for _ in range(500):
            if it.server.app.services.pool.present() == 2:
                break
            await asyncio.sleep(0.02)
        assert it.server.app.services.pool.present() == 2
        task.cancel()
        await it.server.recorded(1)
        assert it.server.app.services.pool.present() == 0
    assert it.asked == []


async def test_the_local_answer_stands_in_for_a_cloud_that_fails(home: Path) -> None:
    async def fail(peer: Peer, seen: Seen) -> None:
        await peer.reply(b'{"error":{"message":"broken"}}', status=500)

    async with routed(home, cascade(), fail) as it:
        text, header = await reply_to(it, messages=echoed(text=REFUSAL))
        assert text == REFUSAL
        assert header["side"] == "local"
        assert "the cloud failed (UpstreamStatus), the local answer is kept" in header["why"]


async def test_two_samples_are_compared(home: Path) -> None:
    async with routed(home, cascade(", checks=agreement")) as it:
        text, _ = await reply_to(it, messages=echoed(text="The answer is 42."))
        assert text == "The answer is 42."
        await it.server.recorded(1)
    [outcome] = it.server.outcomes
    roles = [(each.role, each.answered, each.error) for each in outcome.attempts]
    assert roles == [("primary", True, None), ("check", False, None)]
    assert all(each.usage is not None for each in outcome.attempts), "both cost something"


async def test_two_samples_need_no_second_slot(home: Path) -> None:
    toml = cascade(", checks=agreement") + "\n[engine]\nparallel = 1"
    async with routed(home, toml) as it:
        async with asyncio.timeout(20):
            found = await asyncio.gather(
                *(reply_to(it, messages=echoed(text="The answer is 42.")) for _ in range(4))
            )
        assert [text for text, _ in found] == ["The answer is 42."] * 4


async def test_logprobs_of_a_check_are_not_shown(home: Path) -> None:
    async with routed(home, cascade(", checks=logprob, min_logprob=-100")) as it:
        body = ask(messages=echoed(text="one two three four five six seven eight nine ten"))
        _, reply = await it.server.post(CHAT, body)
        assert reply["choices"][0].get("logprobs") is None
        _, reply = await it.server.post(CHAT, body | {"logprobs": True})
        assert reply["choices"][0]["logprobs"]["content"]


async def test_tools_and_formats_are_checked(home: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with routed(home, cascade()) as it:
        messages = echoed(text='{"a": "oops"}')
        _, header = await reply_to(it, messages=messages, response_format=wanted)
        assert "escalated: json (does not fit the schema)" in header["why"]
        _, header = await reply_to(it, messages=echoed(text='{"a": 1}'), response_format=wanted)
        assert header["side"] == "local"


async def test_ollama_s_clients_get_cascades_as_well(home: Path) -> None:
    async with routed(home, cascade()) as it, AsyncClient(host=it.server.url) as client:
        kept = await client.chat("gpt-4o", echoed(text="Blue light."))
        assert kept.message.content == "Blue light."
        escalated = await client.chat("gpt-4o", echoed(text=REFUSAL))
        assert escalated.message.content == "from the cloud"


async def test_several_choices_are_not_judged(home: Path) -> None:
    async with routed(home, cascade()) as it:
        _, header = await reply_to(it, n=2)
        assert "escalated: no local answer (Unsupported)" in header["why"]


async def test_a_request_at_fault_is_refused_and_costs_nothing(home: Path) -> None:
    async with routed(home, cascade()) as it:
        response, _ = await it.server.post(CHAT, ask(messages=[]))
        assert response.status == 400
        assert it.asked == []


def said(payloads: list[str]) -> str:
    events = [json.loads(payload) for payload in payloads if payload != "[DONE]"]
    choices = [event["choices"][0] for event in events if event.get("choices")]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def test_a_kept_answer_that_breaks_off_is_gone_on_with(home: Path) -> None:
    policy = "fallback(cascade(local, cloud, budget=100ms, late=local), cloud, resume=yes)"
    toml = (
        "[routing]\nretries = 0\n[routes]\n"
        f'"gpt-4o" = {{ policy = "{policy}", local = "{MODEL}", cloud = "cloud" }}'
    )
    async with routed(home, toml) as it:
        messages = echoed(text="one two three", gap_ms=120, fault="cut", fault_after=3)
        payloads = await it.server.stream(CHAT, ask(stream=True, messages=messages))
        assert said(payloads) == "one two threefrom the cloud"
        await it.server.recorded(1)
    [outcome] = it.server.outcomes
    assert [each.role for each in outcome.attempts] == ["primary", "resume"]
