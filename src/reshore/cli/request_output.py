"""How `reshore requests ID` prints one request: who answered, why, and all that was tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from reshore.cli.output import print_aligned, print_json, print_table, visible
from reshore.ledger.queries import Row
from reshore.ledger.report import as_numbers, attempted, exported, money, saving

_TITLES = (
    "TRY",
    "ASKED",
    "STATUS",
    "BEGAN",
    "TTFT",
    "TOTAL",
    "IN",
    "OUT",
    "COST",
    "WHAT BECAME OF IT",
)


def print_request(request: Row, attempts: Sequence[Row], as_json: bool) -> None:
    """One request with its attempts, in the order in which they began; later ones last."""
    if as_json:
        tries = [as_numbers(attempted(each)) for each in attempts]
        print_json({"request": as_numbers(exported(request)), "attempts": tries})
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(request).items():
        table.add_row(Text(name), Text(visible(value)))
    print_aligned(table)
    if attempts:
        print()
        print_table(_TITLES, map(_cells, attempts))


def who(row: Mapping[str, str | None]) -> str:
    """`qwen2.5:7b` of this machine, `openai/gpt-4o` of an upstream."""
    name = row["model"] or ""
    return name if row["side"] == "local" else f"{row['backend']}/{name}".rstrip("/")


def span(milliseconds: float | None) -> str:
    """`210 ms`, `2.1 s`; `-` for None."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def count(number: int | None) -> str:
    """A number of tokens; `-` for None."""
    return "-" if number is None else str(number)


def _facts(row: Row) -> dict[str, str]:
    answered = who(row) if row["model"] and row["backend"] else "nobody"
    facts = {
        "request": row["request_id"],
        "arrived": datetime.fromtimestamp(row["arrived_ms"] / 1000).isoformat(" ", "seconds"),
        "endpoint": f"{row['method']} {row['path']}",
        "asked for": row["asked_model"] or "-",
        "answered by": answered,
        "status": " ".join((str(row["status"] or "-"), row["error"] or "")).strip(),
        "route": row["route"] or "none",
        "policy": row["policy"] or "-",
        "why": row["why"] or "-",
        "version": count(row["version"]),
        "took": _took(row),
        "tokens": _tokens(row),
        "cost": "?" if row["unpriced"] else money(row["cost_nano_usd"]),
        "list price": f"{money(row['list_nano_usd'])}, saved {money(saving(row))}",
    }
    return facts | ({"api key": row["key_id"]} if row["key_id"] else {})


def _took(row: Row) -> str:
    first = f", {span(row['ttft_ms'])} to the first token" if row["ttft_ms"] is not None else ""
    return span(row["total_ms"]) + first


def _tokens(row: Row) -> str:
    if row["prompt_tokens"] is None:
        return "-"
    cached = f" ({row['cached_tokens']} of them cached)" if row["cached_tokens"] else ""
    return f"{row['prompt_tokens']} in{cached}, {count(row['completion_tokens'])} out"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["role"],
        who(row),
        count(row["status"]),
        span(row["started_ms"]),
        span(row["ttft_ms"]),
        span(row["total_ms"]),
        count(row["prompt_tokens"]),
        count(row["completion_tokens"]),
        money(row["cost_nano_usd"]),
        ", ".join(_fate(row)),
    )


def _fate(row: Row) -> Iterator[str]:
    if row["answered"]:
        yield "the answer"
    if row["error"]:
        yield row["error"]
    elif row["finish_reason"]:
        yield row["finish_reason"]
