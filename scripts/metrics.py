"""Writes the table of metrics into `docs/operations.md` from `reshore.telemetry.metrics`.

python scripts/metrics.py          write it
python scripts/metrics.py --check  exit 1 if it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

from reshore.telemetry.metrics import METRICS, Metric

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
BEGIN = "<!-- metrics: written by scripts/metrics.py from src/reshore/telemetry/metrics.py -->"
END = "<!-- end of metrics -->"


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    wanted = with_table(text)
    if "--check" in sys.argv[1:]:
        if text != wanted:
            print(f"out of date: {PAGE.name}; run python scripts/metrics.py")
        return int(text != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


def with_table(text: str) -> str:
    """The page with the table as it has to be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def table() -> str:
    lines = ["| metric | labels | what it is | elsewhere |", "|---|---|---|---|"]
    return "\n".join(lines + [_row(metric) for metric in METRICS])


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    like = ", ".join(f"`{name}`" for name in metric.like.split(", ") if name)
    return f"| `{metric.name}` ({metric.kind}) | {labels} | {metric.help} | {like} |"


if __name__ == "__main__":
    sys.exit(main())
