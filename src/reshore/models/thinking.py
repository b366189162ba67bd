"""How a model marks what it thinks before it answers, read from its chat template."""

from __future__ import annotations

import re

from msgspec import Struct

_TAG = re.compile(r"<[^<>]+>|\[[^\[\]]+\]")


class Marks(Struct, frozen=True):
    """What stands around a thought. After `closing` comes the answer.

    `direct` stands before an answer without a thought.
    """

    opening: str
    closing: str
    direct: str = ""

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags in them, each of which may be a token that is not shown unless asked for."""
        return tuple(dict.fromkeys(_TAG.findall(self.opening + self.closing + self.direct)))


# What the templates of thinking models write, or take out of earlier turns.
MARKS = (
    Marks("<think>", "</think>"),
    Marks("[THINK]", "[/THINK]"),
    Marks("<seed:think>", "</seed:think>"),
    Marks("<mm:think>", "</mm:think>"),
    Marks("<|channel>thought", "<channel|>"),  # Gemma 4
    Marks(  # gpt-oss: an answer has a channel of its own
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|channel|>final<|message|>",
    ),
)


def find_marks(chat_template: str | None) -> Marks | None:
    """The marks that a chat template names, None where it names none that are known."""
    template = chat_template or ""
    return next((marks for marks in MARKS if marks.opening in template), None)
