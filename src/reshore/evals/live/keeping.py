"""Evidence in files, so that it survives restarts: `RESHORE_HOME/evaluation/`.

One file for each two models of a route, replaced atomically: it is of one moment, also after a
power failure. A file that cannot be read is told and set aside; its evidence begins anew.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from reshore.evals.live.evidence import Evidence
from reshore.evals.live.standing import standing
from reshore.models.disk import write_atomic
from reshore.types import Target

log = logging.getLogger("reshore.evaluation")

FORMAT = 1
_SUFFIX = ".json"
_ASIDE = ".damaged"
# Of one file; ours have some 200 KB at most.
_MOST_BYTES = 4 * 1024 * 1024
_MOST_FILES = 1024
# What damaged evidence can raise, also one that is nested without an end.
_UNREADABLE = (
    OSError,
    ValueError,
    ArithmeticError,
    LookupError,
    AssertionError,
    RecursionError,
)


class _File(Struct, frozen=True, kw_only=True):
    """What stands in a file."""

    format: int
    evidence: Raw


class Keeping:
    """The files in a folder. Belongs to one thread at a time.

    Args:
        folder: made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def name(self, route: str, local: Target, cloud: Target) -> str:
        """Of the file for two models of a route."""
        words = (route, local.model, cloud.backend, cloud.model)
        key = "\0".join(words).encode("utf-8", "surrogatepass")
        return hashlib.sha256(key).hexdigest()[:24] + _SUFFIX

    def load(self, *, set_aside: bool = True) -> list[Evidence]:
        """All that can be read. Raises nothing: what cannot is logged.

        Args:
            set_aside: what cannot be read gets another name, so that nothing is written over it.
        """
        found = []
        try:
            paths = sorted(self._folder.glob(f"*{_SUFFIX}"))[:_MOST_FILES]
        except OSError as error:
            log.error("%s cannot be read, so evaluation begins anew: %s", self._folder, error)
            return []
        for path in paths:
            try:
                found.append(_read(path))
            except _UNREADABLE as error:
                log.error("%s is damaged, and what it knew is lost: %s", path, error)
                if set_aside:
                    self._set_aside(path)
        return found

    def save(self, files: Mapping[str, bytes]) -> None:
        """Replace files, each of them whole.

        Raises:
            OSError: one could not be written; those before it are.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, body in files.items():
            write_atomic(self._folder / name, body, mode=0o600)

    def remove(self, name: str) -> None:
        """Remove a file, if there is one.

        Raises:
            OSError: it could not be removed.
        """
        (self._folder / name).unlink(missing_ok=True)

    def _set_aside(self, path: Path) -> None:
        try:
            path.replace(path.with_suffix(_ASIDE))
        except OSError as error:
            log.error("%s cannot be renamed: %s", path, error)


def encode(evidence: Evidence) -> bytes:
    """What stands in the file."""
    return msgspec.json.encode({"format": FORMAT, "evidence": evidence})


def _read(path: Path) -> Evidence:
    """Raises what `load` says."""
    with path.open("rb") as file:
        body = file.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    file_ = msgspec.json.decode(body, type=_File)
    if file_.format != FORMAT:
        raise ValueError(f"its format is {file_.format}, and this reshore reads {FORMAT}")
    evidence = msgspec.json.decode(file_.evidence, type=Evidence)
    standing(
        evidence, level=0.0
    )  # what no number can be made of is found here, and not while serving
    return evidence
