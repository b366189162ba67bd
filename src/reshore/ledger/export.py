"""Requests as a CSV or a Parquet file, a page at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from reshore.errors import LedgerError
from reshore.ledger.queries import Row
from reshore.ledger.report import exported
from reshore.ledger.schema import requests

SUFFIXES = (".csv", ".parquet")
# What spreadsheets take a cell for a formula by (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MONEY = ("cost_usd", "list_usd", "saving_usd")


def export(path: Path, pages: Iterable[Sequence[Row]]) -> int:
    """Write a file by its suffix; returns how many requests are in it.

    A file of that name is replaced once the new one is complete.

    Raises:
        LedgerError: another suffix, or Parquet without its extra.
        OSError: the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise LedgerError(f"{path}: the name must end with {' or '.join(SUFFIXES)}")
    partial = path.with_name(f".{path.name}.part")
    write = _csv if path.suffix == ".csv" else _parquet
    try:
        count = write(partial, pages)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def columns() -> list[str]:
    """The names of the columns, in their order."""
    return list(exported(dict.fromkeys(requests.c.keys(), 0)))


def _csv(path: Path, pages: Iterable[Sequence[Row]]) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns())
        for rows in pages:
            writer.writerows(_cells(row) for row in rows)
            count += len(rows)
    return count


def _cells(row: Row) -> Iterator[Any]:
    for name, value in exported(row).items():
        if name == "time":
            yield value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        elif name in _MONEY and value is not None:
            yield f"{value:f}"
        elif isinstance(value, str) and value.startswith(_FORMULA):
            yield f"'{value}"  # a client's text must not become a spreadsheet's formula
        else:
            yield value


def _parquet(path: Path, pages: Iterable[Sequence[Row]]) -> int:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise LedgerError(
            "Parquet needs an extra: `pip install 'reshore[parquet]'`, or export to .csv"
        ) from error
    kinds = {
        "time": pyarrow.timestamp("ms", tz="UTC"),
        **dict.fromkeys(_MONEY, pyarrow.decimal128(19, 9)),
    }
    for column in requests.c:
        plain = {
            str: pyarrow.string(),
            int: pyarrow.int64(),
            float: pyarrow.float64(),
            bool: pyarrow.bool_(),
        }
        kinds.setdefault(column.name, plain[column.type.python_type])
    schema = pyarrow.schema([(name, kinds[name]) for name in columns()])
    count = 0
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in pages:
            writer.write_table(pyarrow.Table.from_pylist([exported(row) for row in rows], schema))
            count += len(rows)
    return count
