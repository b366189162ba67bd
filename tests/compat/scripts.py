"""What to say to a scripted engine."""

from __future__ import annotations

import json
from typing import Any

from openai.types.chat import ChatCompletionUserMessageParam


def script(**directive: Any) -> str:
    """The prompt that makes a scripted engine do as told; see `engine/echo/script.py`."""
    return f"/echo {json.dumps(directive)}"


def said(text: str) -> list[ChatCompletionUserMessageParam]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def scripted_turn(**directive: Any) -> list[ChatCompletionUserMessageParam]:
    """A conversation that makes a scripted engine do as told."""
    return said(script(**directive))
