"""What the serving bench sends: unique prompts, repeatable runs, answers of a known length."""

from __future__ import annotations

import asyncio
import json

from bench.load import Answer, Bodies, Prompts, by_turns, scripted
from bench.servers import Server

STACK, OTHER = Server("http://stack", "", 1, 0.0), Server("http://other", "", 2, 0.0)


def test_prompts_repeat_between_runs_but_not_within_one():
    first, again = Prompts(7), Prompts(7)
    texts = [first.next(20) for _ in range(200)]
    assert texts == [again.next(20) for _ in range(200)]
    assert len(set(texts)) == len(texts)
    assert {len(text.split()) for text in texts} == {20}


def test_no_prompt_begins_as_another_one_does_for_long():
    prompts = Prompts(0)
    beginnings = [tuple(prompts.next(600).split()[:8]) for _ in range(200)]
    assert len(set(beginnings)) == len(beginnings)


def test_a_chat_body_bans_the_tokens_that_would_end_it_early():
    body = Bodies((2, 0)).chat(words=5, tokens=128)
    assert body["logit_bias"] == {"2": -100, "0": -100}
    assert body["max_tokens"] == 128
    assert body["stream_options"] == {"include_usage": True}


def test_a_whole_answer_is_asked_for_without_stream_fields():
    assert not {"stream", "stream_options"} & set(Bodies(()).chat(words=1, tokens=1, stream=False))


def test_a_directive_is_written_as_the_scripted_engine_reads_it():
    content = scripted({"tokens": 3})["messages"][0]["content"]
    name, _, directive = content.partition(" ")
    assert (name, json.loads(directive)) == ("/echo", {"tokens": 3})


def test_rates_leave_out_what_does_not_belong_to_them():
    answer = Answer(first_s=0.5, total_s=2.5, prompt_tokens=600, completion_tokens=129)
    assert answer.decode_rate == 64.0
    assert answer.prefill_rate == 240.0


def test_every_other_pair_runs_the_other_way_round():
    order: list[str] = []

    async def measure(server: Server) -> str:
        order.append(server.url)
        return server.url

    pairs = asyncio.run(by_turns(measure, STACK, OTHER, 3))
    assert pairs == [(STACK.url, OTHER.url)] * 3
    assert order == [STACK.url, OTHER.url, OTHER.url, STACK.url, STACK.url, OTHER.url]
