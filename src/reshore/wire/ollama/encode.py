"""What every reply of the native API is made of: lines, timestamps, durations, errors.

Durations are whole nanoseconds and points in time RFC 3339 with nanoseconds, as Go writes both.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

NDJSON = b"application/x-ndjson"

# What `/api/version` answers: clients switch features on by it (facts, "Basis").
OLLAMA_VERSION = "0.33.0"

_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000

encode_json = msgspec.json.encode
"""JSON without spaces; NaN and infinities become null."""


def encode_line(payload: Any) -> bytes:
    """One line of an NDJSON stream."""
    return encode_json(payload) + b"\n"


def error_body(message: str) -> bytes:
    """The body of an error reply: the text is all there is."""
    return encode_json({"error": message})


def error_line(message: str) -> bytes:
    """The line that ends a stream that failed; Ollama's clients raise on it."""
    return error_body(message) + b"\n"


def timestamp(wall_ns: int) -> str:
    """A point in time, nanoseconds since the epoch, as RFC 3339 in UTC."""
    seconds, rest = divmod(wall_ns, _NS_PER_S)
    return f"{_whole_seconds(seconds)}.{rest:09d}Z"


class Stamps:
    """The same for one moment after another: the seconds are written when they change, which is
    most of the work."""

    def __init__(self) -> None:
        self._seconds = -1
        self._written = b""

    def stamp(self, wall_ns: int) -> bytes:
        seconds, rest = divmod(wall_ns, _NS_PER_S)
        if seconds != self._seconds:
            self._seconds, self._written = seconds, _whole_seconds(seconds).encode()
        return b"%b.%09dZ" % (self._written, rest)


def timestamp_s(wall_s: float) -> str:
    """The same for seconds since the epoch."""
    return timestamp(round(wall_s * _NS_PER_S))


def _whole_seconds(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def nanoseconds(milliseconds: float) -> int:
    """A duration as the API gives it; never 0, which clients read as "not measured"."""
    return max(1, round(milliseconds * _NS_PER_MS))
