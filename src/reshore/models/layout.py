"""One store on disk, read: `manifests/host/namespace/model/tag` and `blobs/sha256-<hex>`.

This is Ollama's layout, so the same code reads Ollama's own store and ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from reshore.errors import BadModelFile
from reshore.models.manifest import MANIFEST_LIMIT, SOURCE_KEY, Manifest, parse_manifest
from reshore.models.names import Name, is_part
from reshore.models.verified import Identity, blob_name, identify

_log = logging.getLogger(__name__)
_DEPTH = ("host", "namespace", "model", "tag")


class Installed(Struct, frozen=True, kw_only=True):
    """A model as its manifest describes it; the blobs have not been looked at.

    Attributes:
        digest: sha256 of the manifest, hex: what lists show as the model's id.
        root: the store that holds it.
        read_only: whether that is a store which is only read (Ollama's, say).
        modified_s: when the manifest was written, seconds since the epoch.
        identity: of the manifest's file.
    """

    name: Name
    digest: str
    manifest: Manifest
    root: Path
    read_only: bool
    modified_s: float
    identity: Identity

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return self.manifest.size

    @property
    def source(self) -> str:
        """Where the model came from: `index:…`, `file:…`, or the registry's host."""
        return self.manifest.annotations.get(SOURCE_KEY) or f"registry:{self.name.host}"


class Shelf:
    """One store on disk. Keeps no state: every call looks at the disk."""

    def __init__(self, root: Path, *, read_only: bool) -> None:
        self.root = root
        self.read_only = read_only

    def blob(self, digest: str) -> Path:
        """Where the blob with a (well-formed) digest is, if it is here."""
        return self.root / "blobs" / blob_name(digest)

    def manifest(self, name: Name) -> Path:
        """Where the manifest of exactly that spelling is, if it is here."""
        return self.root.joinpath("manifests", *name.parts)

    def spelled(self, name: Name) -> Name:
        """The name in the spelling that is on disk; parts that are not there stay as given."""
        folder, parts = self.root / "manifests", []
        for part in name.parts:
            folder = folder / part
            if not os.path.exists(folder):  # unlike the method, also where nothing may be read
                with contextlib.suppress(OSError):  # who opens the file is told
                    same = (name for name in _names(folder.parent) if name.lower() == part.lower())
                    folder = folder.with_name(next(same, part))
            parts.append(folder.name)
        return Name(host=parts[0], namespace=parts[1], model=parts[2], tag=parts[3])

    def nearest_folder(self, name: Name) -> tuple[str, Identity]:
        """The last folder there is on the way to a manifest, and what it is like: while that stays,
        a manifest that is not there has not appeared."""
        folder = self.manifest(self.spelled(name)).parent
        while True:
            try:
                return os.fspath(folder), identify(os.stat(folder))
            except OSError:
                folder = folder.parent

    def find(self, name: Name) -> Installed | None:
        """The model of that name, whatever its case, None without one.

        Raises:
            BadModelFile: there is a manifest, but it is damaged; or nobody can tell, for the store
                cannot be read.
        """
        name = self.spelled(name)
        path = self.manifest(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BadModelFile(
                f"the manifest of {name} in {self.root} cannot be read: {error.strerror}"
            ) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        with open(descriptor, "rb") as file:
            body = file.read(MANIFEST_LIMIT + 1)
        return Installed(
            name=name,
            digest=hashlib.sha256(body).hexdigest(),
            manifest=parse_manifest(body, str(name)),
            root=self.root,
            read_only=self.read_only,
            modified_s=status.st_mtime,
            identity=identify(status),
        )

    def names(self, *, told: bool = True) -> Iterator[Name]:
        """The names of all manifests; what is no name (hidden and temporary files) is passed by.

        A folder that cannot be read is passed by, too.

        Args:
            told: such a folder is logged.
        """
        yield from self._below(self.root / "manifests", (), told)

    def models(self) -> Iterator[Installed]:
        """All models; a damaged manifest is logged and passed by."""
        for name in self.names():
            try:
                if found := self.find(name):
                    yield found
            except BadModelFile as error:
                _log.warning("store %s: %s", self.root, error)

    def _below(self, folder: Path, parts: tuple[str, ...], told: bool) -> Iterator[Name]:
        try:
            entries = sorted(_names(folder))
        except OSError as error:
            if told:
                _log.warning("%s cannot be read: %s", folder, error.strerror)
            return
        for entry in entries:
            if not is_part(_DEPTH[len(parts)], entry) or entry.startswith("tmp-"):
                continue
            deeper = (*parts, entry)
            if len(deeper) < len(_DEPTH):
                yield from self._below(folder / entry, deeper, told)
            else:
                yield Name(host=deeper[0], namespace=deeper[1], model=deeper[2], tag=deeper[3])


def _names(folder: Path) -> list[str]:
    """Entries of a folder; none when it is missing, a link or no folder.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return [] if os.path.islink(folder) else os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
