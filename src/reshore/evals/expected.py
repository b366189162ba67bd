"""What is known of the right answer to one request. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from reshore.checks.reference import Match
from reshore.types import ToolCall


class Expected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a right answer is like; all of it must hold. Without anything: nobody knows.

    Attributes:
        references: one of these is the answer.
        schema: the answer is JSON that fits it.
        pattern: a regular expression that is found in the answer; whoever reads it from a user
            compiles it first, so that a bad one is told where it stands.
        calls: the tool calls of the answer; None: not known.
    """

    references: tuple[str, ...] = ()
    match: Match = "final"
    schema: dict[str, Any] | bool | None = None
    pattern: str | None = None
    calls: tuple[ToolCall, ...] | None = None

    @property
    def proves(self) -> bool:
        """Whether an answer that is as expected is right; one that fits a schema may not be."""
        return bool(self.references or self.pattern) or self.calls is not None
