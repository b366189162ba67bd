"""Files of this machine: their bytes, and folders of BERT models as GGUF files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from reshore.errors import BadModelFile, SourceError

_CHUNK_BYTES = 1 << 20
_CONVERSION_TIMEOUT_S = 600.0


def convert_bert(folder: Path, target: Path) -> None:
    """Write the GGUF file of a BERT-like folder, in a process of its own.

    Raises:
        BadModelFile: it cannot be converted.
    """
    command = [sys.executable, "-I", "-m", "reshore.models.bert", str(folder), str(target)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_CONVERSION_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise BadModelFile(f"converting {folder.name} failed: {reason}")


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
