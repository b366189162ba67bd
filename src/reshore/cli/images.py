"""Images that a message names by their paths."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.output import note

# A path that says it is one (`/a.png`, `./a.png`, `../a.png`, `~/a.png`), as it is typed, with
# quotes around it or backslashes before blanks, as terminals write a file that is dropped on them.
_PATH = re.compile(
    r"""(?<!\S)(?:
        '(?P<single>(?:~|\.\.?)?/[^']+\.(?:png|jpe?g|webp))'
      | "(?P<double>(?:~|\.\.?)?/[^"]+\.(?:png|jpe?g|webp))"
      | (?P<plain>(?:~|\.\.?)?/(?:\\.|[^\s\\])*?\.(?:png|jpe?g|webp))
    )(?=[\s,;:?!.)]|$)""",
    re.VERBOSE | re.IGNORECASE,
)


# Where the server says that an image stands.
_PLACE = re.compile(r"messages\[\d+\]\.images\[(\d+)\]")


class Said(Struct, frozen=True, kw_only=True):
    """A message without the paths of its images, which are base64."""

    text: str
    images: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()


def read_images(text: str, *, sees: Callable[[], bool]) -> Said:
    """Take the images out of a message.

    Args:
        sees: whether the model takes images; asked only if the text names one. For one that does
            not, paths are text like any other, and a line on stderr says so.

    Raises:
        Failure: an image cannot be read.
    """
    paths = [_path(match) for match in _PATH.finditer(text)]
    if not paths:
        return Said(text=text)
    if not sees():
        if any(path.is_file() for path in paths):
            note("note: this model does not see images; their paths are sent as text")
        return Said(text=text)
    images = tuple(base64.b64encode(_read(path)).decode() for path in paths)
    return Said(text=_PATH.sub("", text).strip(), images=images, paths=tuple(paths))


def with_paths(message: str, paths: Sequence[Path]) -> str:
    """What the server says of the last message, its images called by their paths."""

    def name(place: re.Match[str]) -> str:
        index = int(place[1])
        return str(paths[index]) if index < len(paths) else place[0]

    return _PLACE.sub(name, message)


def _path(match: re.Match[str]) -> Path:
    plain = match["plain"]
    typed = re.sub(r"\\(.)", r"\1", plain) if plain else match["single"] or match["double"]
    return Path(typed).expanduser()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failure(
            ExitCode.FAILURE,
            f"the image {path} cannot be read: {error.strerror}. Correct the path, or put "
            "something before it if it is meant as text",
        ) from error
