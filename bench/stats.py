"""Samples, their median and quartiles, the target they are held against, and the table."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

_COMPARE: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le}


class Target(Struct, frozen=True):
    """What a figure must hold. `note` says what the figure is, in a few words."""

    sense: Literal[">=", "<="]
    value: float
    note: str

    def met_by(self, value: float) -> bool:
        return _COMPARE[self.sense](value, self.value)


# From the issue "Serve", section "Must hold".
TARGETS = {
    "serve.decode_ratio": Target(">=", 0.97, "decode, stack / bare engine"),
    "serve.prefill_ratio": Target(">=", 0.97, "prefill, stack / bare engine"),
    "serve.eight_over_one": Target(">=", 1.3, "tokens/s of 8 clients / 1 client"),
    "serve.added_ttft_ms": Target("<=", 2.0, "added TTFT, scripted engine"),
    "serve.added_ttft_real_ms": Target("<=", 5.0, "added TTFT, real engine"),
    "serve.cpu_ms_per_request": Target("<=", 1.0, "gateway CPU per non-streamed request"),
    "serve.chunk_cpu_ratio": Target("<=", 1.5, "CPU per chunk, gateway / pass-through"),
    "serve.burst_us_per_chunk": Target("<=", 20.0, "gateway CPU per chunk in a burst"),
    "serve.rss_mb": Target("<=", 120.0, "gateway resident after load"),
    "serve.ready_s": Target("<=", 1.5, "from exec to /readyz"),
    "serve.two_models_ratio": Target(">=", 0.9, "two models together / one"),
    "serve.foreign_load_ratio": Target(">=", 0.35, "beside a busy process / quiet"),
    "serve.slot_free_ms": Target("<=", 200.0, "32 clients leave: engine idle after"),
}

# Figures that are there to read the others by.
NOTES = {
    "serve.decode_ratio_pass_through": "decode, do-nothing proxy / bare engine",
    "serve.eight_over_one_bare": "the same of the bare engine",
    "serve.eight_ratio": "8 clients, stack / bare engine",
    "serve.tokens_per_s_of_1": "tokens/s of 1 client",
    "serve.tokens_per_s_of_8": "tokens/s of 8 clients",
    "serve.embeddings_ratio": "texts embedded/s, stack / bare engine",
    "serve.chunk_us": "gateway CPU per chunk, µs",
    "serve.pass_through_chunk_us": "pass-through CPU per chunk, µs",
}


class Figure(Struct, frozen=True, kw_only=True):
    """What was measured for one name. `low` and `high` are the quartiles of the samples.

    Figures without a target are there to read, not to be held; `note` says what they are.
    """

    name: str
    samples: tuple[float, ...]
    median: float
    low: float
    high: float
    target: Target | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.target.met_by(self.median)

    def as_json(self) -> dict[str, Any]:
        """The figure with its target, as the report has it."""
        target = self.target and f"{self.target.sense} {self.target.value:g}"
        return {
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "samples": self.samples,
            "target": target,
            "met": self.met,
        }


def figure(
    name: str,
    samples: Iterable[float],
    *,
    targets: Mapping[str, Target] = TARGETS,
    notes: Mapping[str, str] = NOTES,
) -> Figure:
    """Median and quartiles of the samples, with the target or else the note of that name.

    Raises:
        ValueError: there are no samples.
    """
    values = tuple(samples)
    low, median, high = quartiles(values)
    target = targets.get(name)
    note = target.note if target else notes.get(name, "")
    return Figure(
        name=name, samples=values, median=median, low=low, high=high, target=target, note=note
    )


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile; of a single value three times that value.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no samples: nothing was measured")
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def table(figures: Iterable[Figure], targets: Mapping[str, Target] = TARGETS) -> str:
    """The figures as a Markdown table, those with a target first and in the issue's order."""
    by_name = {one.name: one for one in figures}
    order = [name for name in targets if name in by_name]
    order += [name for name in by_name if name not in targets]
    lines = ["| figure | what | median | quartiles | n | target | met |", "|" + "---|" * 7]
    lines += [_row(by_name[name]) for name in order]
    return "\n".join(lines)


def _row(one: Figure) -> str:
    target, met = one.target, {None: "", True: "yes", False: "**no**"}[one.met]
    cells = (
        f"`{one.name}`",
        one.note,
        _number(one.median),
        f"{_number(one.low)} – {_number(one.high)}",
        str(len(one.samples)),
        f"{target.sense} {target.value:g}" if target else "",
        met,
    )
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    """Three significant digits, never an exponent."""
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{value:.{digits}f}"
