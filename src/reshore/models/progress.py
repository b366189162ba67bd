"""What a pull tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step, with the fields of an event of Ollama's `/api/pull`.

    Attributes:
        status: what is being done (`pulling manifest`, `pulling 0a1b2c3d4e5f`, `success`, …).
        digest: the blob it is about.
        total, completed: bytes; None where they are not known.
    """

    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None


OnProgress = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Tell nobody."""


def pulling(digest: str, total: int, completed: int) -> Progress:
    """The progress of one blob, in Ollama's words."""
    return Progress(
        status=f"pulling {digest.removeprefix('sha256:')[:12]}",
        digest=digest,
        total=total,
        completed=completed,
    )
