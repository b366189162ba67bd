"""Models that are on this machine already: a GGUF file, or a folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from reshore.errors import BadModelFile, SourceError
from reshore.models.gguf import read_facts
from reshore.models.manifest import MODEL_TYPE, PROJECTOR_TYPE, Layer
from reshore.models.store import Store

_CHUNK_BYTES = 1 << 20
_CONVERSION_TIMEOUT_S = 600.0
# What `reshore.models.bert` reads; named here too, for importing it would load NumPy.
_BERT_FILES = ("model.safetensors", "vocab.txt", "config.json")


class LocalModel(Struct, frozen=True, kw_only=True):
    """What a path holds: a GGUF file and perhaps its projector, or a folder to convert."""

    model: Path | None = None
    projector: Path | None = None
    bert: Path | None = None


def look_at(path: Path) -> LocalModel:
    """Find out what a path holds. Links are followed: the path comes from the user.

    Raises:
        SourceError: there is nothing, or not exactly one model.
        BadModelFile: a GGUF file is damaged.
    """
    path = path.expanduser().resolve()
    if path.is_file():
        read_facts(path)
        return LocalModel(model=path)
    if not path.is_dir():
        raise SourceError(f"{path}: no such file or folder")
    files = sorted(file.resolve() for file in path.glob("*.gguf"))
    projectors = [file for file in files if read_facts(file).architecture == "clip"]
    models = [file for file in files if file not in projectors]
    if len(models) == 1 and len(projectors) <= 1:
        return LocalModel(model=models[0], projector=projectors[0] if projectors else None)
    if not files and all((path / name).is_file() for name in _BERT_FILES):
        return LocalModel(bert=path)
    raise SourceError(
        f"{path} holds {len(models)} model files and {len(projectors)} projectors; name a folder "
        f"with one GGUF file (and at most one projector), or with {', '.join(_BERT_FILES)}"
    )


def take_in(store: Store, found: LocalModel) -> tuple[Layer, ...]:
    """Copy (or convert) what was found into the store; the model's layer comes first.

    Blocking for as long as the copying takes.

    Raises:
        DiskFull, BadModelFile, SourceError: the store has not changed.
    """
    if found.bert is not None:
        with store.workspace() as folder:
            target = folder / "converted.gguf"
            convert_bert(found.bert, target)
            return (store.add_blob(pieces(target), MODEL_TYPE),)
    assert found.model is not None
    files = [(found.model, MODEL_TYPE)]
    if found.projector is not None:
        files.append((found.projector, PROJECTOR_TYPE))
    store.check_space(sum(file.stat().st_size for file, _ in files))
    return tuple(store.add_blob(pieces(file), kind) for file, kind in files)


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
