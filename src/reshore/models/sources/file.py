"""Files of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reshore.errors import SourceError

_CHUNK_BYTES = 1 << 20


def pieces(path: Path) -> Iterator[bytes]:
    """The content of a file.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(_CHUNK_BYTES):
                yield piece
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}") from error
