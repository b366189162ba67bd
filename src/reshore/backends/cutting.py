"""Texts that are too long by themselves, cut as Ollama cuts them.

Ollama keeps the first tokens of such a prompt and its end, in roughly half of the room that is left
beside those (facts, section 1.5). A raw prompt is cut exactly so. Of a conversation what is kept
is everything but one message, so that neither a system prompt nor the marks of a turn are lost, and
the message keeps its end.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reshore.backends.budget import BYTES_PER_TOKEN, count_chat, detokenize, tokenize
from reshore.backends.chat_plan import ChatPlan
from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.types import SYSTEM_ROLES, ImagePart

# Characters of a text that are tokenized for each token wanted: what is enough for nearly every
# text, and then what is enough for all.
_WIDTHS = (16, BYTES_PER_TOKEN)

# A character that was cut in two.
_REPLACEMENT = "\ufffd"


def room_beside(kept_tokens: int, limit: int) -> int:
    """How many tokens of a cut text go beside the kept ones, half of the rest being for the answer.

    Not positive where there is no room.
    """
    return limit - kept_tokens - max((limit - kept_tokens) // 2, 1)


async def cut_prompt(
    prompt: str, keep: int, limit: int, engine: Engine, client: EngineClient
) -> tuple[int, ...]:
    """The tokens that stay of a raw prompt that is too long for `limit` tokens of context.

    Args:
        keep: how many stay at its beginning, besides the special ones that the model puts there;
            negative: as many as fit.
    """
    special = await _leading(engine, client)
    keep = limit - 1 - len(special) if keep < 0 else min(keep, limit - 1 - len(special))
    head = await _first(prompt, max(keep, 0), engine, client)
    room = room_beside(len(special) + len(head), limit)
    return (*special, *head, *await _last(prompt, max(room, 0), engine, client))


async def cut_message(
    plan: ChatPlan, limit: int, engine: Engine, client: EngineClient
) -> tuple[ChatPlan, int] | None:
    """`plan` with the end of its longest message in the place of it, and how many tokens that has.

    Returns:
        None where that does not help: with images, whose size is not known, where the rest alone
        leaves no room, or where no message is longer than its room.
    """
    messages = plan.request.messages
    if any(isinstance(part, ImagePart) for m in messages for part in m.content or ()):
        return None
    texts = {
        index: message.content
        for index, message in enumerate(messages)
        if isinstance(message.content, str) and message.role not in SYSTEM_ROLES
    }
    if not texts:
        return None
    longest = max(texts, key=lambda index: len(texts[index]))
    rest = _with_text(plan, longest, "")
    kept = await count_chat(client, engine, rest.body(n=1, seed_offset=0))
    room = room_beside(kept, limit)
    if room <= 0:
        return None
    tokens = await _last(texts[longest], room, engine, client)
    end = (await detokenize(client, engine, tokens)).lstrip(_REPLACEMENT)
    if len(end) >= len(texts[longest]):
        return None
    return _with_text(plan, longest, end), len(tokens)


def _with_text(plan: ChatPlan, index: int, text: str) -> ChatPlan:
    messages = list(plan.request.messages)
    messages[index] = msgspec.structs.replace(messages[index], content=text)
    return plan.with_messages(tuple(messages))


async def _leading(engine: Engine, client: EngineClient) -> Sequence[int]:
    """The special tokens before every prompt."""
    plain = await tokenize(client, engine, "a", special=False)
    whole = await tokenize(client, engine, "a")
    return whole[: whole.index(plain[0])] if plain and plain[0] in whole else ()


async def _first(text: str, count: int, engine: Engine, client: EngineClient) -> Sequence[int]:
    return (await _enough([text[: count * width] for width in _WIDTHS], count, engine, client))[
        :count
    ]


async def _last(text: str, count: int, engine: Engine, client: EngineClient) -> Sequence[int]:
    pieces = [text[max(0, len(text) - count * width) :] for width in _WIDTHS]
    tokens = await _enough(pieces, count, engine, client)
    return tokens[max(0, len(tokens) - count) :]


async def _enough(
    pieces: Sequence[str], count: int, engine: Engine, client: EngineClient
) -> Sequence[int]:
    """The tokens of the first piece that has `count` of them: megabytes take seconds."""
    tokens: Sequence[int] = ()
    for piece in pieces:
        tokens = await tokenize(client, engine, piece, special=False)
        if len(tokens) >= count:
            break
    return tokens
