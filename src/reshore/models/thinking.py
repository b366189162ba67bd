"""How a model marks what it thinks before it answers, read from its chat template."""

from __future__ import annotations

from msgspec import Struct


class Marks(Struct, frozen=True):
    """The tags around a thought. What comes after the closing one is the answer."""

    opening: str
    closing: str


# What the templates of thinking models write, or take out of earlier turns. Formats in which the
# answer has a tag of its own, too (gpt-oss' channels), are no pair of tags and not among them.
MARKS = (
    Marks("<think>", "</think>"),
    Marks("[THINK]", "[/THINK]"),
    Marks("<seed:think>", "</seed:think>"),
    Marks("<mm:think>", "</mm:think>"),
)


def find_marks(chat_template: str | None) -> Marks | None:
    """The tags that a chat template names, None where it names none that are known."""
    template = chat_template or ""
    return next((marks for marks in MARKS if marks.opening in template), None)
