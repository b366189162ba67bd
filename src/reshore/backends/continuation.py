"""Ollama's `context`: the tokens of an exchange, given back to go on from there.

A reply can tell the token ids of its prompt and of what was answered; a later request that brings
them is generated from these very tokens and the new turn behind them, without the chat template
seeing what they once were.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from reshore.backends.budget import render, tokenize
from reshore.backends.chat_plan import ChatPlan
from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.types import ImagePart

Context = Callable[[str], Awaitable[Sequence[int]]]


async def continued(plan: ChatPlan, engine: Engine, client: EngineClient) -> ChatPlan:
    """`plan` with a prompt that goes on from the request's `context`, if it has one."""
    if not plan.request.context:
        return plan
    prompt = (*plan.request.context, *await _new_turn(plan, engine, client))
    return replace(plan, prompt=prompt)


def context_of(plan: ChatPlan, engine: Engine, client: EngineClient) -> Context | None:
    """Tells the tokens of an exchange; None with images, which are no tokens."""
    messages = plan.request.messages
    if any(isinstance(part, ImagePart) for m in messages for part in m.content or ()):
        return None

    async def context(answer: str) -> Sequence[int]:
        answered = await tokenize(client, engine, answer, special=False)
        if plan.request.context:
            prompt = [*plan.request.context, *await _new_turn(plan, engine, client)]
        else:
            text = await render(client, engine, plan.body(n=1, seed_offset=0))
            prompt = await tokenize(client, engine, text)
        return [*prompt, *answered]

    return context


async def _new_turn(plan: ChatPlan, engine: Engine, client: EngineClient) -> list[int]:
    text = plan.prompt
    if not isinstance(text, str):
        text = await render(client, engine, plan.body(n=1, seed_offset=0))
    return await tokenize(client, engine, text, special=False)
