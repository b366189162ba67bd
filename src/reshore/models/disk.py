"""Files that are whole or absent: atomic writes, locks between processes, disk-full errors."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reshore.errors import DiskFull, StoreError

TEMPORARY_PREFIX = "tmp-"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn the operating system's errors into errors that say what to do.

    Raises:
        DiskFull: no space is left at `place`, or a quota is used up.
        StoreError: `place` cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(
                f"no space left on device for the model store ({_shown(place)}). "
                "Free some space or remove a model with `reshore rm`, then try again."
            ) from error
        raise StoreError(
            f"the model store cannot be used: {error.strerror} ({_shown(place)})"
        ) from error


def _shown(path: Path) -> str:
    """The path as a message may show it to a client: without the name of a home folder."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def write_atomic(path: Path, body: bytes, *, durable: bool = True, mode: int | None = None) -> None:
    """Replace a file: a reader, also after a power failure, sees the old or the new content.

    Args:
        mode: the file's permissions, from its first byte on; None leaves them to the umask.

    Raises:
        OSError: nothing has changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        with open(temporary, "xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(body)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def temporary_beside(path: Path) -> Path:
    """A fresh name in the same folder, hence on the same file system."""
    return path.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path` against other threads and processes; waits for it.

    The kernel frees it when the process ends, however it ends. The file itself stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file if nobody else has; closing it unlocks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
