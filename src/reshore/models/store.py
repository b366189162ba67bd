"""The model store: our own, and further ones that are only read.

Everything here blocks on the disk; async callers use `asyncio.to_thread`, except for `known`. Any
number of threads and processes may use one store: manifests and blobs appear by renaming, and who
adds or removes a manifest holds the lock file of the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from reshore.config import Config, ModelConfig
from reshore.errors import BadModelFile, ReadOnlyModel
from reshore.models.blobs import Blobs
from reshore.models.disk import disk_errors, locked, write_atomic
from reshore.models.layout import Installed
from reshore.models.manifest import Manifest, parse_manifest
from reshore.models.names import Name
from reshore.models.reading import Reader
from reshore.models.shelves import parsed
from reshore.models.verified import open_blob

_ABANDONED_S = 3600.0  # Ollama's grace for blobs that no manifest refers to
# What was stopped on one day is gone on with on another. (Ollama's start removes it.)
_RESUMABLE_S = 7 * 24 * 3600.0


class Store(Reader):
    """Installs, finds, checks and removes models.

    Args:
        root: our own store (`<RESHORE_HOME>/models`); made when it is first written.
        read_only: further stores in Ollama's layout; for the same name ours wins.
        settings: of single models: another chat template, or that an unfit one is to be served.

    Attributes:
        blobs: the files of our own store.
        changes: how often this object has added or removed a model.
    """

    def __init__(
        self,
        root: Path,
        read_only: Iterable[Path] = (),
        settings: Mapping[str, ModelConfig] | None = None,
    ) -> None:
        super().__init__(root, read_only, settings)
        self.blobs = Blobs(root, self._verifier)
        self.changes = 0
        self._lock = root / ".lock"

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The store of a configuration: `home/models`, and `read_models`."""
        further = (Path(path).expanduser() for path in config.read_models)
        return cls(config.home / "models", further, config.models)

    def save(self, name: Name | str, body: bytes) -> Installed:
        """Install a manifest whose blobs are all here; what it replaces is cleaned up.

        The name keeps the spelling that exists, if one does.

        Raises:
            BadModelFile: the manifest is malformed or a blob is missing (removed meanwhile, say).
            DiskFull: no space is left; nothing has changed.
        """
        name = parsed(name)
        manifest = parse_manifest(body, str(name))
        with disk_errors(self.root), locked(self._lock):
            for layer in manifest.blobs.values():
                if not self.blob(layer.digest).is_file():
                    raise BadModelFile(f"{name}: blob {layer.digest} is missing; pull it again")
            name = self._own.spelled(name)
            before = self._own_manifest(name)
            write_atomic(self._own.manifest(name), body)
            self.changes += 1
            if before is not None:
                self._drop_unused(before.blobs)
            found = self._own.find(name)
        assert found is not None  # written just now, under the lock
        return found

    def drop_blobs(self, digests: Iterable[str]) -> None:
        """Remove blobs as far as no manifest of ours refers to them."""
        with disk_errors(self.root), locked(self._lock):
            self._drop_unused(digests)

    def copy(self, source: Name | str, target: Name | str) -> Installed:
        """Give a model a second name; blobs from a read-only store are copied into ours.

        Raises:
            UnknownModel, BadName, BadModelFile, DiskFull: as `get` and `save`.
        """
        target = parsed(target)
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
        missing = [
            layer
            for layer in installed.manifest.blobs.values()
            if not self.blob(layer.digest).exists()
        ]
        self.blobs.check_space(sum(layer.size for layer in missing))
        for layer in missing:
            path = self.blob_of(installed, layer.digest)
            self.check_blob(path, layer.digest)
            self.blobs.add(_pieces(path), layer.media_type)

    def remove(self, name: Name | str) -> Name:
        """Remove a model of ours, a damaged one too; blobs that other models share stay.

        An engine that has it loaded keeps the open file until it ends.

        Returns:
            The name in the spelling that it had.

        Raises:
            UnknownModel: it is not installed.
            ReadOnlyModel: it is in a store that is only read.
            BadName: the name is malformed.
        """
        name = parsed(name)
        with disk_errors(self.root), locked(self._lock):
            spelled = self._own.spelled(name)
            path = self._own.manifest(spelled)
            if not path.is_file():
                elsewhere = self.get(name)
                raise ReadOnlyModel(str(elsewhere.name), root=str(elsewhere.root))
            manifest = self._own_manifest(name)
            path.unlink()
            self.changes += 1
            self._remove_empty_folders(path.parent)
            if manifest is not None:
                self._drop_unused(manifest.blobs)
        return spelled

    def prune(self) -> int:
        """Remove what nothing refers to: blobs and temporary files after an hour, what there is of
        downloads that were stopped after a week.

        Returns:
            The bytes that became free.

        Raises:
            BadModelFile: a manifest is damaged, so that nothing can be said to be unused.
        """
        with disk_errors(self.root), locked(self._lock):
            return self.blobs.remove_abandoned(
                self._used(), older_than_s=_ABANDONED_S, partials_older_than_s=_RESUMABLE_S
            )

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
        self.blobs.remove(unused)

    def _remove_empty_folders(self, folder: Path) -> None:
        while folder != self.root / "manifests":
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent


def _pieces(path: Path) -> Iterator[bytes]:
    with open(open_blob(path), "rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            yield piece
