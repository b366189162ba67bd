"""Which of a repository's GGUF files somebody means. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from reshore.errors import SourceError
from reshore.models.names import DEFAULT_TAG

# Without a tag: Ollama's choice first, then what is nearest to it in size and quality.
_USUAL = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1", "IQ4_XS", "Q5_K_M", "Q5_0", "Q6_K", "Q8_0", "F16")
_PROJECTORS = ("F16", "BF16", "Q8_0", "F32")
_SPLIT = re.compile(r"-[0-9]{5}-of-[0-9]{5}\.gguf$", re.IGNORECASE)
_QUANT = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q[1-8]_[0-9A-Z]+(?:_[A-Z]+)*|T?Q[1-8]_0|BF16|F16|F32|MXFP4(?:_MOE)?))"
    r"(?=[-._/]|$)",
    re.IGNORECASE,
)


class RemoteFile(Struct, frozen=True):
    """A file of a repository: its path, its size in bytes, and its sha256 (hex) if that is told."""

    path: str
    size: int
    sha256: str | None


def choose(
    files: Iterable[RemoteFile], tag: str, what: str
) -> tuple[RemoteFile, RemoteFile | None]:
    """The model file that a tag means, and the projector beside it (None without one).

    Args:
        tag: a quantisation (`Q8_0`), a file's name with or without `.gguf`, or `latest`.
        what: the repository, for messages.

    Raises:
        SourceError: no file fits; says which there are.
    """
    ggufs = [file for file in files if file.path.lower().endswith(".gguf")]
    projectors = [file for file in ggufs if "mmproj" in _name(file)]
    whole = [file for file in ggufs if file not in projectors and not _SPLIT.search(file.path)]
    if not whole:
        reason = "only split ones; join them with llama-gguf-split --merge" if ggufs else "none"
        raise SourceError(f"{what} has no GGUF file that can be used ({reason})")
    fitting = _usual(whole) if tag.lower() == DEFAULT_TAG else _named(whole, tag)
    if not fitting:
        there = ", ".join(sorted({quant(file) or _name(file) for file in whole}))
        raise SourceError(f"{what} has no {tag}; it has {there}")
    return _shortest(fitting), _projector(projectors)


def quant(file: RemoteFile) -> str | None:
    """The quantisation that a file's name tells, in capitals; None if it tells none."""
    found = _QUANT.findall(file.path.removesuffix(".gguf"))
    return found[-1].upper() if found else None


def _named(files: Sequence[RemoteFile], tag: str) -> list[RemoteFile]:
    exact = [f for f in files if tag.lower() in (_name(f), _name(f).removesuffix(".gguf"))]
    return exact or [file for file in files if quant(file) == tag.upper()]


def _usual(files: Sequence[RemoteFile]) -> list[RemoteFile]:
    for wanted in _USUAL:
        if found := [file for file in files if quant(file) == wanted]:
            return found
    return list(files) if len(files) == 1 else []


def _projector(files: Sequence[RemoteFile]) -> RemoteFile | None:
    for wanted in _PROJECTORS:
        if found := [file for file in files if quant(file) == wanted]:
            return _shortest(found)
    return _shortest(files) if files else None


def _shortest(files: Sequence[RemoteFile]) -> RemoteFile:
    """The plainest of several: nearest to the root, with the shortest name."""
    return min(files, key=lambda file: (file.path.count("/"), len(file.path), file.path))


def _name(file: RemoteFile) -> str:
    return file.path.rpartition("/")[2].lower()
