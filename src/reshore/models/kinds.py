"""What a file is to a model that is made of it: the model, its projector, or an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reshore.errors import BadModelFile, BadRecipe, SourceError
from reshore.models.gguf import read_facts
from reshore.models.manifest import MODEL_TYPE, PROJECTOR_TYPE

WORDS = {MODEL_TYPE: "model", PROJECTOR_TYPE: "projector"}
"""What the media types of files are called in messages."""

_MAGIC = b"GGUF"


def kinds_of(paths: Sequence[Path]) -> dict[str, Path]:
    """Which of the GGUF files at `paths`, or in a folder there, is what; the model comes first.

    Raises:
        SourceError: there is nothing, or nothing that makes one model.
        BadRecipe, BadModelFile: a file is of another kind, damaged, or one too many.
    """
    found: dict[str, Path] = {}
    for path in paths:
        files = sorted(path.glob("*.gguf")) if path.is_dir() else [path]
        if not path.exists() or not files:
            raise SourceError(f"{path}: no such file, or a folder without a model in it")
        for file in files:
            check_regular(file)
            kind = kind_of(file.resolve(), str(file))
            if kind in found:
                raise BadRecipe(f"{file} is one {WORDS[kind]} too many; name the file to take")
            found[kind] = file.resolve()
    if MODEL_TYPE not in found:
        raise SourceError(f"{paths[0]} holds a projector but no model")
    return dict(sorted(found.items()))  # "model" stands before "projector"


def kind_of(path: Path, what: str) -> str:
    """The media type of a GGUF file.

    Args:
        what: the file, as whoever named it knows it.

    Raises:
        SourceError: it cannot be read.
        BadRecipe: it is no GGUF file, or an adapter.
        BadModelFile: it is damaged.
    """
    if not _is_gguf(path, what):
        raise BadRecipe(f"{what} is neither a GGUF file nor part of a safetensors model")
    facts = read_facts(path)
    if facts.metadata.get("general.type") == "adapter":
        raise BadRecipe(f"{what} is an adapter; it belongs among the adapters")
    return PROJECTOR_TYPE if facts.architecture == "clip" else MODEL_TYPE


def check_adapter(path: Path, what: str) -> None:
    """Make sure that a file is a LoRA adapter.

    Args:
        what: as for `kind_of`.

    Raises:
        SourceError: it cannot be read.
        BadRecipe: it is damaged, another kind of file, or another kind of adapter.
    """
    if not _is_gguf(path, what):
        raise BadRecipe(
            f"{what} is no GGUF file, which a LoRA adapter must be; llama.cpp's "
            "convert_lora_to_gguf.py makes one"
        )
    try:
        metadata = read_facts(path).metadata
    except BadModelFile as error:
        raise BadRecipe(f"{what}: {error}") from error
    kind = (metadata.get("general.type"), metadata.get("adapter.type"))
    if kind != ("adapter", "lora"):
        raise BadRecipe(f"{what} is no LoRA adapter")


def _is_gguf(path: Path, what: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise SourceError(f"{what}: {error.strerror}") from error


def check_regular(path: Path) -> None:
    """Refuse pipes, which are waited for without end, and devices.

    Raises:
        SourceError: it is there, but is no file.
    """
    if path.exists() and not path.is_file():
        raise SourceError(f"{path} is no regular file; name the file itself")
