"""The ledger as the rest of the server sees it: something that is told what happened."""

from __future__ import annotations

import contextlib
import importlib
import logging
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from typing import cast

from msgspec import structs

from reshore.clock import Clock
from reshore.config import Config
from reshore.ledger.batch import Store
from reshore.ledger.entry import (
    LATE,
    Ended,
    Item,
    Late,
    Pairing,
    PairTexts,
    Texts,
    worth_keeping,
)
from reshore.ledger.location import folder_of
from reshore.ledger.prices import Prices
from reshore.ledger.spill import Spill, adopt
from reshore.ledger.texts import Censor
from reshore.ledger.writer import Counts, Writer
from reshore.routing.paired import Paired
from reshore.types import Attempt, Outcome

log = logging.getLogger("reshore.ledger")

# How long the end of a server waits for the last entries. A file takes them in milliseconds; only
# a database that hangs needs more.
_CLOSE_S = 20.0


class Ledger:
    """Takes what happened and gives it to the writer's thread. Made by `open_ledger`.

    Its methods are called by one event loop; none of them waits, and none fails.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        settings = config.ledger
        folder = folder_of(config)
        self._clock = clock
        self._enabled = settings.enabled
        self._most = settings.queue
        self._queue: deque[Item] = deque()
        self._censor = Censor(settings)
        self._overflow = Spill(folder, settings.spill_bytes)
        self._overflowing = False
        self._own = Counts()  # those of this side; the thread has its own
        self._writer = Writer(
            self._queue,
            connect=lambda: _connecting(config),
            prices=Prices(config.prices, config.upstreams),
            censor=self._censor,
            folder=folder,
            spill=Spill(folder, settings.spill_bytes),
            overflow=self._overflow,
            flush_s=settings.flush_ms / 1000,
            clock=clock,
        )

    @property
    def counts(self) -> Counts:
        """What became of the entries."""
        return self._own + self._writer.counts

    @property
    def queued(self) -> int:
        """Entries on their way to the writer."""
        return len(self._queue)

    def record(self, outcome: Outcome) -> None:
        """A request ended. Probes and listings that went well are not kept."""
        if worth_keeping(outcome):
            self._put(outcome)

    def record_late(self, request_id: str, attempt: Attempt, *, asked: str = "") -> None:
        """An attempt ended that no client waited for; its costs are added to the request's.

        Args:
            asked: the name that the client sent, for a target without a model of its own.
        """
        number = LATE + secrets.randbits(62)
        self._put(Late(request_id, number, attempt, self._clock.wall(), asked))

    def wants_texts(self, request_id: str) -> bool:
        """Whether prompt and answer of a request are to be kept; ask before collecting them."""
        return self._enabled and self._censor.wants(request_id)

    def record_texts(self, texts: Texts) -> None:
        """Keep what was said, blacked out and cut as `[ledger]` says."""
        if self.wants_texts(texts.request_id):
            self._put(self._censor.shorten(texts))

    def record_pair(
        self, paired: Paired, *, key: str | None = None, texts: PairTexts | None = None
    ) -> None:
        """Two answers to one request were compared.

        Args:
            key: which API key asked, as in `Outcome.key`.
            texts: kept where `wants_texts` of the request says so, blacked out and cut as
                `[ledger]` says.
        """
        if texts is not None:
            wanted = self.wants_texts(paired.request_id)
            texts = self._censor.shorten_pair(texts) if wanted else None
        self._put(Pairing(paired, key, texts))

    def _put(self, item: Item) -> None:
        if len(self._queue) >= self._most:
            self._put_aside(item)
        elif self._enabled:
            self._overflowing = False
            self._queue.append(item)
        self._writer.wake()

    def _put_aside(self, item: Item) -> None:
        """The writer is stuck: a line in a file takes some microseconds and is not lost."""
        if not self._overflowing:
            self._overflowing = True
            log.warning("the ledger's database is slow: entries are kept in a file meanwhile")
        if isinstance(item, Texts):
            self._own.lost += 1  # not blacked out yet, and so not for a disk
            return
        if isinstance(item, Pairing):
            item = structs.replace(item, texts=None)  # nor are these
        try:
            refused = self._overflow.append([Ended(item) if isinstance(item, Outcome) else item])
        except OSError as error:
            log.error("the ledger lost an entry: %s", error)
            refused = 1
        self._own.lost += refused
        self._own.spilled += 1 - refused


@contextlib.contextmanager
def open_ledger(config: Config, clock: Clock) -> Iterator[Ledger]:
    """A ledger that is written to until the block ends; what was recorded by then is kept.

    Nothing is opened here: the thread does that, and a database that is away, damaged or of a
    newer release is logged and tried again, while entries wait in a file. Without
    `ledger.enabled` nothing is kept.
    """
    ledger = Ledger(config, clock)
    if not config.ledger.enabled:
        yield ledger
        return
    with contextlib.suppress(OSError):  # an unwritable home: the writer says so
        adopt(folder_of(config))
    thread = threading.Thread(target=ledger._writer.run, name="ledger", daemon=True)
    thread.start()
    try:
        yield ledger
    finally:
        ledger._writer.close()
        thread.join(_CLOSE_S)
        if thread.is_alive():
            log.error("the ledger's database hangs: up to %d entries are lost", len(ledger._queue))


def _connecting(config: Config) -> Future[Store]:
    """Begin to open the database.

    In a thread of its own: in a busy process it takes a second or more, and a database that is
    away answers as late as it likes. The writer puts entries into a file meanwhile.
    """
    opening: Future[Store] = Future()

    def connect() -> None:
        try:
            opening.set_result(_connect(config))
        except BaseException as error:  # whatever it is, the writer is to know
            opening.set_exception(error)

    threading.Thread(target=connect, name="ledger-opening", daemon=True).start()
    return opening


def _connect(config: Config) -> Store:
    # By name: SQLAlchemy takes 80 ms of CPU and 12 MB, which is the thread's to spend.
    database = importlib.import_module("reshore.ledger.database")
    return cast(Store, database.Database(config))
