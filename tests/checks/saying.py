"""Answers for checks."""

from __future__ import annotations

from typing import Any

from reshore.checks.check import Said
from reshore.types import ChatRequest, FinishReason, Message


def said(
    text: str = "",
    *,
    asked: str = "How many?",
    reason: FinishReason | None = "stop",
    ended: bool = True,
    request: dict[str, Any] | None = None,
    **more: Any,
) -> Said:
    """An answer to a chat; `request` and `more` are further fields of either."""
    chat = ChatRequest(
        model="m", messages=(Message(role="user", content=asked),), **(request or {})
    )
    return Said(request=chat, text=text, finish_reason=reason, ended=ended, **more)


def begun(text: str, **more: Any) -> Said:
    """What there is of an answer that goes on."""
    return said(text, reason=None, ended=False, **more)
