"""What tests of live evaluation share: results of copies, pairs, and an evaluation to feed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from reshore.backends.answer import Question, Spoken
from reshore.config import EvaluationConfig, LimitsConfig
from reshore.evals.deciding import Checks
from reshore.evals.live.evaluation import Evaluation
from reshore.evals.live.keeping import Keeping
from reshore.ledger.entry import PairTexts
from reshore.routing.paired import Paired
from reshore.routing.sample import Sample
from reshore.routing.shadow import ShadowResult
from reshore.testing import MovableClock, settle
from reshore.types import Attempt, Target
from reshore.wire.openai.chat import decode_chat

LOCAL = Target(side="local", backend="local", model="small")
OTHER = Target(side="local", backend="local", model="other")
CLOUD = Target(side="cloud", backend="openai", model="big")


class Chat:
    """A call of which only the question is asked."""

    def __init__(self, prompt: str = "6 times 7?", **fields: Any) -> None:
        messages = [{"role": "user", "content": prompt}]
        self.body = {"model": "gpt-4o", "messages": messages} | fields

    def question(self) -> Question | None:
        request = decode_chat(self.body, lenient=True, limits=LimitsConfig()).request
        return Question(request=request, body=self.body)


class NoChat:
    """A call that is no chat."""

    def question(self) -> None:
        return None


def spoken(target: Target, text: str) -> Spoken:
    return Spoken(target=target, text=text, finish_reason="stop")


def attempt(target: Target, **changes: Any) -> Attempt:
    fields = {"role": "shadow", "target": target, "ttft_ms": 20.0, "total_ms": 80.0}
    return Attempt(**{**fields, **changes})


def result(
    got: str = "42",
    copied: str | None = "42",
    *,
    request_id: str = "req_1",
    call: Any = None,
    first: Target = CLOUD,
    mirror: Target = LOCAL,
    error: str | None = None,
    **sample: Any,
) -> ShadowResult:
    """A copy of a request: what its client got, and what the copy was answered; None: it failed."""
    error = error or (None if copied is not None else "Crashed")
    fields = {
        "request_id": request_id,
        "size_bytes": 10,
        "started_s": 0.0,
        "wall_s": 1_700_000_000.0,
        "route": "gpt-4o",
        "key": "0a1b2c3d",
        "share": 0.05,
        "said": spoken(first, got),
    }
    return ShadowResult(
        sample=Sample(**{**fields, **sample}),
        call=call or Chat(f"question {request_id}"),
        attempt=attempt(mirror, error=error),
        said=None if copied is None or error else spoken(mirror, copied),
    )


def paired(**changes: Any) -> Paired:
    fields = {
        "request_id": "req_1",
        "source": "shadow",
        "route": "gpt-4o",
        "arrived_s": 1_700_000_000.0,
        "local": LOCAL,
        "cloud": CLOUD,
        "verdict": "tie",
        "by": "agreement",
        "answered": "cloud",
    }
    return Paired(**{**fields, **changes})


class Kept:
    """Stands for the ledger."""

    def __init__(self, *, texts: bool = False) -> None:
        self.pairs: list[tuple[Paired, str | None, PairTexts | None]] = []
        self._texts = texts

    def wants_texts(self, request_id: str) -> bool:
        return self._texts

    def record_pair(
        self, paired: Paired, *, key: str | None = None, texts: PairTexts | None = None
    ) -> None:
        self.pairs.append((paired, key, texts))

    @property
    def verdicts(self) -> list[str]:
        return [pair.verdict for pair, _, _ in self.pairs]


class Scene:
    """An evaluation with its clock, its files and what it told."""

    def __init__(
        self, folder: Path, *, texts: bool = False, decider: Any = None, **settings: Any
    ) -> None:
        self.clock = MovableClock()
        self.ledger = Kept(texts=texts)
        self.told: list[Paired] = []
        self.evaluation = Evaluation(
            EvaluationConfig(**settings),
            keeping=Keeping(folder),
            clock=self.clock,
            ledger=self.ledger,
            decider=decider or Checks(),
        )
        self.evaluation.on_pair.append(self.told.append)

    async def idle(self) -> None:
        """Until all pairs that were offered are compared."""
        while self.evaluation._worker.held_bytes:
            await settle()


@asynccontextmanager
async def evaluating(folder: Path, **settings: Any) -> AsyncIterator[Scene]:
    """An evaluation over the files in a folder, until the block ends."""
    scene = Scene(folder, **settings)
    async with scene.evaluation:
        yield scene
