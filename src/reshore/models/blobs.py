"""The blobs of our own store: how bytes get in, and how they get out again."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reshore.errors import BadModelFile, DigestMismatch, DiskFull
from reshore.models.disk import (
    TEMPORARY_PREFIX,
    disk_errors,
    sync_folder,
    temporary_beside,
    try_lock,
    write_atomic,
)
from reshore.models.manifest import Layer
from reshore.models.partial import Partial, is_partial, on_disk
from reshore.models.verified import Verifier, blob_name, identify

_NAMED = "-named"
_KEPT_FREE = 16 << 20  # bytes that a download must leave free


class Blobs:
    """Writes blobs, each whole or not at all, and remembers that they were hashed.

    Args:
        root: our store; its folder `blobs` is made when it is first written.
        verifier: what was hashed before.
    """

    def __init__(self, root: Path, verifier: Verifier) -> None:
        self._root = root
        self._folder = root / "blobs"
        self._verifier = verifier

    def path(self, digest: str) -> Path:
        """Where the blob with a (well-formed) digest is, if it is here."""
        return self._folder / blob_name(digest)

    def has(self, layer: Layer) -> bool:
        """Whether the store has the blob, verified (hashes it if it is not known).

        Raises:
            DigestMismatch: it is there, damaged.
        """
        path = self.path(layer.digest)
        if not path.exists():
            return False
        self._verifier.check(path, layer.digest)
        return True

    def keeps(self, digest: str) -> bool:
        """Whether the store has a sound blob of that digest; a damaged one is removed."""
        path = self.path(digest)
        try:
            self._verifier.check(path, digest)
        except (DigestMismatch, BadModelFile):
            path.unlink(missing_ok=True)
            return False
        return True

    def partial(self, digest: str) -> Partial:
        """A writer for a blob whose digest is known; see `Partial`."""
        return Partial(self._folder, digest)

    def commit(self, partial: Partial) -> None:
        """Finish a blob, and remember that it was hashed while it was written.

        Raises:
            DigestMismatch, DiskFull: as `Partial.commit`.
        """
        self._verifier.remember(partial.commit(), partial.digest)

    def commit_unnamed(self, partial: Partial) -> str:
        """Finish a blob under the digest that its bytes have; that digest.

        Raises:
            DiskFull: no space is left.
        """
        digest = partial.finish()
        # Before the lock is given up, for whoever waits; without a note it is fetched again.
        with suppress(OSError):
            write_atomic(self._note(partial.digest), digest.encode())
        self._verifier.remember(partial.commit_as(digest), digest)
        return digest

    def named(self, digest: str) -> str | None:
        """What became of the partial with this stand-in for a digest, while its note is there.

        Returns:
            The digest of its bytes, None if the store does not have them.
        """
        try:
            found = self._note(digest).read_text("ascii")
            return found if self.keeps(found) else None
        except (OSError, ValueError):
            return None

    def _note(self, digest: str) -> Path:
        # `remove_abandoned` takes it for a blob that nobody refers to.
        return self._folder / f"{blob_name(digest)}{_NAMED}"

    def check_space(self, size: int) -> None:
        """Refuse early what cannot fit.

        Raises:
            DiskFull: fewer than `size` bytes are free where the store is.
        """
        with disk_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._root).free
        if size + _KEPT_FREE > free:
            raise DiskFull(
                f"no space left on device: the model needs {size >> 20} MB and {free >> 20} MB are "
                "free where the model store is. Free some space, or remove a model with "
                "`reshore rm`."
            )

    def check_space_for(self, layers: Iterable[Layer]) -> None:
        """The same for blobs that are to be fetched, less what has arrived of them.

        Raises:
            DiskFull: as `check_space`.
        """
        self.check_space(sum(max(0, each.size - self._arrived(each.digest)) for each in layers))

    def _arrived(self, digest: str) -> int:
        try:
            return on_disk(self.partial(digest).path.stat())
        except OSError:
            return 0

    def add(self, pieces: Iterable[bytes], media_type: str) -> Layer:
        """Store bytes of any length; the digest is computed on the way.

        Raises:
            DiskFull: no space is left; nothing has changed.
        """
        hasher, size = hashlib.sha256(), 0
        with disk_errors(self._root), self._temporary() as temporary:
            with open(temporary, "xb") as file:
                for piece in pieces:
                    hasher.update(piece)
                    size += file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                identity = identify(os.fstat(file.fileno()))
            layer = Layer(media_type, f"sha256:{hasher.hexdigest()}", size)
            os.replace(temporary, self.path(layer.digest))
            sync_folder(self._folder)
        self._verifier.remember(identity, layer.digest)
        return layer

    def take_file(self, path: Path, media_type: str) -> Layer:
        """Move a file of a `workspace` into the store; blocks while it is hashed.

        Raises:
            DiskFull: no space is left; nothing has changed.
        """
        with disk_errors(self._root), open(path, "rb+", buffering=0) as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            os.fsync(file.fileno())
            identity = identify(os.fstat(file.fileno()))
            os.replace(path, self.path(digest))
            sync_folder(self._folder)
        self._verifier.remember(identity, digest)
        return Layer(media_type, digest, identity[2])

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A temporary folder on the store's file system, removed at the end."""
        folder = temporary_beside(self._made() / "x")
        with disk_errors(self._root):
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove(self, digests: Collection[str]) -> None:
        """Remove blobs; those that are not here are passed by."""
        gone = {digest.encode() for digest in digests}
        for digest in digests:
            self.path(digest).unlink(missing_ok=True)
        for note in self._folder.glob(f"*{_NAMED}"):
            with suppress(FileNotFoundError):
                if note.read_bytes() in gone:
                    note.unlink()

    def remove_abandoned(
        self, used: Iterable[str], *, older_than_s: float, partials_older_than_s: float
    ) -> int:
        """Remove what is in the folder and old: blobs but the used ones, temporary files, partials.

        Args:
            used: digests of what stays. The caller sees to it that none is added meanwhile.

        Returns:
            The bytes that became free.
        """
        kept = {blob_name(digest) for digest in used}
        now_s, freed = time.time(), 0
        for entry in os.scandir(self._made()):
            status = entry.stat(follow_symlinks=False)
            ours = entry.name.startswith(("sha256-", TEMPORARY_PREFIX))
            grace_s = partials_older_than_s if is_partial(entry.name) else older_than_s
            if ours and entry.name not in kept and status.st_mtime <= now_s - grace_s:
                freed += _discard(entry)
        return freed

    def _made(self) -> Path:
        with disk_errors(self._root):
            self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        path = temporary_beside(self._made() / "x")
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def _discard(entry: os.DirEntry[str]) -> int:
    """Remove an abandoned file or folder; the bytes of a file that became free."""
    path = Path(entry.path)
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(path, ignore_errors=True)
        return 0
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        if not try_lock(descriptor):  # a partial that is being written
            return 0
        path.unlink(missing_ok=True)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
