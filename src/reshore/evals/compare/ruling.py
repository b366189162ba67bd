"""The pairs of a comparison that checks leave open, decided by whoever else is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from reshore.errors import UpstreamStatus
from reshore.evals.compare.aims import Aim
from reshore.evals.compare.answers import Answer, AnswerFile, heard, key_of
from reshore.evals.compare.prompts import Prompt
from reshore.evals.compare.running import Asks
from reshore.evals.compare.summary import Answers
from reshore.evals.deciding import Decider, Parties
from reshore.evals.judge import FORMAT, MOST_TOKENS, SCHEMA, Form
from reshore.evals.judging import Spoken
from reshore.evals.scoring import Compared
from reshore.types import ChatRequest, Message

_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": FORMAT.name, "schema": SCHEMA, "strict": True},
}


class ServerAsks:
    """Reaches a judge through the server. Implements `judging.AsksChat`.

    What the judge says is kept among the answers: a comparison that goes on pays for no verdict
    twice.

    Args:
        asker: asks the server.
        judge: the judge's model.
        kept: where its replies are kept.
    """

    def __init__(self, asker: Asks, judge: Aim, kept: AnswerFile) -> None:
        self._asker = asker
        self._judge = judge
        self._kept = kept

    async def ask(self, messages: Sequence[Message], form: Form, *, request_id: str) -> Spoken:
        """See `AsksChat`.

        Raises:
            UpstreamStatus: it gave no reply.
            Unreachable: there is no server any more.
            CompareError: the reply cannot be kept.
        """
        prompt = _prompt(messages, form)
        key = key_of(prompt, self._judge.text)
        answer = self._kept.last(key) if self._kept.has(key) else None
        if answer is None:
            answer = await self._asker.ask(prompt, self._judge)
            if answer.error:
                # Busy servers have been waited for: what is left is most likely a refusal.
                raise UpstreamStatus(answer.error, backend=self._judge.text, status=400)
            self._kept.add(answer)
        return Spoken(text=answer.text, by=answer.by)


async def rule_all(
    decider: Decider,
    prompts: Sequence[Prompt],
    answers: Answers,
    targets: Sequence[str],
    *,
    parallel: int = 4,
    on_ruling: Callable[[Compared], None],
) -> dict[tuple[str, str], Compared]:
    """Hold each target's answers against those of the first one.

    Args:
        answers: by the prompt's id and the target; pairs of which one is missing are left out.
        parallel: pairs at a time.

    Returns:
        What came of each, by the prompt's id and the later target: `summarise` takes it as it is.
    """
    found: dict[tuple[str, str], Compared] = {}

    async def take(left: Iterator[tuple[Prompt, Answer, Answer]]) -> None:
        for prompt, first, second in left:
            ruling = await decider.decide(
                prompt.request,
                heard(prompt, first),
                heard(prompt, second),
                prompt.expected,
                Parties(first=_model(first), second=_model(second)),
            )
            found[prompt.id, second.target] = ruling
            on_ruling(ruling)

    left = _pairs(prompts, answers, targets)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(parallel):
            tasks.create_task(take(left))
    return found


def _pairs(
    prompts: Sequence[Prompt], answers: Answers, targets: Sequence[str]
) -> Iterator[tuple[Prompt, Answer, Answer]]:
    first, *others = targets
    for prompt in prompts:
        for target in others:
            if (prompt.id, first) in answers and (prompt.id, target) in answers:
                yield prompt, answers[prompt.id, first], answers[prompt.id, target]


def _model(answer: Answer) -> str:
    """Who answered: behind a routed name may be a relative of the judge."""
    return answer.by or answer.target


def _prompt(messages: Sequence[Message], form: Form) -> Prompt:
    body: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": turn.text} for turn in messages],
        "max_completion_tokens": MOST_TOKENS,
    }
    if form == "json":
        # Models that think refuse a temperature; they have refused the format before.
        body |= {"response_format": _FORMAT, "temperature": 0}
    request = ChatRequest(model="judge", messages=tuple(messages))
    return Prompt(id="", body=msgspec.to_builtins(body), request=request)
