"""A judge decides what checks leave open, and is paid for each verdict once."""

from __future__ import annotations

from pathlib import Path

from reshore.evals.compare.aims import Aim, aim
from reshore.evals.compare.answers import Answer, AnswerFile, key_of
from reshore.evals.compare.prompts import Prompt
from reshore.evals.compare.ruling import ServerAsks, rule_all
from reshore.evals.deciding import Checks, InTurn
from reshore.evals.judging import Judge
from reshore.evals.scoring import Compared
from reshore.testing import MovableClock
from reshore.types import Message
from tests.evals.compare.asked import answer, prompt
from tests.evals.contests import preferring

OLD, NEW, JUDGE = "cloud:u/claude", "local:llama", "cloud:u/gpt-4o"
PROMPTS = [prompt("Why is it blue?", id="1"), prompt("And red?", id="2"), prompt("2+2", id="3")]
ANSWERS = {
    ("1", OLD): answer("Small things in the sky.", target=OLD, by="cloud:u/claude-4"),
    ("1", NEW): answer("Rayleigh scattering.", target=NEW),
    ("2", OLD): answer("Rayleigh scattering, longer paths.", target=OLD),
    ("2", NEW): answer("The sun is red.", target=NEW),
    ("3", OLD): answer("4", target=OLD),
    ("3", NEW): answer("4", target=NEW),
}


class Server:
    """Answers as the judge."""

    def __init__(self, *, error: str = "", by: str = "") -> None:
        self.judge = preferring("Rayleigh")
        self.by = by
        self.error = error
        self.bodies: list[dict[str, object]] = []

    async def ask(self, prompt: Prompt, target: Aim) -> Answer:
        assert target.text == JUDGE
        self.bodies.append(prompt.body)
        messages = [Message(**turn) for turn in prompt.body["messages"]]
        form = "json" if "response_format" in prompt.body else "line"
        said = await self.judge.ask(messages, form, request_id="")  # type: ignore[arg-type]
        kept = {"key": key_of(prompt, JUDGE), "target": JUDGE, "by": self.by}
        return answer(said.text, **kept, error=self.error)


async def rule(server: Server, path: Path, *targets: str) -> dict[tuple[str, str], Compared]:
    with AnswerFile(path) as kept:
        judge = Judge(ServerAsks(server, aim(JUDGE), kept), JUDGE, clock=MovableClock())
        told: list[Compared] = []
        found = await rule_all(
            InTurn(judge=judge), PROMPTS, ANSWERS, targets or (OLD, NEW), on_ruling=told.append
        )
        assert sorted(each.result for each in told) == sorted(
            each.result for each in found.values()
        )
        return found


async def test_what_checks_leave_open_is_the_judges(tmp_path: Path) -> None:
    server = Server()
    found = await rule(server, tmp_path / "a.jsonl")
    assert found == {
        ("1", NEW): Compared(result="win", by="judge gpt-4o"),
        ("2", NEW): Compared(result="loss", by="judge gpt-4o"),
        ("3", NEW): Compared(result="tie", by="agreement"),
    }
    assert len(server.bodies) == 4
    body = server.bodies[0]
    assert body["temperature"] == 0
    assert body["response_format"]["json_schema"]["strict"] is True  # type: ignore[index]


async def test_no_verdict_is_paid_for_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    before = await rule(Server(), path)
    again = Server()
    assert await rule(again, path) == before
    assert again.bodies == []


async def test_a_judge_that_fails_is_asked_anew_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    found = await rule(Server(error="status 401"), path)
    assert found["1", NEW].result == "undecided"
    assert "status 401" in found["1", NEW].detail
    assert (await rule(Server(), path))["1", NEW].result == "win"


async def test_who_answered_counts_and_not_the_routed_name(tmp_path: Path) -> None:
    routed = {
        (name, target): answer(each.text, target="fast", by="cloud:u/gpt-4o-mini")
        if target == NEW
        else each
        for (name, target), each in ANSWERS.items()
    }
    with AnswerFile(tmp_path / "a.jsonl") as kept:
        judge = Judge(ServerAsks(Server(), aim(JUDGE), kept), JUDGE, clock=MovableClock())
        renamed = {(name, "fast" if t == NEW else t): a for (name, t), a in routed.items()}
        found = await rule_all(
            InTurn(judge=judge), PROMPTS, renamed, (OLD, "fast"), on_ruling=lambda _: None
        )
    assert found["1", "fast"].detail == "the judge and cloud:u/gpt-4o-mini are both OpenAI"


async def test_a_routed_judge_does_not_grade_relatives_of_who_ruled(tmp_path: Path) -> None:
    server = Server(by="local:llama3.2")
    for _ in ("asked", "kept"):
        found = await rule(server, tmp_path / "a.jsonl")
        assert (found["1", NEW].result, found["1", NEW].by) == ("undecided", "")
        assert found["1", NEW].detail == "the judge (local:llama3.2) and local:llama are both Llama"
    assert len(server.bodies) == 2  # one order of each pair: the other would not count either


async def test_pairs_with_a_missing_answer_are_left_out() -> None:
    some = {key: each for key, each in ANSWERS.items() if key != ("1", NEW)}
    found = await rule_all(Checks(), PROMPTS, some, (OLD, NEW), on_ruling=lambda _: None)
    assert sorted(found) == [("2", NEW), ("3", NEW)]
