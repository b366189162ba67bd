"""A database that does what a test tells it."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from pathlib import Path

from reshore.config import LedgerConfig, UpstreamConfig
from reshore.errors import LedgerError
from reshore.ledger.batch import Batch, Refused
from reshore.ledger.prices import Prices
from reshore.ledger.spill import Spill
from reshore.ledger.texts import Censor
from reshore.ledger.writer import Writer
from reshore.testing import MovableClock


class FakeStore:
    """Implements `Store` in memory.

    Attributes:
        away: it cannot be opened or written to.
        hangs: it is not opened before `arrive` is called.
        refuses: ids of requests of which it takes no rows.
        forgets: it stores, and fails before it says so.
    """

    def __init__(self) -> None:
        self.away = False
        self.hangs = False
        self.opening: Future[FakeStore] = Future()
        self.refuses: set[str] = set()
        self.forgets = False
        self.opened = 0
        self.closed = 0
        self.batches = 0
        self.sweeps: list[float] = []
        self.stale = 0
        self.requests: dict[str, int] = {}
        self.texts: list[str] = []
        self.late: set[int] = set()
        self.positions: dict[str, int] = {}

    def open(self) -> Future[FakeStore]:
        self.opening = Future()
        if not self.hangs:
            self.arrive()
        return self.opening

    def arrive(self) -> None:
        try:
            self._check()
        except LedgerError as error:
            self.opening.set_exception(error)
        else:
            self.opened += 1
            self.opening.set_result(self)

    def write(self, batch: Batch, position: tuple[str, int] | None = None) -> None:
        self._check()
        if self.refuses & {row[0] for row in batch.requests}:
            raise Refused("this row is odd")
        for row in batch.requests:
            self.requests[row[0]] = self.requests.get(row[0], 0) + 1
        self.late |= {row[1] for row in batch.late}
        self.texts += [row[2] for row in batch.texts]
        self.batches += 1
        if position is not None:
            self.positions[position[0]] = position[1]
        if self.forgets:
            raise LedgerError("the connection broke while it said yes")

    def position(self, file: str) -> int:
        self._check()
        return self.positions.get(file, 0)

    def forget(self, file: str) -> None:
        self._check()
        del self.positions[file]

    def sweep(self, now_s: float) -> bool:
        self._check()
        self.sweeps.append(now_s)
        self.stale -= 1
        return self.stale > 0

    def close(self) -> None:
        self.closed += 1

    def _check(self) -> None:
        if self.away:
            raise LedgerError("the database is away")


class Desk:
    """A writer without a thread, with all that it works on."""

    def __init__(self, folder: Path, **settings: object) -> None:
        config = LedgerConfig(**settings)
        self.folder = folder
        self.store = FakeStore()
        self.clock = MovableClock()
        self.queue: deque = deque()
        self.overflow = Spill(folder, config.spill_bytes)
        self.writer = Writer(
            self.queue,
            connect=self.store.open,
            prices=Prices({}, {"openai": UpstreamConfig()}),
            censor=Censor(config),
            folder=folder,
            spill=Spill(folder, config.spill_bytes),
            overflow=self.overflow,
            flush_s=0.25,
            clock=self.clock,
        )

    async def turn(self, *items: object, later_s: float = 0.0) -> None:
        """Put something into the queue, let time pass, and have the thread look."""
        self.queue.extend(items)
        await self.clock.advance(later_s)
        self.writer.turn()
