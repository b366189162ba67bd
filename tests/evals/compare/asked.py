"""Prompts and answers for tests."""

from __future__ import annotations

from typing import Any

import msgspec

from reshore.evals.compare.answers import Answer
from reshore.evals.compare.prompts import Prompt, read_prompts


def prompt(text: str = "How many?", **more: Any) -> Prompt:
    """A prompt as a line of JSON has it."""
    [read] = read_prompts(msgspec.json.encode({"prompt": text} | more).decode(), kind="jsonl")
    return read


def answer(text: str = "", **more: Any) -> Answer:
    """A complete answer."""
    return Answer(**({"key": "k", "target": "t", "text": text, "finish_reason": "stop"} | more))
