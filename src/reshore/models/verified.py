"""Blobs: where they are, whether their bytes have the digest, and the memory of that.

Hashing a model of 40 GB takes a minute, so a blob is hashed again only when its file has changed:
device, inode, size and modification time are remembered in `verified.json` of the store, for
blobs of read-only stores too. The file is a cache: losing it costs time and nothing else. On a disk
that is full or only read the process remembers for itself.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections import defaultdict
from pathlib import Path

import msgspec

from reshore.errors import BadModelFile, DigestMismatch
from reshore.models.disk import locked, write_atomic

CHUNK_BYTES = 1 << 20
_ENTRIES_LIMIT = 4096  # the newest stay

Identity = tuple[int, int, int, int]
"""Device, inode, size in bytes and modification time in nanoseconds: changed when a file has."""

# size, modification time in nanoseconds, digest; the key is device:inode
_Entry = tuple[int, int, str]


def blob_name(digest: str) -> str:
    """File name of the blob with that digest (`sha256:…`)."""
    return digest.replace(":", "-", 1)


def open_blob(path: Path) -> int:
    """Open a blob for reading; the caller closes the descriptor.

    Raises:
        BadModelFile: it is missing, not ours to read, or a link, a folder, a pipe or a device.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        reason = "is a link, which is refused" if error.errno == errno.ELOOP else error.strerror
        cure = "Let this user read it" if error.errno == errno.EACCES else "Pull the model again"
        raise BadModelFile(f"the blob {path.name} cannot be used: {reason}. {cure}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadModelFile(f"the blob {path.name} is not a regular file; pull the model again")
    return descriptor


class Verifier:
    """Says whether blobs are what their names say.

    Safe to use from several threads and processes: within a process a blob is hashed once at a
    time, and the file is replaced under the store's lock.

    Args:
        memory: the `verified.json`.
        lock: the store's lock file.
    """

    def __init__(self, memory: Path, lock: Path) -> None:
        self._memory = memory
        self._lock = lock
        self._guard = threading.Lock()
        self._busy: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._known: dict[str, _Entry] = {}

    def check(self, path: Path, digest: str) -> Identity:
        """Make sure that the file has the digest; hashes it if it is new or has changed.

        Blocking, up to a minute for the largest files.

        Returns:
            The identity of the file that was checked.

        Raises:
            BadModelFile: it is missing or not a regular file.
            DigestMismatch: its bytes have another digest.
        """
        descriptor = open_blob(path)
        try:
            identity = identify(os.fstat(descriptor))
            key, entry = _keyed(identity, digest)
            with self._guard:
                turn = self._busy[key]
            with turn:
                if self._remembered(key) == entry:
                    return identity
                got = _hash(descriptor)
                if got != digest:
                    raise DigestMismatch(f"blob {path.name}", want=digest, got=got)
                self._remember(key, entry)
                return identity
        finally:
            os.close(descriptor)

    def remember(self, identity: Identity, digest: str) -> None:
        """Note that the file with this identity was found to have the digest."""
        self._remember(*_keyed(identity, digest))

    def _remember(self, key: str, entry: _Entry) -> None:
        with self._guard:
            self._learn({key: entry})
            with contextlib.suppress(OSError), locked(self._lock):
                self._learn(self._load() | {key: entry})
                write_atomic(self._memory, msgspec.json.encode(self._known), durable=False)

    def _remembered(self, key: str) -> _Entry | None:
        with self._guard:
            if key not in self._known:  # another process may have verified it
                self._learn(self._load())
            return self._known.get(key)

    def _learn(self, entries: dict[str, _Entry]) -> None:
        self._known |= entries
        while len(self._known) > _ENTRIES_LIMIT:
            del self._known[next(iter(self._known))]

    def _load(self) -> dict[str, _Entry]:
        try:
            return msgspec.json.decode(self._memory.read_bytes(), type=dict[str, _Entry])
        except (OSError, msgspec.DecodeError):
            return {}


def identify(status: os.stat_result) -> Identity:
    """What tells whether a file is still the same one."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _keyed(identity: Identity, digest: str) -> tuple[str, _Entry]:
    device, inode, size, changed_ns = identity
    return f"{device}:{inode}", (size, changed_ns, digest)


def _hash(descriptor: int) -> str:
    hasher = hashlib.sha256()
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        while count := file.readinto(buffer):
            hasher.update(view[:count])
    return f"sha256:{hasher.hexdigest()}"
