"""How commands print: tables and sizes for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

# Wide enough for any row: what is piped into a program must not be cut to a terminal's width.
_UNLIMITED_COLUMNS = 10_000

_SPANS_S = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def print_json(value: Any) -> None:
    """Print structs, lists and dicts as indented JSON on stdout."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def note(text: str) -> None:
    """A line for people on stderr, where it is in no program's way."""
    print(text, file=sys.stderr, flush=True)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns. A terminal that is too narrow folds cells and never cuts them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text("\n".join(map(visible, cell.split("\n")))) for cell in row))
    print_aligned(table)


def print_aligned(table: Table) -> None:
    """Print a table without frame on stdout."""
    console = Console(width=None if sys.stdout.isatty() else _UNLIMITED_COLUMNS)
    with console.capture() as capture:
        console.print(table)
    # Rich pads the last column, too; nobody wants to copy those blanks.
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def visible(text: str) -> str:
    """`text` on one line, with `\\x1b` for what a terminal would obey: names come from clients."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def parameter_text(value: Any) -> str:
    """An option's value as people write it: `0.2`, `true`, `"User:" "Bot:"`."""
    if isinstance(value, list | tuple):
        return " ".join(parameter_text(each) for each in value)
    return msgspec.json.encode(value).decode()


def human_bytes(size: int) -> str:
    """`98 MB`: three digits at most, decimal units, as model lists have them."""
    amount, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 999.5 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    digits = 1 if amount < 9.95 and unit != "B" else 0
    return f"{amount:.{digits}f} {unit}"


def human_count(number: int) -> str:
    """`134.5 M`, `1.2 B`: parameters, as model cards have them."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return str(number)


def human_span(seconds: float) -> str:
    """`4 minutes`: the largest unit that fits, rounded down."""
    for unit, length in _SPANS_S:
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "a moment"
