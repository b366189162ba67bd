"""The thread that brings entries from a queue to the database, or to a file until it is there."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from reshore.clock import Clock
from reshore.errors import LedgerError
from reshore.ledger.batch import Batch, Refused, Store
from reshore.ledger.entry import Ended, Entry, Item, Pairing, Texts
from reshore.ledger.prices import Prices
from reshore.ledger.spill import Spill, pieces, waiting
from reshore.ledger.texts import Censor
from reshore.types import Outcome

log = logging.getLogger("reshore.ledger")

# Rows of one transaction: what collects while another one is on its way to the disk.
_BATCH = 2000
# Entries that are read back between two looks into the queue: 0.2 s in a process that is busy,
# where each breath (below) costs one turn of the interpreter's lock, 5 ms.
_PIECE = 500
# How long the database is left alone after it failed: at first, and at most.
_REST_S = 1.0
_LONGEST_REST_S = 30.0
# Between two looks at what is too old, and between two deletions while there is more of it.
_SWEEP_S = 600.0
_SWEEP_ON_S = 0.25
# Entries made into rows at a stretch, some 0.1 ms. Without a breath the interpreter's lock stays
# ours for up to 5 ms, in which the event loop can do nothing (with 125 entries: 1.1 ms measured,
# and 0.2 ms with it). A sleep of no length does not let go of it for long enough.
_BREATH = 16
_BREATH_S = 50e-6
# A full disk is no reason to fill it with log lines.
_TELL_S = 10.0
# A server has other things to do when it starts than to import a database.
_FIRST_S = 1.0


@dataclass
class Counts:
    """What became of entries since the start, for logs and metrics.

    Attributes:
        written: in the database, files read back included.
        spilled: put into a file, from where they are read back.
        lost: neither; each loss has been logged.
    """

    written: int = 0
    spilled: int = 0
    lost: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.written + other.written, self.spilled + other.spilled, self.lost + other.lost
        )


class Writer:
    """Owns the database, and the files of entries that wait for it. `run` is the thread's.

    What is in the queue is in the database or in a file `flush_s` later, whatever the database
    does: before it is open, while it is away, and when it refuses.

    Args:
        queue: appended to by others, emptied here.
        spill, overflow: files for what the database does not take, and for what others found no
            room for in the queue.
        connect: begins to open the database elsewhere, which may take long; called again and
            again while it fails with a `LedgerError`.
    """

    def __init__(
        self,
        queue: deque[Item],
        *,
        connect: Callable[[], Future[Store]],
        prices: Prices,
        censor: Censor,
        folder: Path,
        spill: Spill,
        overflow: Spill,
        flush_s: float,
        clock: Clock,
    ) -> None:
        self.counts = Counts()
        self._queue = queue
        self._connect = connect
        self._prices = prices
        self._censor = censor
        self._folder = folder
        self._spill = spill
        self._overflow = overflow
        self._flush_s = flush_s
        self._clock = clock
        self._pending = threading.Event()
        self._closing = threading.Event()
        self._opening: Future[Store] | None = None
        self._store: Store | None = None
        self._failing = False
        self._rest_s = _REST_S
        self._tell_at_s = 0.0
        self._try_at_s = clock.monotonic() + _FIRST_S
        self._sweep_at_s = clock.monotonic() + _SWEEP_S

    def wake(self) -> None:
        """There is something in the queue. From any thread; costs nothing when it knows."""
        if not self._pending.is_set():
            self._pending.set()

    def close(self) -> None:
        """Write what is in the queue, and end. From any thread; does not wait."""
        self._closing.set()
        self._pending.set()

    def run(self) -> None:
        """The thread's life."""
        try:
            while not self._closing.is_set():
                if self._pending.wait(self._idle_s()):
                    self._closing.wait(self._flush_s)
                self.turn()
            self.turn()
        except Exception:
            # A bug of ours must be seen, and must not take requests along.
            log.exception("the ledger's writer ended; entries are no longer kept")
        finally:
            self.finish()

    def finish(self) -> None:
        """Leave everything so that the next process finds it.

        A process that ends before it ever opened the database does so now if entries wait, its
        own or those of one that was killed: who asks for them wants to see them.
        """
        self._spill.finish()
        self._overflow.finish()
        opened = self._store is not None or self._opening is not None
        if not opened and not self._failing and waiting(self._folder):
            self._begin()
        if self._opening is not None:
            self._open(self._opening)
        if self._store is not None:
            self._store.close()
            self._store = None

    def turn(self) -> None:
        """Whatever there is to be done now; the thread does it again and again."""
        self._pending.clear()
        self._drain()
        more = self._overflow.finish()
        now_s = self._clock.monotonic()
        if self._store is None:
            if self._opening is None and now_s >= self._try_at_s:
                self._begin()
            if self._opening is not None and self._opening.done():
                self._open(self._opening)
        elif more:
            self._fetch(self._store)
        if self._store is not None and now_s >= self._sweep_at_s:
            self._sweep(self._store, now_s)

    def _drain(self) -> None:
        while self._queue:
            count = min(len(self._queue), _BATCH)
            self._deliver([self._entry(self._queue.popleft()) for _ in range(count)])

    def _entry(self, item: Item) -> Entry:
        if isinstance(item, Outcome):
            return Ended(item)
        if isinstance(item, Texts):
            return self._censor.black_out(item)
        if isinstance(item, Pairing) and item.texts is not None:
            return structs.replace(item, texts=self._censor.black_out_pair(item.texts))
        return item

    def _idle_s(self) -> float | None:
        """How long there is nothing to do unless `wake` says so."""
        if self._opening is not None:
            return None
        due_s = self._sweep_at_s if self._store is not None else self._try_at_s
        return max(due_s - self._clock.monotonic(), 0.0)

    def _deliver(self, entries: list[Entry]) -> None:
        """To the database, or to the file if there is none."""
        if self._store is not None:
            try:
                self._write(self._store, entries)
                return
            except LedgerError as error:
                self._fail(error)
        self._put_aside(entries)

    def _write(
        self,
        store: Store,
        entries: Sequence[Entry],
        position: tuple[str, int] | None = None,
        *,
        again: bool = False,
    ) -> None:
        batch = self._batch(entries, again=again)
        try:
            store.write(batch, position)
            self.counts.written += batch.entries
        except Refused as error:
            if len(entries) == 1:
                self._lose(1, f"one was refused. {error}")
            else:  # the others are not to suffer for it
                middle = len(entries) // 2
                self._write(store, entries[:middle], again=again)
                self._write(store, entries[middle:], again=again)
            if position is not None:
                store.write(Batch(), position)

    def _batch(self, entries: Sequence[Entry], *, again: bool) -> Batch:
        batch = Batch(again=again)
        for number, entry in enumerate(entries):
            if number % _BREATH == _BREATH - 1:
                time.sleep(_BREATH_S)
            try:
                batch.add(entry, self._prices)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                self._lose(1, f"one makes no rows ({type(error).__name__}: {error})")
        return batch

    def _put_aside(self, entries: Sequence[Entry]) -> None:
        try:
            refused = self._spill.append(entries)
        except OSError as error:
            self._lose(len(entries), f"they could not be put into {self._folder}: {error}")
            return
        self.counts.spilled += len(entries) - refused
        if refused:
            why = f"the disk is full, or the files in {self._folder} are (ledger.spill_bytes)"
            self._lose(refused, why)

    def _lose(self, number: int, why: str) -> None:
        """Count entries that are lost, and say so: at once, and then now and then."""
        self.counts.lost += number
        now_s = self._clock.monotonic()
        if now_s >= self._tell_at_s:
            self._tell_at_s = now_s + _TELL_S
            log.error("the ledger lost entries, %d so far: %s", self.counts.lost, why)

    def _begin(self) -> None:
        self._opening = self._connect()
        self._opening.add_done_callback(lambda _: self.wake())

    def _open(self, opening: Future[Store]) -> None:
        """Wait until the database is open or is known not to be; store what waits for it."""
        try:
            self._store = opening.result()
            self._spill.finish()
            self._read_back(self._store)
        except LedgerError as error:
            self._fail(error)
        else:
            if self._failing:
                log.info("the ledger's database is back; entries that waited are stored")
            self._failing, self._rest_s = False, _REST_S
        finally:
            self._opening = None

    def _fetch(self, store: Store) -> None:
        try:
            self._read_back(store)
        except LedgerError as error:
            self._fail(error)

    def _fail(self, error: LedgerError) -> None:
        """The database is let go of, and tried again after a rest."""
        if not self._failing:
            log.error("%s. Entries are kept in %s until it answers", error, self._folder)
        self._failing = True
        if self._store is not None:
            self._store.close()
            self._store = None
        self._try_at_s = self._clock.monotonic() + self._rest_s
        self._rest_s = min(self._rest_s * 2, _LONGEST_REST_S)

    def _read_back(self, store: Store) -> None:
        """Store what waits in finished files, and remove them.

        Raises:
            LedgerError: the database failed; what was not stored still waits.
        """
        try:
            for path in waiting(self._folder):
                for piece in pieces(path, store.position(path.name), _PIECE):
                    self._write(store, piece.entries, (path.name, piece.end), again=True)
                    if piece.damaged:
                        self._lose(piece.damaged, f"lines of {path.name} are damaged")
                    self._drain()  # what comes meanwhile is not to wait for a long file
                    if self._store is not store:
                        return
                path.unlink()
                store.forget(path.name)
        except OSError as error:
            log.error("entries that wait in a file cannot be read back: %s", error)

    def _sweep(self, store: Store, now_s: float) -> None:
        try:
            more = store.sweep(self._clock.wall())
        except LedgerError as error:
            self._fail(error)
        else:
            self._sweep_at_s = now_s + (_SWEEP_ON_S if more else _SWEEP_S)
