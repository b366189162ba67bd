"""An entry as people and programs read it: times, dollars, saving. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

NANO = Decimal(10) ** -9

# Columns that are no business of a reader's, and those that become others.
_OWN = frozenset({"seq", "arrived_ms", "cost_nano_usd", "list_nano_usd"})
_OWN_OF_ATTEMPTS = frozenset({"request_id", "number", "at_ms", "cost_nano_usd"})


def exported(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table of requests: with a time, and money in dollars (`Decimal`).

    `cost_usd` is None where an attempt's price is unknown; so is `saving_usd`, also where that of
    the model asked for is.
    """
    unknown = bool(row["unpriced"])
    saved = saving(row)
    return {
        "request_id": row["request_id"],
        "time": datetime.fromtimestamp(row["arrived_ms"] / 1000, UTC),
        **{name: value for name, value in row.items() if name not in _OWN and name != "request_id"},
        "cost_usd": None if unknown else dollars(row["cost_nano_usd"]),
        "list_usd": dollars(row["list_nano_usd"]),
        "saving_usd": dollars(saved),
    }


def attempted(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table of attempts, with its cost in dollars (`Decimal`, None if unknown)."""
    kept = {name: value for name, value in row.items() if name not in _OWN_OF_ATTEMPTS}
    return kept | {"cost_usd": dollars(row["cost_nano_usd"])}


def as_numbers(entry: Mapping[str, Any]) -> dict[str, Any]:
    """For JSON: numbers are numbers, money too (a double holds these exactly enough)."""
    return {
        name: float(value) if isinstance(value, Decimal) else value for name, value in entry.items()
    }


def saving(row: Mapping[str, Any]) -> int | None:
    """Nano-dollars less than the model asked for would have cost; negative: more; None: unknown."""
    if row["unpriced"] or row["list_nano_usd"] is None:
        return None
    return int(row["list_nano_usd"] - row["cost_nano_usd"])


def dollars(nano: int | None) -> Decimal | None:
    """Nano-dollars as dollars, exactly."""
    return None if nano is None else nano * NANO


def money(nano: int | None) -> str:
    """`$1.23`, `$0.000195`: as many digits as it takes to see something; `?` for unknown."""
    if nano is None:
        return "?"
    amount = abs(nano) / 1e9
    if 0 < amount < 1e-4:
        text = f"{amount:.9f}".rstrip("0")
    else:
        text = f"{amount:,.{2 if amount >= 1 or not amount else 4 if amount >= 0.01 else 6}f}"
    return f"{'-' if nano < 0 else ''}${text}"
