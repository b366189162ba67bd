"""The model store: our own, and further ones that are only read.

Everything here blocks on the disk; async callers use `asyncio.to_thread`, except for `known`. Any
number of threads and processes may use one store: manifests and blobs appear by renaming, and who
adds or removes a manifest holds the lock file of the store.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from reshore.config import Config, ModelConfig, model_settings
from reshore.errors import (
    BadModelFile,
    DigestMismatch,
    DiskFull,
    StoreError,
    UnfitModel,
    UnknownModel,
)
from reshore.models.description import Description, describe, servable, summarize
from reshore.models.disk import (
    TEMPORARY_PREFIX,
    disk_errors,
    locked,
    sync_folder,
    temporary_beside,
    try_lock,
    write_atomic,
)
from reshore.models.facts import Servable
from reshore.models.layout import Installed, Shelf
from reshore.models.manifest import (
    MODEL_TYPE,
    PROJECTOR_TYPE,
    Layer,
    Manifest,
    parse_manifest,
)
from reshore.models.names import Name, parse_name
from reshore.models.partial import Partial
from reshore.models.summary import Summaries, Summary
from reshore.models.verified import Identity, Verifier, blob_name, identify, open_blob

_ABANDONED_S = 3600.0  # Ollama's grace for blobs that no manifest refers to
_NEAREST = 3
_KEPT_FREE = 16 << 20  # bytes that a download must leave free


_Files = tuple[tuple[Path, Identity], ...]


class Store:
    """Installs, finds, checks and removes models.

    Its mutable state is three caches, each with its lock: what was resolved, what was verified,
    and what lists tell.

    Args:
        root: our own store (`<RESHORE_HOME>/models`); made when it is first written.
        read_only: further stores in Ollama's layout; for the same name ours wins.
        settings: of single models: another chat template, or that an unfit one is to be served.
    """

    def __init__(
        self,
        root: Path,
        read_only: Iterable[Path] = (),
        settings: Mapping[str, ModelConfig] | None = None,
    ) -> None:
        self.root = root
        self._own = Shelf(root, read_only=False)
        self._shelves = (self._own, *(Shelf(path, read_only=True) for path in read_only))
        self._lock = root / ".lock"
        self._verifier = Verifier(root / "verified.json", root / ".verified.lock")
        self._settings = settings or {}
        self._summaries = Summaries(root / "summaries.json")
        self._guard = threading.Lock()
        self._resolved: dict[str, tuple[_Files, Servable]] = {}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The store of a configuration: `home/models`, and `read_models`."""
        further = (Path(path).expanduser() for path in config.read_models)
        return cls(config.home / "models", further, config.models)

    # Finding

    def list(self) -> tuple[Installed, ...]:
        """Every model of every store, newest first; a name that two stores have stands twice."""
        found = [model for shelf in self._shelves for model in shelf.models()]
        return tuple(sorted(found, key=lambda model: model.modified_s, reverse=True))

    def find(self, name: Name | str) -> Installed | None:
        """The model of that name, ours first, None without one.

        Raises:
            BadName, BadModelFile: the name or the manifest is malformed.
        """
        name = _parsed(name)
        return next(filter(None, (shelf.find(name) for shelf in self._shelves)), None)

    def get(self, name: Name | str) -> Installed:
        """The model of that name.

        Raises:
            UnknownModel: it is not installed; carries the nearest names.
            BadName, BadModelFile: the name or the manifest is malformed.
        """
        found = self.find(name)
        if found is None:
            raise UnknownModel(str(name), nearest=self.nearest(name))
        return found

    def nearest(self, name: Name | str) -> tuple[str, ...]:
        """Installed names that somebody who wrote `name` may have meant, likeliest first."""
        asked = _untagged(str(name))
        names = {_untagged(str(found)): str(found) for s in self._shelves for found in s.names()}
        same_model = [key for key in names if key.split(":")[0] == asked.split(":")[0]]
        close = difflib.get_close_matches(asked, names, n=_NEAREST, cutoff=0.6)
        return tuple(names[key] for key in dict.fromkeys(same_model + close))[:_NEAREST]

    # Serving

    def resolve(self, name: Name | str) -> Servable:
        """A model that an engine may load: every blob has its digest, every header is sound.

        Hashes what was not verified before, so the first call for a large model takes a while.

        Raises:
            UnfitModel: llama.cpp cannot answer with it; says why and what to do. Not with `force`
                in its settings, for an engine that can do more.
            ConfigError: the chat template of its settings cannot be read.
            UnknownModel: it is not installed; carries the nearest names.
            DigestMismatch: a blob was damaged or replaced.
            BadModelFile: a blob is missing, or the file cannot be served.
            BadName: the name is malformed.
        """
        if (known := self.known(name)) is not None:
            return known
        installed = self.get(name)
        shelf = _shelf(installed)
        verdict = self.summary(installed).verdict
        if verdict.unfit and not self._own_settings(installed).force:
            raise UnfitModel(str(installed.name), state=verdict.state, why=verdict.summary)
        files = [(shelf.manifest(installed.name), installed.identity)]
        paths = {digest: shelf.blob(digest) for digest in installed.manifest.blobs}
        files += [(path, self._verifier.check(path, digest)) for digest, path in paths.items()]
        found = servable(shelf, self._described(installed))
        with self._guard:
            self._resolved[_parsed(name).key] = (tuple(files), found)
        return found

    def known(self, name: Name | str) -> Servable | None:
        """What `resolve` gave last time, if nothing has changed since; None otherwise.

        A few `stat` calls and nothing else: the one method for the event loop.

        Raises:
            BadName: the name is malformed.
        """
        name = _parsed(name)
        with self._guard:
            entry = self._resolved.get(name.key)
        if entry is None:
            return None
        files, found = entry
        if all(_unchanged(*file) for file in files) and not self._shadowed(name, files[0][0]):
            return found
        return None

    def describe(self, name: Name | str) -> Description:
        """Everything that `show` tells; reads headers and small layers, hashes no weights.

        Raises:
            UnknownModel, BadName, BadModelFile: as `resolve`.
        """
        return self._described(self.get(name))

    def summary(self, installed: Installed) -> Summary:
        """What lists tell of a model: a few `stat` calls once its headers have been read.

        A model whose files are missing or damaged has a verdict that says so; nothing is raised.
        """
        shelf, wanted = _shelf(installed), self._own_settings(installed).chat_template
        layers = (*installed.manifest.of(MODEL_TYPE), *installed.manifest.of(PROJECTOR_TYPE))
        files = tuple(_identity(shelf.blob(layer.digest)) for layer in layers)
        if wanted:
            return summarize(shelf, installed, wanted)  # its file may change at any time
        known = self._summaries.get(installed.digest, files)
        if known is None:
            known = summarize(shelf, installed, None)
            self._summaries.put(installed.digest, files, known)
        return known

    # Changing

    def blob(self, digest: str) -> Path:
        """Where our store keeps the blob with that digest."""
        return self._own.blob(digest)

    def has_blob(self, layer: Layer) -> bool:
        """Whether our store has the blob, verified (hashes it if it is not known).

        Raises:
            DigestMismatch: it is there, damaged.
        """
        path = self.blob(layer.digest)
        if not path.exists():
            return False
        self._verifier.check(path, layer.digest)
        return True

    def keeps(self, digest: str) -> bool:
        """Whether our store has a sound blob of that digest; a damaged one is removed."""
        path = self.blob(digest)
        try:
            self._verifier.check(path, digest)
        except (DigestMismatch, BadModelFile):
            path.unlink(missing_ok=True)
            return False
        return True

    def partial(self, digest: str) -> Partial:
        """A writer for a blob whose digest is known; see `Partial`."""
        return Partial(self.root / "blobs", digest)

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
        self._verifier.remember(partial.commit_as(digest), digest)
        return digest

    def check_space(self, size: int) -> None:
        """Refuse early what cannot fit.

        Raises:
            DiskFull: fewer than `size` bytes are free where the store is.
        """
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.root).free
        if size + _KEPT_FREE > free:
            raise DiskFull(
                f"no space left on device: the model needs {size >> 20} MB and {free >> 20} MB are "
                "free where the model store is. Free some space, or remove a model with "
                "`reshore rm`."
            )

    def add_blob(self, pieces: Iterable[bytes], media_type: str) -> Layer:
        """Store bytes of any length; the digest is computed on the way.

        Raises:
            DiskFull: no space is left; nothing has changed.
        """
        hasher, size = hashlib.sha256(), 0
        with disk_errors(self.root), self._temporary() as temporary:
            with open(temporary, "xb") as file:
                for piece in pieces:
                    hasher.update(piece)
                    size += file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                identity = identify(os.fstat(file.fileno()))
            layer = Layer(media_type, f"sha256:{hasher.hexdigest()}", size)
            os.replace(temporary, self.blob(layer.digest))
            sync_folder(self.root / "blobs")
        self._verifier.remember(identity, layer.digest)
        return layer

    def take_file(self, path: Path, media_type: str) -> Layer:
        """Move a file of a `workspace` into the store; blocks while it is hashed.

        Raises:
            DiskFull: no space is left; nothing has changed.
        """
        with disk_errors(self.root), open(path, "rb+", buffering=0) as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            os.fsync(file.fileno())
            identity = identify(os.fstat(file.fileno()))
            os.replace(path, self.blob(digest))
            sync_folder(self.root / "blobs")
        self._verifier.remember(identity, digest)
        return Layer(media_type, digest, identity[2])

    def save(self, name: Name | str, body: bytes) -> Installed:
        """Install a manifest whose blobs are all here; what it replaces is cleaned up.

        The name keeps the spelling that exists, if one does.

        Raises:
            BadModelFile: the manifest is malformed or a blob is missing (removed meanwhile, say).
            DiskFull: no space is left; nothing has changed.
        """
        name = _parsed(name)
        manifest = parse_manifest(body, str(name))
        with disk_errors(self.root), locked(self._lock):
            for layer in manifest.blobs.values():
                if not self.blob(layer.digest).is_file():
                    raise BadModelFile(f"{name}: blob {layer.digest} is missing; pull it again")
            name = self._own.spelled(name)
            before = self._own_manifest(name)
            write_atomic(self._own.manifest(name), body)
            if before is not None:
                self._drop_unused(before.blobs)
            found = self._own.find(name)
        assert found is not None  # written just now, under the lock
        return found

    def drop(self, manifest: Manifest) -> None:
        """Remove the blobs of a manifest that was not installed, as far as no other has them."""
        self.drop_blobs(manifest.blobs.keys())

    def drop_blobs(self, digests: Iterable[str]) -> None:
        """Remove blobs as far as no manifest of ours refers to them."""
        with disk_errors(self.root), locked(self._lock):
            self._drop_unused(digests)

    def copy(self, source: Name | str, target: Name | str) -> Installed:
        """Give a model a second name; blobs from a read-only store are copied into ours.

        Raises:
            UnknownModel, BadName, BadModelFile, DiskFull: as `get` and `save`.
        """
        target = _parsed(target)
        installed = self.get(source)
        self.adopt(installed)
        return self.save(target, self.manifest_bytes(installed))

    def adopt(self, installed: Installed) -> None:
        """Make sure that all blobs of a model are in our store; copies them from a read-only one.

        Raises:
            BadModelFile, DigestMismatch, DiskFull: a blob is missing, damaged, or does not fit.
        """
        if not installed.read_only:
            return
        shelf = Shelf(installed.root, read_only=True)
        missing = [
            layer
            for layer in installed.manifest.blobs.values()
            if not self.blob(layer.digest).exists()
        ]
        self.check_space(sum(layer.size for layer in missing))
        for layer in missing:
            self._verifier.check(shelf.blob(layer.digest), layer.digest)
            self.add_blob(_pieces(shelf.blob(layer.digest)), layer.media_type)

    def manifest_bytes(self, installed: Installed) -> bytes:
        """The manifest as it is on the disk, byte for byte.

        Raises:
            BadModelFile: it has gone meanwhile.
        """
        shelf = _shelf(installed)
        try:
            return shelf.manifest(installed.name).read_bytes()
        except OSError as error:
            raise BadModelFile(
                f"the manifest of {installed.name} cannot be read: {error.strerror}"
            ) from error

    def check_blob(self, path: Path, digest: str) -> None:
        """Make sure that a blob, of whichever store, has its digest.

        Raises:
            BadModelFile, DigestMismatch: it is missing or damaged.
        """
        self._verifier.check(path, digest)

    def blob_of(self, installed: Installed, digest: str) -> Path:
        """Where the store that holds a model keeps one of its blobs."""
        return _shelf(installed).blob(digest)

    def remove(self, name: Name | str) -> Name:
        """Remove a model of ours, a damaged one too; blobs that other models share stay.

        An engine that has it loaded keeps the open file until it ends.

        Returns:
            The name in the spelling that it had.

        Raises:
            UnknownModel: it is not installed.
            StoreError: it is in a store that is only read.
            BadName: the name is malformed.
        """
        name = _parsed(name)
        with disk_errors(self.root), locked(self._lock):
            spelled = self._own.spelled(name)
            path = self._own.manifest(spelled)
            if not path.is_file():
                elsewhere = self.get(name)
                raise StoreError(
                    f"{name} is in a store that is only read ({elsewhere.root}); remove it there"
                )
            manifest = self._own_manifest(name)
            path.unlink()
            self._remove_empty_folders(path.parent)
            if manifest is not None:
                self._drop_unused(manifest.blobs)
        return spelled

    def prune(self, older_than_s: float = _ABANDONED_S) -> int:
        """Remove what nothing refers to: blobs, temporary files and partials that were abandoned.

        Returns:
            The bytes that became free.

        Raises:
            BadModelFile: a manifest is damaged, so that nothing can be said to be unused.
        """
        freed = 0
        with disk_errors(self.root), locked(self._lock):
            used = {blob_name(digest) for digest in self._used()}
            limit = time.time() - older_than_s
            for entry in os.scandir(self._blobs()):
                status = entry.stat(follow_symlinks=False)
                ours = entry.name.startswith(("sha256-", TEMPORARY_PREFIX))
                if ours and entry.name not in used and status.st_mtime <= limit:
                    freed += _discard(entry)
        return freed

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """A temporary folder on the store's file system, removed at the end."""
        folder = temporary_beside(self._blobs() / "x")
        with disk_errors(self.root):
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    # Inside

    def _described(self, installed: Installed) -> Description:
        wanted = self._own_settings(installed).chat_template
        return describe(_shelf(installed), installed, wanted)

    def _own_settings(self, installed: Installed) -> ModelConfig:
        return model_settings(self._settings, str(installed.name))

    def _shadowed(self, name: Name, manifest: Path) -> bool:
        """Whether a model of ours has appeared before one that was resolved elsewhere."""
        if manifest.is_relative_to(self.root):
            return False
        return self._own.manifest(self._own.spelled(name)).exists()

    def _own_manifest(self, name: Name) -> Manifest | None:
        try:
            found = self._own.find(name)
        except BadModelFile:
            return None  # damaged: replacing it is the cure
        return found.manifest if found else None

    def _used(self) -> set[str]:
        """Digests that a manifest of ours refers to, also one that does not parse in full.

        Raises:
            BadModelFile: a manifest is damaged, so nothing can be said to be unused.
        """
        used: set[str] = set()
        for name in self._own.names():
            if found := self._own.find(name):
                used |= found.manifest.blobs.keys()
        return used

    def _drop_unused(self, digests: Iterable[str]) -> None:
        try:
            unused = set(digests) - self._used()
        except BadModelFile:
            return
        for digest in unused:
            self.blob(digest).unlink(missing_ok=True)

    def _remove_empty_folders(self, folder: Path) -> None:
        while folder != self.root / "manifests":
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _blobs(self) -> Path:
        folder = self.root / "blobs"
        with disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        path = temporary_beside(self._blobs() / "x")
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def _shelf(installed: Installed) -> Shelf:
    """The store that holds a model."""
    return Shelf(installed.root, read_only=installed.read_only)


def _untagged(name: str) -> str:
    """For comparing names: a tag that nearly all of them have would make them all alike."""
    return name.lower().removesuffix(":latest")


def _parsed(name: Name | str) -> Name:
    return parse_name(name) if isinstance(name, str) else name


def _unchanged(path: Path, identity: Identity) -> bool:
    try:
        return identify(path.stat(follow_symlinks=False)) == identity
    except OSError:
        return False


def _identity(path: Path) -> Identity:
    """Of a file, or of its absence."""
    try:
        return identify(path.stat(follow_symlinks=False))
    except OSError:
        return 0, 0, 0, 0


def _pieces(path: Path) -> Iterator[bytes]:
    with open(open_blob(path), "rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            yield piece


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
