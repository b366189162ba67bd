"""Constrained answers of models that think: the thought is free, and the answer obeys.

The engine applies a grammar from the first token on, thoughts included. So the grammar itself says
"a thought, its end, and the answer", and because only the prompt tells whether the template has
opened a thought, it is rendered first and then completed as it is, without the engine's parser.
Measured with xllamacpp 2026.10 and the templates that come with llama.cpp, that parser finds
thoughts in some templates and not in others, takes a constrained answer for a thought where a
template always opens one, and fails where an answer needs a channel of its own.
"""

from __future__ import annotations

from dataclasses import replace

from reshore.backends.budget import render
from reshore.backends.chat_plan import ChatPlan
from reshore.backends.choices import ReadThoughts, in_turn
from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.engine.grammar.thought import Lead, after_thought
from reshore.models.thinking import Marks
from reshore.types import ImagePart


async def after_thinking(plan: ChatPlan, engine: Engine, client: EngineClient) -> ChatPlan:
    """`plan` with a grammar that lets the model think first, where it has one and the model does.

    An answer that goes on from tokens (`context`) is read in the same way, as the engine parses
    nothing there.
    """
    if plan.grammar is None and not plan.request.context:
        return plan
    if "thinking" not in engine.model.capabilities:
        return plan
    prompt = await render(client, engine, plan.body(n=1, seed_offset=0))
    marks, transform = plan.marks, plan.new_transform
    if marks is None:
        return _as_text(plan, prompt)
    lead = lead_of(prompt, marks, plan.thinking)
    if lead is None:
        return _as_text(plan, prompt + marks.direct)
    grammar = plan.grammar and after_thought(
        plan.grammar,
        opening=marks.opening,
        closing=marks.closing,
        direct=marks.direct,
        lead=lead,
    )
    opened = lead in ("opened", "closed")
    plan = replace(
        plan,
        grammar=grammar,
        new_transform=lambda: in_turn(ReadThoughts(marks, opened=opened), transform()),
    )
    return _as_text(plan, prompt)


def lead_of(prompt: str, marks: Marks, thinking: bool | None) -> Lead | None:
    """How the text after `prompt` begins; None if with the answer itself.

    Some templates open a thought whatever they are told: it is then closed at once.
    """
    end = prompt.rstrip()
    if end.endswith(marks.opening):
        return "closed" if thinking is False else "opened"
    if thinking is False or end.endswith(marks.closing):
        return None
    return "asked" if thinking else "offered"


def _as_text(plan: ChatPlan, prompt: str) -> ChatPlan:
    """Only a conversation can bring images; they leave the reading to the engine."""
    messages = plan.request.messages
    if any(isinstance(part, ImagePart) for m in messages for part in m.content or ()):
        return plan
    return replace(plan, prompt=prompt)
