"""Exports that other programs read."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pyarrow import parquet

from reshore.config import Config
from reshore.errors import LedgerError
from reshore.ledger.database import reading
from reshore.ledger.export import columns, export
from reshore.ledger.queries import Filter, pages
from reshore.ledger.report import dollars, money
from tests.ledger.samples import AT_S, PRICE, attempt, outcome
from tests.ledger.test_queries import fill

OUTCOMES = [
    outcome("a"),
    outcome("b", attempts=(attempt(usage=None, error="Cancelled", status=None),)),
    outcome("c", asked_model="=HYPERLINK(1)", error="UnknownModel", status=404, attempts=()),
]


def write(config: Config, path: Path) -> int:
    with reading(config) as connection:
        return export(path, pages(connection, Filter()))


def test_csv_holds_each_request_with_times_and_dollars(config: Config, tmp_path: Path) -> None:
    fill(config, OUTCOMES)
    path = tmp_path / "out.csv"
    assert write(config, path) == 3
    with path.open(newline="", encoding="utf-8") as file:
        first, second, third = csv.DictReader(file)
    assert list(first) == columns()
    assert first["time"] == "2025-06-15T15:06:40.000Z"
    assert first["cost_usd"] == "0.000195000"
    assert first["saving_usd"] == "0.000000000"
    assert (second["cost_usd"], second["saving_usd"]) == ("", "")
    assert third["asked_model"] == "'=HYPERLINK(1)"


def test_parquet_holds_exact_money_and_times(config: Config, tmp_path: Path) -> None:
    fill(config, OUTCOMES)
    path = tmp_path / "out.parquet"
    assert write(config, path) == 3
    table = parquet.read_table(path)
    assert table.column_names == columns()
    first, second, third = table.to_pylist()
    assert first["time"] == datetime.fromtimestamp(AT_S, UTC)
    assert first["cost_usd"] == Decimal(PRICE) / 10**9
    assert first["stream"] is True
    assert second["cost_usd"] is None
    assert third["asked_model"] == "=HYPERLINK(1)"


def test_an_export_without_rows_has_its_columns(config: Config, tmp_path: Path) -> None:
    fill(config, [])
    for name in ("out.csv", "out.parquet"):
        assert write(config, tmp_path / name) == 0
    assert parquet.read_table(tmp_path / "out.parquet").column_names == columns()


def test_another_suffix_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"\.csv or \.parquet"):
        export(tmp_path / "out.xlsx", [])
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_its_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(LedgerError, match=r"pip install 'reshore\[parquet\]'"):
        export(tmp_path / "out.parquet", [])


def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    def broken():
        raise LedgerError("the database went away")
        yield []

    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(LedgerError):
        export(tmp_path / "out.csv", broken())
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0.00"),
        (1_234_567_890_123, "$1,234.57"),
        (123_400_000, "$0.1234"),
        (195_000, "$0.000195"),
        (-195_000, "-$0.000195"),
        (40, "$0.00000004"),
        (None, "?"),
    ],
)
def test_money_has_as_many_digits_as_it_takes(nano: int | None, text: str) -> None:
    assert money(nano) == text


def test_dollars_are_exact() -> None:
    assert str(dollars(1)) == "1E-9"
    assert dollars(10**18 + 1) == Decimal("1000000000.000000001")
    assert dollars(None) is None
