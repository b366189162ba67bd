"""Rows that are written together, and what can keep them from being written. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from reshore.errors import LedgerError
from reshore.ledger.entry import (
    Ended,
    Entry,
    Late,
    Pairing,
    Row,
    Texts,
    attempt_rows,
    late_row,
    listed_price,
    pair_row,
    request_row,
    texts_row,
)
from reshore.ledger.prices import Prices


class Refused(LedgerError):
    """The database takes no rows like these; it would take others."""


@dataclass
class Batch:
    """Rows of one transaction.

    Attributes:
        late: rows of attempts that came after their requests, whose sums they change.
        entries: how many they came from.
        again: some of it may have been stored before, and sums may have changed since.
    """

    requests: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    late: list[Row] = field(default_factory=list)
    texts: list[Row] = field(default_factory=list)
    pairs: list[Row] = field(default_factory=list)
    again: bool = False
    entries: int = 0

    def add(self, entry: Entry, prices: Prices) -> None:
        """Make the rows of an entry."""
        if isinstance(entry, Ended):
            outcome = entry.outcome
            rows = attempt_rows(outcome, prices)
            self.requests.append(request_row(outcome, rows, listed_price(outcome, prices)))
            self.attempts += rows
        elif isinstance(entry, Late):
            self.late.append(late_row(entry, prices))
        elif isinstance(entry, Texts):
            self.texts.append(texts_row(entry))
        elif isinstance(entry, Pairing):
            self.pairs.append(pair_row(entry))
        self.entries += 1


class Store(Protocol):
    """What the writer's thread asks of a database. `database.py` has the real one."""

    def write(self, batch: Batch, position: tuple[str, int] | None = None) -> None:
        """Store rows, all or none; rows that are there already stay as they are.

        Args:
            position: a file of spilled entries, and how far the rows are out of it.

        Raises:
            Refused: some row is the reason.
            LedgerError: the database is.
        """
        ...

    def position(self, file: str) -> int:
        """How far a file has been read back."""
        ...

    def forget(self, file: str) -> None:
        """The file is no more."""
        ...

    def sweep(self, now_s: float) -> bool:
        """Delete some of what is too old; whether there may be more."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
