"""Of each conversation, one pair counts: its turns share what made them easy or hard. Pure."""

from __future__ import annotations

from msgspec import Struct, field

# Some 150 KB on the disk. One that has been forgotten counts once more.
_MOST = 4096


class Conversations(Struct, kw_only=True):
    """Which conversations were heard of lately.

    Changes with every question and is written and read as it is (msgspec).

    Attributes:
        seen: how often each was, the one that was heard of last at the end.
    """

    seen: dict[str, int] = field(default_factory=dict)

    def is_new(self, conversation: str) -> bool:
        """Whether nothing was heard of it before; it is known from now on.

        Args:
            conversation: as in `Paired`; "" is one of its own each time.
        """
        if not conversation:
            return True
        times = self.seen.pop(conversation, 0)
        self.seen[conversation] = times + 1
        if len(self.seen) > _MOST:
            del self.seen[next(iter(self.seen))]
        return times == 0
