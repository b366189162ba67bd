"""A blob while it arrives: `sha256-<hex>-partial`, renamed when it is complete and right.

The partial's length is how far it got, so a transfer that was cut, cancelled or killed goes on
where it ended. The partial is locked while somebody writes it: of two transfers of one blob the
second waits and finds the work done, or takes it over.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from reshore.errors import DigestMismatch, DiskFull, StoreError
from reshore.models.disk import disk_errors, sync_folder, try_lock
from reshore.models.verified import CHUNK_BYTES, Identity, blob_name, identify


class Busy(Exception):
    """Another process or task is writing this blob."""


class Partial:
    """The one writer of a blob. Use it as a context manager; every method blocks on the disk.

    Leaving the context keeps the partial for later, unless `commit` or `discard` was called or
    the disk is full: then the space is given back.

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
        self.path = folder / f"{blob_name(digest)}-partial"
        self._file = -1
        self._hasher = hashlib.sha256()
        self.length = 0

    def __enter__(self) -> Self:
        with disk_errors(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open_locked(self.path)
            try:
                self._read_back()
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
        if isinstance(error, DiskFull):
            self.discard()
        if self.length == 0:
            self.discard()
        elif self._file >= 0:
            os.close(self._file)
            self._file = -1

    @property
    def done(self) -> bool:
        """Whether the blob is there already: whoever wrote it before us has finished."""
        return self.target.exists()

    def write(self, piece: bytes) -> None:
        """Append.

        Raises:
            DiskFull: no space is left.
        """
        with disk_errors(self.path.parent):
            view = memoryview(piece)
            while view:
                view = view[os.write(self._file, view) :]
        self._hasher.update(piece)
        self.length += len(piece)

    def restart(self) -> None:
        """Forget what has arrived."""
        with disk_errors(self.path.parent):
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
        self._hasher = hashlib.sha256()
        self.length = 0

    def commit(self) -> Identity:
        """Check the digest and give the blob its name; the identity of the finished file.

        Raises:
            DigestMismatch: the bytes are wrong; the partial is removed.
            DiskFull: no space is left.
        """
        got = f"sha256:{self._hasher.hexdigest()}"
        if got != self.digest:
            self.discard()
            raise DigestMismatch(f"blob {self.target.name}", want=self.digest, got=got)
        with disk_errors(self.path.parent):
            os.fsync(self._file)
            os.replace(self.path, self.target)
            sync_folder(self.path.parent)
            identity = identify(os.fstat(self._file))
        os.close(self._file)
        self._file = -1
        return identity

    def discard(self) -> None:
        """Remove the partial; nobody else can have begun one, since ours is locked."""
        if self._file >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _read_back(self) -> None:
        """Hash what an earlier transfer left, and stand at its end."""
        while piece := os.read(self._file, CHUNK_BYTES):
            self._hasher.update(piece)
            self.length += len(piece)


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
