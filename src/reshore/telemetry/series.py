"""The numbers behind metrics: plain dictionaries that one thread writes. Pure.

prometheus-client's own counters and histograms are not used for them: they lock, keep an object
per bucket (3.8 KB for a histogram of 14), and become files when an environment variable is set.
Measured in one run, they take 0.28 µs to count and 0.64 µs to observe; these take 0.1 and 0.2.
Its formats are used (`page.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from msgspec import Struct

from reshore.telemetry.metrics import Metric

Labels = tuple[str, ...]

OTHER = "other"

# Label sets of one metric. Labels are bounded one by one; this bounds what they make together.
_MOST = 5000


class Reading(Struct, frozen=True):
    """A metric at one moment.

    Attributes:
        values: a number for each label set.
        rows: of a histogram instead: how many fell into each bucket, of which the last one has no
            bound, then the sum of what was observed.
    """

    metric: Metric
    values: Mapping[Labels, float] = {}
    rows: Mapping[Labels, Sequence[float]] = {}


class Counts:
    """The numbers of a counter."""

    def __init__(self, metric: Metric, most: int = _MOST) -> None:
        self._metric = metric
        self._most = most
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        values = self._values
        try:
            values[labels] += amount
        except KeyError:
            known = labels if len(values) < self._most else _lumped(labels)
            values[known] = values.get(known, 0) + amount

    def read(self) -> Reading:
        return Reading(self._metric, dict(self._values))


class Observations:
    """The numbers of a histogram."""

    def __init__(self, metric: Metric, most: int = _MOST) -> None:
        self._metric = metric
        self._bounds = metric.bounds
        self._most = most
        self._rows: dict[Labels, list[float]] = {}

    def add(self, labels: Labels, value: float) -> None:
        row = self._rows.get(labels) or self._new_row(labels)
        row[bisect_left(self._bounds, value)] += 1  # a bucket holds what is at most its bound
        row[-1] += value

    def _new_row(self, labels: Labels) -> list[float]:
        known = labels if len(self._rows) < self._most else _lumped(labels)
        return self._rows.setdefault(known, [0] * (len(self._bounds) + 2))

    def read(self) -> Reading:
        rows = {labels: tuple(row) for labels, row in self._rows.items()}
        return Reading(self._metric, rows=rows)


def _lumped(labels: Labels) -> Labels:
    return (OTHER,) * len(labels)
