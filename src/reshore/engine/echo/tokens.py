"""Tokens, templates and vectors of the scripted engine: deterministic, reversible, without meaning.

A prompt's tokens are its UTF-8 bytes. An answer's tokens are its words, as they are sent.
"""

from __future__ import annotations

import hashlib
import math
import re
from array import array
from typing import Any

_ANSWERS = "<|im_start|>assistant\n"
_USER_TURN = re.compile(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", re.DOTALL)


def tokenize(text: str) -> list[int]:
    """One token per UTF-8 byte."""
    return list(text.encode("utf-8", "surrogatepass"))


def detokenize(tokens: list[int]) -> str:
    """The text of tokens; ids beyond a byte, which no text gives, wrap around."""
    return bytes(token % 256 for token in tokens).decode("utf-8", "replace")


def text_of(prompt: Any) -> str:
    """A prompt that is text, tokens, or a list that mixes them."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list):
        if all(isinstance(token, int) for token in prompt):
            return detokenize(prompt)
        return "".join(text_of(part if isinstance(part, str) else [part]) for part in prompt)
    raise ValueError("'prompt' must be text or a list of tokens")


def content_of(message: Any) -> str:
    """The text of a chat message."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return "\n".join(part.get("text") or "<__media__>" for part in content)
    return content if isinstance(content, str) else ""


def apply_template(messages: list[Any]) -> str:
    """ChatML, ready for the assistant's turn."""
    turns = (
        f"<|im_start|>{message.get('role', 'user')}\n{content_of(message)}<|im_end|>\n"
        for message in messages
    )
    return "".join(turns) + _ANSWERS


def last_said(prompt: str) -> str:
    """What the user said last in a prompt that `apply_template` has made, or all of another."""
    turns = _USER_TURN.findall(prompt) if prompt.endswith(_ANSWERS) else ()
    return turns[-1] if turns else prompt


def embed(tokens: list[int], length: int) -> array[float]:
    """A unit vector that depends on all tokens."""
    digest = hashlib.shake_256(",".join(map(str, tokens)).encode()).digest(2 * length)
    values = array("h", digest)
    norm = math.sqrt(sum(value * value for value in values)) or 1.0
    return array("f", (value / norm for value in values))
