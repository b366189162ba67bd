"""A blob while it arrives: `sha256-<hex>-partial`, renamed when it is complete and right.

While it grows from its first byte on, the partial's length is how far it got. Once parts of it
arrive side by side it has holes, and `sha256-<hex>-partial-spans` says which bytes are there; that
note never says more than has been written, so a transfer that was cut, cancelled or killed goes on
where it ended, at the cost of at most `NOTE_BYTES` if it was killed.

The partial is locked while somebody writes it: of two transfers of one blob the second waits and
finds the work done, or takes it over.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from reshore.errors import DigestMismatch, DiskFull, StoreError
from reshore.models import spans
from reshore.models.disk import disk_errors, sync_folder, try_lock, write_atomic
from reshore.models.spans import Span
from reshore.models.verified import CHUNK_BYTES, Identity, blob_name, identify

NOTE_BYTES = 16 << 20  # written between two notes of what is there


_BLOCK_BYTES = 512  # the unit of st_blocks
_PARTIAL, _SPANS = "-partial", "-spans"


class Busy(Exception):
    """Another process or task is writing this blob."""


class Partial:
    """The one writer of a blob. Use it as a context manager; every method blocks on the disk.

    Leaving the context keeps the partial for later, unless `commit` or `discard` was called or
    the disk is full: then the space is given back. `write_at` may be called from several threads
    at once, for bytes that do not overlap.

    Args:
        folder: the store's `blobs`.
        digest: what the blob must have in the end (`sha256:…`).

    Raises (on entering):
        Busy: somebody else is at it.
        StoreError: the folder cannot be written.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self.digest = digest
        self.target = folder / blob_name(digest)
        self.path = folder / f"{blob_name(digest)}{_PARTIAL}"
        self._note = folder / f"{self.path.name}{_SPANS}"
        self._file = -1
        self._guard = threading.Lock()
        self._spans: tuple[Span, ...] = ()
        self._unnoted = 0
        self._holed = False  # whether the note, not the length, says what is there
        self._hasher = hashlib.sha256()
        self._hashed = 0

    def __enter__(self) -> Self:
        with disk_errors(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_locked(self.path)
            try:
                self._look_back()
            except BaseException:
                os.close(self._file)
                self._file = -1
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file < 0:
            return
        if isinstance(error, DiskFull) or self.length == 0:
            self.discard()
            return
        try:
            with disk_errors(self.path.parent):
                self._take_note()
        except StoreError:  # without a note nobody can go on from here
            self.discard()
            return
        os.close(self._file)
        self._file = -1

    @property
    def done(self) -> bool:
        """Whether the blob is there already: whoever wrote it before us has finished."""
        return self.target.exists()

    @property
    def length(self) -> int:
        """How many bytes have arrived."""
        return spans.length(self._spans)

    def missing(self, size: int) -> tuple[Span, ...]:
        """Which bytes of a blob of `size` bytes have not arrived."""
        return spans.missing(self._spans, size)

    def reached(self, start: int) -> int:
        """How far the bytes go on without a gap from `start`; `start` itself if it is missing."""
        return next((end for first, end in self._spans if first <= start < end), start)

    def write(self, piece: bytes) -> None:
        """Append to what has arrived from the first byte on.

        Raises:
            DiskFull: no space is left.
        """
        self.write_at(self.reached(0), piece)

    def write_at(self, start: int, piece: bytes) -> None:
        """Put bytes where they belong.

        Raises:
            DiskFull: no space is left.
        """
        with disk_errors(self.path.parent):
            with self._guard:
                if start != self.reached(0) and not self._holed:
                    self._holed = True
                    self._take_note()
            view, position = memoryview(piece), start
            while view:
                written = os.pwrite(self._file, view, position)
                view, position = view[written:], position + written
            with self._guard:
                self._arrived(start, piece)

    def _arrived(self, start: int, piece: bytes) -> None:
        self._spans = spans.with_span(self._spans, start, start + len(piece))
        if start == self._hashed:  # what comes in order is hashed while it is in the caches
            self._hasher.update(piece)
            self._hashed += len(piece)
        self._unnoted += len(piece)
        if self._holed and self._unnoted >= NOTE_BYTES:
            self._take_note()

    def restart(self) -> None:
        """Forget what has arrived."""
        with disk_errors(self.path.parent):
            self._note.unlink(missing_ok=True)
            os.ftruncate(self._file, 0)
        self._spans, self._holed = (), False
        self._hasher, self._hashed = hashlib.sha256(), 0

    def finish(self) -> str:
        """Hash what was not hashed while it arrived; the digest of all bytes."""
        with disk_errors(self.path.parent):
            while piece := os.pread(self._file, CHUNK_BYTES, self._hashed):
                self._hasher.update(piece)
                self._hashed += len(piece)
        return f"sha256:{self._hasher.hexdigest()}"

    def commit(self) -> Identity:
        """Check the digest and give the blob its name; the identity of the finished file.

        Blocks while what arrived out of order is read and hashed.

        Raises:
            DigestMismatch: the bytes are wrong; the partial is removed.
            DiskFull: no space is left.
        """
        got = self.finish()
        if got != self.digest:
            self.discard()
            raise DigestMismatch(f"blob {self.target.name}", want=self.digest, got=got)
        return self.commit_as(got)

    def commit_as(self, digest: str) -> Identity:
        """Give the blob the name of its own digest, which `finish` has told."""
        target = self.target.with_name(blob_name(digest))
        with disk_errors(self.path.parent):
            self._note.unlink(missing_ok=True)
            os.fsync(self._file)
            os.replace(self.path, target)
            sync_folder(self.path.parent)
            identity = identify(os.fstat(self._file))
        os.close(self._file)
        self._file = -1
        return identity

    def discard(self) -> None:
        """Remove the partial; nobody else can have begun one, since ours is locked."""
        if self._file >= 0:
            self._note.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _look_back(self) -> None:
        """See what an earlier transfer left; its bytes are hashed when the blob is complete."""
        there = os.fstat(self._file).st_size
        noted = _read_note(self._note, there)
        self._holed = noted is not None
        self._spans = spans.with_span((), 0, there) if noted is None else noted

    def _take_note(self) -> None:
        self._unnoted = 0
        if self._holed:
            write_atomic(self._note, msgspec.json.encode(self._spans), durable=False)


def on_disk(status: os.stat_result) -> int:
    """About how much has arrived: a file with holes takes less of the disk than its length."""
    return min(status.st_size, status.st_blocks * _BLOCK_BYTES)


def is_partial(name: str) -> bool:
    """Whether a file of the folder `blobs` is a partial or its note."""
    return name.removesuffix(_SPANS).endswith(_PARTIAL)


def _read_note(path: Path, size: int) -> tuple[Span, ...] | None:
    """The spans that a note tells of; none of them for a note that cannot be true, None for none.

    Args:
        size: of the partial; no span may reach beyond it.
    """
    try:
        noted = msgspec.json.decode(path.read_bytes(), type=tuple[Span, ...])
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        return ()
    found: tuple[Span, ...] = ()
    for start, end in noted:
        if not 0 <= start < end <= size:
            return ()
        found = spans.with_span(found, start, end)
    return found


def _open_locked(path: Path) -> int:
    """Open and lock the partial; the file behind the name may change until it is locked."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        descriptor = os.open(path, flags, 0o644)
        try:
            if not try_lock(descriptor):
                raise Busy
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StoreError(f"{path.name} is not a regular file; remove it and try again")
            if _is_behind(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_behind(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
