"""From two answers to a pair, from the local side's view."""

from __future__ import annotations

import msgspec
import pytest

from reshore.evals.deciding import Checks
from reshore.evals.live.pairing import Contest, contest_of, conversation_of, paired_of, texts_of
from reshore.routing.paired import Paired
from reshore.routing.shadow import ShadowResult
from tests.evals.live.made import CLOUD, LOCAL, Chat, result


def contest(given: ShadowResult) -> Contest:
    question, first = given.call.question(), given.sample.said
    assert question is not None
    assert first is not None
    return contest_of(question, first, given)


async def pair(given: ShadowResult) -> Paired:
    return await paired_of(contest(given), given, Checks())


GOOD = "The answer is 42."
CUT = ""


@pytest.mark.parametrize(
    ("client", "copy", "swap", "verdict"),
    [
        (GOOD, GOOD, False, "tie"),
        (GOOD, CUT, False, "loss"),
        (CUT, GOOD, False, "win"),
        (GOOD, CUT, True, "win"),
        (CUT, GOOD, True, "loss"),
        (GOOD, "The answer is 43.", False, "undecided"),
    ],
)
async def test_a_verdict_is_the_local_sides_whoever_answered_the_client(
    client: str, copy: str, swap: bool, verdict: str
) -> None:
    first, mirror = (LOCAL, CLOUD) if swap else (CLOUD, LOCAL)
    found = await pair(result(client, copy, first=first, mirror=mirror))
    assert found.verdict == verdict
    assert (found.local, found.cloud, found.answered) == (LOCAL, CLOUD, first.side)


async def test_a_pair_says_where_it_is_from() -> None:
    found = await pair(result())
    assert (found.source, found.route, found.request_id) == ("shadow", "gpt-4o", "req_1")
    assert (found.propensity, found.arrived_s) == (0.05, 1_700_000_000.0)


async def test_a_local_copy_that_failed_is_a_loss() -> None:
    found = await pair(result(GOOD, None))
    assert (found.verdict, found.by, found.local_quality) == ("loss", "error", 0.0)


async def test_a_cloud_that_failed_says_nothing_of_the_local_answer() -> None:
    found = await pair(result(GOOD, None, first=LOCAL, mirror=CLOUD))
    assert found.verdict == "undecided"


async def test_what_is_wrong_with_an_answer_by_itself_is_its_quality() -> None:
    found = await pair(result(GOOD, CUT))
    assert (found.local_quality, found.cloud_quality) == (0.0, None)


async def test_the_format_that_was_asked_for_counts() -> None:
    call = Chat("as JSON", response_format={"type": "json_object"})
    found = await pair(result('{"a": 1}', '{"a": 1', call=call))
    assert (found.verdict, found.by) == ("loss", "json")


async def test_a_finish_that_nobody_knows_is_none() -> None:
    odd = result()
    first = odd.sample.said
    assert first is not None
    given = msgspec.structs.replace(
        odd,
        sample=msgspec.structs.replace(
            odd.sample, said=msgspec.structs.replace(first, finish_reason="eos_token")
        ),
    )
    assert contest(given).cloud_heard.said.finish_reason is None
    assert (await pair(given)).verdict == "tie"


def test_the_turns_of_a_conversation_are_one() -> None:
    begun = Chat("Hello").question()
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "And now?"},
    ]
    grown = Chat("Hello", messages=messages).question()
    other = Chat("Good day").question()
    assert begun is not None
    assert grown is not None
    assert other is not None
    assert conversation_of(begun) == conversation_of(grown) != conversation_of(other)


def test_what_was_said_is_there_for_the_ledger() -> None:
    texts = texts_of(contest(result("from there", "from here")))
    assert (texts.local, texts.cloud) == ("from here", "from there")
    assert msgspec.json.decode(texts.prompt)["messages"][0]["content"] == "question req_1"
