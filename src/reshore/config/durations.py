"""Spans of time as people write them."""

from __future__ import annotations

import re

# Go's duration grammar, which Ollama's clients write ("5m", "1h30m", "-1s").
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Seconds(float):
    """A span of time; written as a number of seconds or as `"5m"`; negative means forever."""


def parse_duration(value: object) -> Seconds:
    """Read a span of time: a number of seconds, or Go's grammar (`"90s"`, `"1h30m"`, `"-1m"`).

    Raises:
        ValueError: neither of the two.
    """
    if isinstance(value, bool):
        raise ValueError("expected a number of seconds or a duration such as '5m'")
    if isinstance(value, int | float):
        return Seconds(value)
    text = str(value).strip()
    try:
        return Seconds(text)
    except ValueError:
        pass
    sign, body = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    pieces = _DURATION.findall(body)
    if not pieces or "".join(number + unit for number, unit in pieces) != body:
        raise ValueError(f"{text!r} is not a duration; write seconds (300) or '5m', '1h30m', '-1'")
    return Seconds(sign * sum(float(number) * _UNIT_S[unit] for number, unit in pieces))
