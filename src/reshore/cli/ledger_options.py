"""The options by which `requests` and `cost` say which requests are meant."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import typer

from reshore.cli.failure import ExitCode, Failure
from reshore.config import parse_duration

Since = Annotated[
    str,
    typer.Option(
        "--since", metavar="TIME", help="A span (30m, 24h, 7d), a day (2026-01-31) or a time."
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="As --since; not included.")
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Asked for or answering; * stands for any text."),
]
RouteName = Annotated[
    str | None, typer.Option("--route", metavar="NAME", help="The route, as `[routes]` names it.")
]
SideName = Annotated[
    str | None, typer.Option("--side", metavar="SIDE", help="Who answered: local or cloud.")
]
Status = Annotated[
    str | None, typer.Option("--status", metavar="STATUS", help="Such as 200, 4xx, 5xx.")
]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="ID", help="The first 8 hex digits of a key's SHA-256."),
]

_DAYS = re.compile(r"(\d+)d")
_STATUS = re.compile(r"[1-5](xx|\d\d)")


def moment_ms(text: str, now: datetime) -> int:
    """A span before `now`, a day or a time as milliseconds since the epoch.

    Days and times without a zone are those of this machine.

    Raises:
        Failure: none of them.
    """
    try:
        then = _moment(text.strip(), now)
    except (ValueError, OverflowError):
        raise Failure(
            ExitCode.USAGE,
            f"{text!r} is no time: write a span (30m, 24h, 7d), a day (2026-01-31) or a time "
            "(2026-01-31T09:30)",
        ) from None
    return round(then.timestamp() * 1000)


def _moment(text: str, now: datetime) -> datetime:
    if days := _DAYS.fullmatch(text):
        return now - timedelta(days=int(days[1]))
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return datetime.combine(date.fromisoformat(text), time()).astimezone()
    if re.match(r"\d{4}-\d\d-\d\d", text):
        return datetime.fromisoformat(text).astimezone()
    return now - timedelta(seconds=abs(parse_duration(text)))


def check(side: str | None, status: str | None) -> None:
    """Refuse what no request can have.

    Raises:
        Failure: says what there is.
    """
    if side not in (None, "local", "cloud"):
        raise Failure(ExitCode.USAGE, f"--side is local or cloud, not {side!r}")
    if status is not None and not _STATUS.fullmatch(status):
        raise Failure(ExitCode.USAGE, f"--status is a number or 4xx, not {status!r}")


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)
