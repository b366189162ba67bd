"""Prompts made to fit the context, as Ollama does it and only when it is asked for.

Of a conversation the oldest messages go first; system messages and the last turn stay. A text that
is too long by itself is cut (`backends.cutting`). What was lost is told in a header and a log line.
Nothing is counted for a prompt that fits: this runs after the engine has refused one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from reshore.backends.budget import chat_bytes, clamp_num_ctx, count_chat, hopeless
from reshore.backends.chat_plan import ChatPlan
from reshore.backends.cutting import cut_message, cut_prompt
from reshore.backends.defaults import with_model_options
from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.errors import ContextTooLong
from reshore.types import SYSTEM_ROLES, CompletionRequest, Message, Options, Sampling

TRUNCATED_HEADER = "x-reshore-truncated"

log = logging.getLogger("reshore.backends")

# Of the context, for the answer: one that is cut after three words helps nobody.
_ANSWER_SHARE = 4


async def fit_conversation(
    plan: ChatPlan,
    engine: Engine,
    client: EngineClient,
    notices: dict[str, str],
    refusal: ContextTooLong,
) -> ChatPlan:
    """`plan` with less in it: without the context of an earlier reply, or else with as many of its
    latest messages as fit beside an answer, or else with the end of a message.

    It may still be too long, and is then to be fitted again.

    Args:
        notices: gets `x-reshore-truncated`.
        refusal: why it has to be cut; raised again when there is nothing to drop.
    """
    name, request = engine.model.name, plan.request
    if request.context:
        _tell(notices, "context")
        log.warning("%s: dropped the context of an earlier reply: too long", name)
        return plan.without_context()
    limit = _limit(request.options, engine)
    points = cut_points(request.messages)
    if not points:
        cut = None
        if request.options.keep_tokens is not None:
            cut = await cut_message(plan, limit, engine, client)
        if cut is None:
            raise refusal
        _tell_cut(notices, name, tokens=cut[1], limit=limit)
        return cut[0]
    room = _room(request.sampling, limit)
    low, high = 0, len(points) - 1
    while low < high:
        middle = (low + high) // 2
        kept = plan.with_messages(from_point(request.messages, points[middle]))
        if await _tokens(kept, engine, client, limit) + room <= limit:
            high = middle
        else:
            low = middle + 1
    messages = from_point(request.messages, points[low])
    dropped = len(request.messages) - len(messages)
    _tell(notices, f"messages={dropped}")
    log.warning(
        "%s: dropped the oldest %d of %d messages: too long for %d tokens of context",
        name,
        dropped,
        len(request.messages),
        limit,
    )
    return plan.with_messages(messages)


async def fit_prompt(
    request: CompletionRequest,
    engine: Engine,
    client: EngineClient,
    notices: dict[str, str],
    refusal: ContextTooLong,
) -> CompletionRequest:
    """`request` with the first and the last tokens of its one prompt.

    Args:
        notices: gets `x-reshore-truncated`.
        refusal: why it has to be cut; raised again when that is not asked for, or has been done.
    """
    options, prompt = request.options, request.prompts[0]
    if not options.truncate or options.keep_tokens is None or not isinstance(prompt, str):
        raise refusal
    limit = _limit(with_model_options(options, engine.model.parameters), engine)
    tokens = await cut_prompt(prompt, options.keep_tokens, limit, engine, client)
    _tell_cut(notices, engine.model.name, tokens=len(tokens), limit=limit)
    return msgspec.structs.replace(request, prompts=(tokens,))


def cut_points(messages: Sequence[Message]) -> list[int]:
    """Where the kept part of a conversation may begin, the most kept first.

    It begins with a user's message, or else with the last turn: a result of a tool stays with the
    call that asked for it. Every point drops something.
    """
    said = [index for index, message in enumerate(messages) if message.role not in SYSTEM_ROLES]
    if not said:
        return []
    last = said[-1]
    while messages[last].role == "tool" and last > said[0]:
        last -= 1
    points = {index for index in said if messages[index].role == "user" and index <= last}
    return sorted(index for index in points | {last} if index > said[0])


def from_point(messages: Sequence[Message], start: int) -> tuple[Message, ...]:
    """The messages from `start` on, and every system message before it."""
    return tuple(
        message
        for index, message in enumerate(messages)
        if index >= start or message.role in SYSTEM_ROLES
    )


def _limit(options: Options, engine: Engine) -> int:
    return clamp_num_ctx(options, engine, {}) or engine.context_length


def _tell(notices: dict[str, str], what: str) -> None:
    told = notices.get(TRUNCATED_HEADER)
    notices[TRUNCATED_HEADER] = f"{told}, {what}" if told else what


def _tell_cut(notices: dict[str, str], name: str, *, tokens: int, limit: int) -> None:
    _tell(notices, "prompt")
    log.warning(
        "%s: kept %d tokens of a text: too long for %d tokens of context", name, tokens, limit
    )


def _room(sampling: Sampling, limit: int) -> int:
    share = limit // _ANSWER_SHARE
    asked = sampling.max_tokens
    return share if asked is None or asked < 0 else min(asked, share)


async def _tokens(plan: ChatPlan, engine: Engine, client: EngineClient, limit: int) -> int:
    if hopeless(chat_bytes(plan.request), limit):
        return limit + 1  # not worth the engine's time
    return await count_chat(client, engine, plan.body(n=1, seed_offset=0))
