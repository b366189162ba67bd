"""A request of which a copy is taken. Pure."""

from __future__ import annotations

from msgspec import Struct

from reshore.backends.answer import Spoken
from reshore.routing.journal import Journal


class Sample(Struct, frozen=True, kw_only=True):
    """What is known of it when its client has the whole answer.

    Attributes:
        size_bytes: of its body.
        started_s: when it arrived, on the clock's monotonic scale; `wall_s`: since the epoch.
        route: the pattern that it fell under.
        key: which API key asked, as in `Outcome.key`.
        share: how likely such a request was to be a sample.
        said: what the client got, where that is compared; None as well where it was begun by one
            target and gone on with by another.
    """

    request_id: str
    size_bytes: int
    started_s: float
    wall_s: float = 0.0
    route: str = ""
    key: str | None = None
    share: float = 1.0
    said: Spoken | None = None

    @property
    def held_bytes(self) -> int:
        """What is held of it, nearly."""
        return self.size_bytes + (self.said.size if self.said else 0)


def sample_of(journal: Journal, share: float, said: Spoken | None) -> Sample:
    """The request of a journal."""
    return Sample(
        request_id=journal.request_id,
        size_bytes=journal.size_bytes,
        started_s=journal.started_s,
        wall_s=journal.wall_s,
        route=journal.route,
        key=journal.key,
        share=share,
        said=said,
    )
