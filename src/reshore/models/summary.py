"""What lists tell of a model, kept so that a list does not read the headers of every file.

Reading the header of a large vocabulary takes up to 0.2 s; a store of forty models would make
`reshore list`, `/v1/models` and `/api/tags` wait for seconds. So the few facts they tell are
remembered, in the process and in a file of our own store, as long as the files stay the same. The
file is a cache: losing it costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import msgspec
from msgspec import Struct

from reshore import __version__
from reshore.models.disk import write_atomic
from reshore.models.judge import Verdict
from reshore.models.verified import Identity

# Raised when the same file would be judged or described otherwise than before.
_REVISION = 1
_ENTRIES_LIMIT = 4096  # the newest stay


class Summary(Struct, frozen=True, kw_only=True):
    """The part of a description that fits into a list. Lengths in tokens and elements, 0: unknown.

    All but `verdict` are empty for a model whose files cannot be read.

    Attributes:
        template: `file`, the name of a built-in, None: no chat template.
    """

    verdict: Verdict
    architecture: str = ""
    parameter_count: int = 0
    quantization: str = ""
    context_length: int = 0
    embedding_length: int = 0
    capabilities: tuple[str, ...] = ()
    template: str | None = None


class _Entry(Struct, frozen=True):
    files: tuple[Identity, ...]
    summary: Summary


class _File(Struct, frozen=True):
    version: str
    entries: dict[str, _Entry]


class Summaries:
    """Remembers summaries by the digest of the manifest; safe to use from several threads.

    Its state is one dictionary, guarded by a lock; of two processes that write the file at once
    one wins, and the other's entries are found again later.

    Args:
        memory: the file.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._guard = threading.Lock()
        self._entries: dict[str, _Entry] | None = None

    def get(self, digest: str, files: tuple[Identity, ...]) -> Summary | None:
        """What was remembered for a manifest, if its files are still the same ones."""
        with self._guard:
            entry = self._loaded().get(digest)
        return entry.summary if entry is not None and entry.files == files else None

    def put(self, digest: str, files: tuple[Identity, ...], summary: Summary) -> None:
        """Remember a summary; a disk that cannot be written is no error."""
        with self._guard:
            entries = self._loaded()
            entries.pop(digest, None)
            entries[digest] = _Entry(files, summary)
            while len(entries) > _ENTRIES_LIMIT:
                del entries[next(iter(entries))]
            body = msgspec.json.encode(_File(_version(), entries))
            with contextlib.suppress(OSError):
                write_atomic(self._memory, body, durable=False)

    def _loaded(self) -> dict[str, _Entry]:
        if self._entries is None:
            self._entries = self._load()
        return self._entries

    def _load(self) -> dict[str, _Entry]:
        try:
            found = msgspec.json.decode(self._memory.read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError):
            return {}
        return found.entries if found.version == _version() else {}


def _version() -> str:
    return f"{__version__}.{_REVISION}"
