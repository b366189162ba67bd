"""Several stores as one: listing and finding models. Every call looks at the disk."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterable
from pathlib import Path

from reshore.errors import BadModelFile, UnknownModel
from reshore.models.layout import Installed, Shelf
from reshore.models.names import Name, parse_name
from reshore.models.verified import Identity, identify

_NEAREST = 3


class Shelves:
    """Our own store and further ones that are only read; for the same name ours wins.

    Args:
        root: our own store; it need not be there yet.
        read_only: further stores in Ollama's layout.
    """

    def __init__(self, root: Path, read_only: Iterable[Path] = ()) -> None:
        self.root = root
        self._own = Shelf(root, read_only=False)
        self._shelves = (self._own, *(Shelf(path, read_only=True) for path in read_only))

    def list(self) -> tuple[Installed, ...]:
        """Every model of every store, newest first; a name that two stores have stands twice."""
        found = [model for shelf in self._shelves for model in shelf.models()]
        return tuple(sorted(found, key=lambda model: model.modified_s, reverse=True))

    def find(self, name: Name | str) -> Installed | None:
        """The model of that name, ours first, None without one.

        Raises:
            BadName, BadModelFile: the name or the manifest is malformed.
        """
        name = parsed(name)
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

    def stamps(self) -> dict[str, Identity]:
        """The manifests that answer to names, by `Name.key`: which they are, and whether they have
        changed. Folders are listed and nothing is opened."""
        found: dict[str, Identity] = {}
        for shelf in self._shelves:
            for name in shelf.names(told=False):
                with contextlib.suppress(OSError):  # gone meanwhile
                    status = os.stat(shelf.manifest(name), follow_symlinks=False)
                    found.setdefault(name.key, identify(status))
        return found

    def blob(self, digest: str) -> Path:
        """Where our store keeps the blob with that digest."""
        return self._own.blob(digest)

    def blob_of(self, installed: Installed, digest: str) -> Path:
        """Where the store that holds a model keeps one of its blobs."""
        return shelf_of(installed).blob(digest)

    def manifest_bytes(self, installed: Installed) -> bytes:
        """The manifest as it is on the disk, byte for byte.

        Raises:
            BadModelFile: it has gone meanwhile.
        """
        shelf = shelf_of(installed)
        try:
            return shelf.manifest(installed.name).read_bytes()
        except OSError as error:
            raise BadModelFile(
                f"the manifest of {installed.name} cannot be read: {error.strerror}"
            ) from error


def shelf_of(installed: Installed) -> Shelf:
    """The store that holds a model."""
    return Shelf(installed.root, read_only=installed.read_only)


def parsed(name: Name | str) -> Name:
    """A name that may be written as text.

    Raises:
        BadName: the text is malformed.
    """
    return parse_name(name) if isinstance(name, str) else name


def _untagged(name: str) -> str:
    """For comparing names: a tag that nearly all of them have would make them all alike."""
    return name.lower().removesuffix(":latest")
