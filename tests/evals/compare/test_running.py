"""All prompts are asked of all targets: side by side, at a limited rate, none of them twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from reshore.errors import Unreachable
from reshore.evals.compare.aims import Aim, aims
from reshore.evals.compare.answers import Answer, AnswerFile, key_of
from reshore.evals.compare.prompts import Prompt
from reshore.evals.compare.running import Manner, Paced, ask_all, missing
from reshore.testing import MovableClock, settle
from tests.evals.compare.asked import answer, prompt

PROMPTS = [prompt(f"What is {n}?", id=n) for n in range(6)]


class Model:
    """Answers with what it was asked, when it may."""

    def __init__(self, *, waits: bool = False, fails: Sequence[str] = ()) -> None:
        self.asked: list[tuple[str, str]] = []
        self.loaded: list[str] = []
        self.busy: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.together = 0
        self.go = asyncio.Event()
        self.pause_after: int | None = None
        self.answered = 0
        self.fails = fails
        if not waits:
            self.go.set()

    async def ready(self, target: Aim) -> None:
        self.loaded.append(target.text)

    async def ask(self, prompt: Prompt, target: Aim) -> Answer:
        name = target.text
        assert name in self.loaded
        self.asked.append((prompt.id, name))
        self.busy[name] = self.busy.get(name, 0) + 1
        self.most[name] = max(self.most.get(name, 0), self.busy[name])
        self.together = max(self.together, sum(count > 0 for count in self.busy.values()))
        await self.go.wait()
        await asyncio.sleep(0)
        self.busy[name] -= 1
        self.answered += 1
        if self.answered == self.pause_after:
            self.go.clear()
        if name in self.fails:
            raise Unreachable("gone", backend="x")
        error = "status 500" if prompt.id == "3" else ""
        return answer(prompt.text, key=key_of(prompt, name), target=name, error=error)


async def run(
    model: Model,
    path: Path,
    *targets: str,
    manner: Manner | None = None,
    clock: MovableClock | None = None,
) -> list[Answer]:
    heard: list[Answer] = []
    with AnswerFile(path) as kept:
        await ask_all(
            model,
            PROMPTS,
            aims(targets),
            kept,
            manner=manner or Manner(),
            clock=clock or MovableClock(),
            on_answer=heard.append,
        )
    return heard


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers"


async def test_each_target_gets_each_prompt_once(path: Path) -> None:
    model = Model()
    heard = await run(model, path, "a", "b")
    assert sorted(model.asked) == sorted((str(n), name) for n in range(6) for name in "ab")
    assert len(heard) == 12


async def test_so_many_requests_to_a_target_are_under_way_at_a_time(path: Path) -> None:
    model = Model(waits=True)
    task = asyncio.create_task(run(model, path, "a", "b", manner=Manner(parallel=3)))
    await settle()
    assert model.most == {"a": 3, "b": 3}
    model.go.set()
    await task
    assert model.most == {"a": 3, "b": 3}


async def test_models_of_this_machine_are_never_asked_together(path: Path) -> None:
    model = Model()
    await run(model, path, "local:a", "local:b")
    assert model.together == 1
    assert model.loaded == ["local:a", "local:b"]
    assert len(model.asked) == 12


async def test_what_was_answered_is_not_asked_again_and_what_failed_is(path: Path) -> None:
    await run(Model(), path, "a", "b")
    model = Model()
    await run(model, path, "a", "c", "b")
    assert sorted(model.asked) == sorted(
        [("3", "a"), ("3", "b"), *((str(n), "c") for n in range(6))]
    )


async def test_a_model_that_has_answered_all_is_not_loaded(path: Path) -> None:
    fine = [each for each in PROMPTS if each.id != "3"]
    with AnswerFile(path) as kept:
        for target in ("a", "b"):
            for each in fine:
                kept.add(answer(key=key_of(each, target)))
        model = Model()
        await ask_all(
            model,
            fine,
            aims(("a", "b")),
            kept,
            manner=Manner(),
            clock=MovableClock(),
            on_answer=lambda _: None,
        )
    assert model.loaded == []


async def test_prompts_that_ask_the_same_are_asked_once(path: Path) -> None:
    same = [prompt("What?", id=n) for n in range(3)]
    with AnswerFile(path) as kept:
        [left] = missing(same, aims(("a", "b"))[0], kept)
    assert left.id == "0"


async def test_a_rate_is_kept_for_each_target(path: Path) -> None:
    clock, model = MovableClock(), Model()
    manner = Manner(parallel=4, rate=2.0)
    task = asyncio.create_task(run(model, path, "a", "b", manner=manner, clock=clock))
    await settle()
    for step in range(1, 7):
        assert len(model.asked) == 2 * step
        await clock.advance(0.5)
    await task


async def test_where_the_server_is_gone_nothing_more_is_asked(path: Path) -> None:
    model = Model(fails=("b",))
    with pytest.raises(Unreachable):
        await run(model, path, "a", "b")
    assert len(model.asked) < 12


async def test_cancelled_it_has_kept_what_was_answered(path: Path) -> None:
    model = Model(waits=True)
    task = asyncio.create_task(run(model, path, "a", "b", manner=Manner(parallel=1)))
    await settle()
    model.pause_after = 4
    model.go.set()
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = AnswerFile(path)
    done = {each for each in model.asked if kept.has(key_of(PROMPTS[int(each[0])], each[1]))}
    assert 4 <= len(done) < len(model.asked) < 12


async def test_whoever_is_asked_on_the_side_is_asked_no_faster() -> None:
    clock, model = MovableClock(), Model()
    [aim, _] = aims(("a", "b"))
    paced = Paced(model, 2.0, clock)
    await paced.ready(aim)
    tasks = [asyncio.create_task(paced.ask(each, aim)) for each in PROMPTS[:3]]
    await settle()
    assert len(model.asked) == 1
    await clock.advance(1.0)
    assert len(model.asked) == 3
    await asyncio.gather(*tasks)
