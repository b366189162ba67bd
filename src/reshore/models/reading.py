"""Models of several stores as engines can load them, and as lists and `show` tell of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from reshore.config import ModelConfig, model_settings
from reshore.errors import UnfitModel
from reshore.models.description import Description, describe, servable, summarize
from reshore.models.facts import Servable
from reshore.models.layout import Installed, Shelf
from reshore.models.manifest import MODEL_TYPE, PROJECTOR_TYPE
from reshore.models.names import Name
from reshore.models.shelves import Shelves, parsed, shelf_of
from reshore.models.summary import Summaries, Summary
from reshore.models.verified import Identity, Verifier, identify

_Identities = tuple[tuple[str, Identity], ...]

# A folder that has changed a moment ago may change again without showing it: times of files are
# as coarse as two seconds (FAT).
_COARSE_NS = 2 * 10**9


class _Seen(NamedTuple):
    """What a model was resolved from.

    Attributes:
        before: the stores whose model of that name would win.
        folders: where it would appear; while they stay as they are it has not. None: not known.
    """

    found: Servable
    files: _Identities
    before: tuple[Shelf, ...]
    folders: _Identities | None = None


class Reader(Shelves):
    """Checks and describes models; of ours and theirs alike, nothing but our caches is written.

    Its mutable state is three caches, each with its lock: what was resolved, what was verified,
    and what lists tell.

    Args:
        settings: of single models: another chat template, or that an unfit one is to be served.
    """

    def __init__(
        self,
        root: Path,
        read_only: Iterable[Path] = (),
        settings: Mapping[str, ModelConfig] | None = None,
    ) -> None:
        super().__init__(root, read_only)
        self._verifier = Verifier(root / "verified.json", root / ".verified.lock")
        self._settings = settings or {}
        self._summaries = Summaries(root / "summaries.json")
        self._guard = threading.Lock()
        self._resolved: dict[str, _Seen] = {}

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
        shelf = shelf_of(installed)
        verdict = self.summary(installed).verdict
        if verdict.unfit and not self.forced(installed.name):
            raise UnfitModel(str(installed.name), state=verdict.state, why=verdict.summary)
        files = [(os.fspath(shelf.manifest(installed.name)), installed.identity)]
        for digest in installed.manifest.blobs:
            path = shelf.blob(digest)
            files.append((os.fspath(path), self._verifier.check(path, digest)))
        found = servable(shelf, self._described(installed))
        before = tuple(takewhile(lambda other: other.root != shelf.root, self._shelves))
        with self._guard:
            self._resolved[parsed(name).key] = _Seen(found, tuple(files), before)
        return found

    def known(self, name: Name | str) -> Servable | None:
        """What `resolve` gave last time, if nothing has changed since; None otherwise.

        A few `stat` calls and nothing else: the one method for the event loop.

        Raises:
            BadName: the name is malformed.
        """
        name = parsed(name)
        with self._guard:
            seen = self._resolved.get(name.key)
        if seen is None or not _same(seen.files, os.lstat):
            return None
        if seen.folders is None or not _same(seen.folders, os.stat):
            folders = tuple(shelf.nearest_folder(name) for shelf in seen.before)
            if any(shelf.manifest(shelf.spelled(name)).exists() for shelf in seen.before):
                return None
            if all(map(_settled, folders)):
                with self._guard:
                    self._resolved[name.key] = seen._replace(folders=folders)
        return seen.found

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
        shelf, wanted = shelf_of(installed), self._template(installed)
        layers = (*installed.manifest.of(MODEL_TYPE), *installed.manifest.of(PROJECTOR_TYPE))
        files = tuple(_identity(shelf.blob(layer.digest)) for layer in layers)
        if wanted:
            return summarize(shelf, installed, wanted)  # its file may change at any time
        known = self._summaries.get(installed.digest, files)
        if known is None:
            known = summarize(shelf, installed, None)
            self._summaries.put(installed.digest, files, known)
        return known

    def forced(self, name: Name | str) -> bool:
        """Whether the settings want the model to be served, however it is judged."""
        return model_settings(self._settings, str(name)).force

    def check_blob(self, path: Path, digest: str) -> None:
        """Make sure that a blob, of whichever store, has its digest.

        Raises:
            BadModelFile, DigestMismatch: it is missing or damaged.
        """
        self._verifier.check(path, digest)

    def _described(self, installed: Installed) -> Description:
        return describe(shelf_of(installed), installed, self._template(installed))

    def _template(self, installed: Installed) -> str | None:
        """The chat template that the settings name."""
        return model_settings(self._settings, str(installed.name)).chat_template


def _same(seen: _Identities, stat: Callable[[str], os.stat_result]) -> bool:
    """Whether nothing has changed since. On the way of every local request."""
    try:
        return all(identify(stat(path)) == before for path, before in seen)
    except OSError:
        return False


def _settled(folder: tuple[str, Identity]) -> bool:
    *_, changed_ns = folder[1]
    return time.time_ns() - changed_ns > _COARSE_NS


def _identity(path: Path) -> Identity:
    """Of a file, or of its absence."""
    try:
        return identify(path.stat(follow_symlinks=False))
    except OSError:
        return 0, 0, 0, 0
