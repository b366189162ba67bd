"""Readings as the text that Prometheus fetches, in either of its formats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from reshore.telemetry.metrics import Metric
from reshore.telemetry.series import Reading


def render(readings: Sequence[Reading], accept: str = "") -> tuple[str, bytes]:
    """The page, and its content type: OpenMetrics 1.0 if it is accepted, else Prometheus' 0.0.4.

    The numbers of the process itself (`process_*`) are read here. A line takes 6 µs, and a hundred
    models have thousands of them: give it a thread of its own.
    """
    page = _Page(readings)
    if "application/openmetrics-text" in accept.lower():
        text: bytes = openmetrics.generate_latest(page)  # type: ignore[no-untyped-call]
        return openmetrics.CONTENT_TYPE_LATEST, text
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(page)


class _Page(Collector):
    """Our registry: what is on one page."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Family]:
        for reading in self._readings:
            yield _family(reading)
        yield from ProcessCollector(registry=None).collect()


def _family(reading: Reading) -> Family:
    metric = reading.metric
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, row in reading.rows.items():
            histogram.add_metric(labels, _buckets(metric, row), row[-1])
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in reading.values.items():
        family.add_metric(labels, value)
    return family


def _buckets(metric: Metric, row: Sequence[float]) -> list[tuple[str, float]]:
    """Each bucket with those below it, which is how Prometheus wants them."""
    bounds = (*map(floatToGoString, metric.bounds), "+Inf")
    return list(zip(bounds, accumulate(row[:-1]), strict=True))
