"""How long a host is waited for, and in how many parts it is asked for a file."""

from __future__ import annotations

from msgspec import Struct

from reshore.errors import SourceError


class Patience(Struct, frozen=True, kw_only=True):
    """How long a host is waited for.

    Attributes:
        connect_s: until a connection stands, name resolution included.
        stall_s: without a byte for this long, the connection is given up and opened again.
        retries: how often a part is tried again; `backoff_s` doubles from try to try.
    """

    connect_s: float = 3.0
    stall_s: float = 30.0
    retries: int = 6
    backoff_s: float = 0.5

    def pause_s(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return self.backoff_s * 2.0 ** (failures - 1)


class Parts(Struct, frozen=True, kw_only=True):
    """Into how many ranges a file is cut, as Ollama does (ollama-api.md, section 1.9).

    Attributes:
        at_once: how many are fetched at a time, and into how many a file is cut if their size is
            between `least_bytes` and `most_bytes`.
    """

    at_once: int = 16
    least_bytes: int = 100_000_000
    most_bytes: int = 1_000_000_000

    def size_for(self, total: int) -> int:
        """Bytes of one part of a file."""
        return min(max(total // self.at_once, self.least_bytes), self.most_bytes)


class Unreached(SourceError):
    """No connection to the host came about."""


class WrongSize(SourceError):
    """The host sends more bytes, or promises more or fewer, than the file has."""


class BadSource(SourceError):
    """The host does not have what it promised, or sends us where we do not go: nothing that a
    later try would cure."""


class TryAgain(Exception):
    """This try failed; the next may succeed."""
