"""Model names, in Ollama's grammar: `[scheme://]host/namespace/model:tag`.

What is left out is `registry.ollama.ai`, `library` and `latest`. Each part starts with a letter, a
digit or `_`, which is what keeps `..` and hidden files out of the paths that names become. A host
has at most 350 characters and may hold `:` (its port); the other parts have at most 80; a
namespace holds no dot. Only ASCII is allowed, so no two names look alike.
"""

from __future__ import annotations

import re

from msgspec import Struct

from reshore.errors import BadName

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")
_PARTS = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"),
    "model": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
    "tag": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
}


class Name(Struct, frozen=True, kw_only=True):
    """A complete, well-formed name.

    Attributes:
        scheme: `http` or `https` when it was written, None otherwise; no part of the identity.
    """

    host: str = DEFAULT_HOST
    namespace: str = DEFAULT_NAMESPACE
    model: str
    tag: str = DEFAULT_TAG
    scheme: str | None = None

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Host, namespace, model and tag: the path of the manifest in a store."""
        return self.host, self.namespace, self.model, self.tag

    @property
    def key(self) -> str:
        """Equal for names that mean the same model: the full name without regard to case."""
        return "/".join(self.parts).lower()

    @property
    def full(self) -> str:
        """All four parts, defaults included."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    def __str__(self) -> str:
        """As lists show it: always with the tag, without a default host and namespace."""
        short = f"{self.model}:{self.tag}"
        if self.host.lower() != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{short}"
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{short}"
        return short


def parse_name(text: str) -> Name:
    """Read a name and fill in what is left out.

    Raises:
        BadName: a part is missing, too long or holds a character that it may not hold.
    """
    rest, scheme = text, None
    if match := _SCHEME.match(text):
        scheme = match[1].lower()
        rest = text[match.end() :]
        if scheme not in ("http", "https"):
            raise BadName(f"{_shown(text)}: unknown scheme {scheme}://; use https:// or none")
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:  # the colon, if any, belongs to the host's port
        path, tag = rest, DEFAULT_TAG
    *front, model = path.split("/")
    if len(front) > 2:
        raise BadName(f"{_shown(text)}: too many slashes; write host/namespace/model:tag")
    parts = {
        "host": front[0] if len(front) == 2 else DEFAULT_HOST,
        "namespace": front[-1] if front else DEFAULT_NAMESPACE,
        "model": model,
        "tag": tag,
    }
    for part, value in parts.items():
        if not _PARTS[part].fullmatch(value):
            raise BadName(f"{_shown(text)} is no model name: {_reason(part, value)}")
    return Name(**parts, scheme=scheme)


def is_part(part: str, value: str) -> bool:
    """Whether `value` may stand as `part` (host, namespace, model, tag) of a name."""
    return _PARTS[part].fullmatch(value) is not None


def _reason(part: str, value: str) -> str:
    if not value:
        return f"its {part} is empty"
    limit = 350 if part == "host" else 80
    if len(value) > limit:
        return f"its {part} is longer than {limit} characters"
    signs = {"host": "_ - . :", "namespace": "_ -"}.get(part, "_ - .")
    return (
        f"its {part} {_shown(value)} may hold letters, digits and {signs} alone, and must begin "
        "with a letter, a digit or _"
    )


def _shown(text: str) -> str:
    """The text as an error may repeat it: escaped and short."""
    shown = ascii(text)
    return shown if len(shown) <= 100 else shown[:97] + "...'"
