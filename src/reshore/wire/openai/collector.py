"""Chunks gathered into one object: what chats and completions have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from reshore.types import Chunk, FinishReason, Usage
from reshore.wire.openai.encode import Head, add_usage, encode_json, unfinished, usage_body


class GrowingChoice(Protocol):
    """One choice on its way; `finish_reason` is None until it has ended."""

    finish_reason: FinishReason | None

    def add(self, chunk: Chunk) -> None: ...

    def body(self, index: int) -> dict[str, Any]: ...


C = TypeVar("C", bound=GrowingChoice)


class Collector(Generic[C]):
    """Gathers the chunks of one reply. Belongs to the task that writes it.

    Args:
        kind: the reply's `object`.
        new_choice: makes a choice when its first chunk comes.
    """

    def __init__(self, head: Head, kind: str, new_choice: Callable[[], C]) -> None:
        self._head = head.fields(kind)
        self._model = head.model
        self._new_choice = new_choice
        self._usage: Usage | None = None
        self.choices: dict[int, C] = {}

    def add(self, batch: Iterable[Chunk]) -> None:
        """Take what arrived together."""
        for chunk in batch:
            if chunk.index >= 0:
                choice = self.choices.get(chunk.index)
                if choice is None:
                    choice = self.choices[chunk.index] = self._new_choice()
                choice.add(chunk)
            if chunk.usage is not None:
                self._usage = add_usage(self._usage, chunk.usage)

    def reasoned(self) -> bool:
        """Whether a choice holds reasoning, whose tokens are not counted apart."""
        return False

    def body(self) -> bytes:
        """The whole reply; without `usage` when that never came.

        Raises:
            BadReply: a choice has not finished.
        """
        choices = sorted(self.choices.items())
        if not choices or any(choice.finish_reason is None for _, choice in choices):
            raise unfinished(self._model)
        reply = {**self._head, "choices": [choice.body(index) for index, choice in choices]}
        if self._usage is not None:
            reply["usage"] = usage_body(self._usage, reasoned=self.reasoned())
        return encode_json(reply)
