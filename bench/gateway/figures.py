"""The figures of the gateway's bench: what they are called, what they must hold, and the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.stats import Figure, Target, quartiles

# From the issue "Route", section "Must hold"; that of the resident memory from the issue "Serve",
# that of the added time from gateways.md, section 2.2.
TARGETS = {
    "gateway.cpu_ms_per_request": Target("<=", 0.6, "CPU per request, 16 connections"),
    "gateway.chunk_cpu_ratio": Target("<=", 1.5, "CPU per chunk, gateway / pass-through"),
    "gateway.burst_us_per_chunk": Target("<=", 20.0, "CPU per chunk in a burst"),
    "gateway.added_p50_ms": Target("<=", 1.0, "added to the median, 1 connection"),
    "gateway.rss_mb": Target("<=", 120.0, "resident after load"),
    "gateway.rollback_ms": Target("<=", 100.0, "rollback: admin request to effect"),
    "gateway.rollback_command_s": Target("<=", 1.0, "`reshore rollback`, the whole command"),
    "gateway.shadow_p50_ratio": Target("<=", 1.02, "median with a shadow / without"),
    "gateway.idle_mb": Target("<=", 300.0, "memory of idle connections"),
    "gateway.idle_lost": Target("<=", 0.0, "idle connections that ended"),
    "gateway.changes_failed": Target("<=", 0.0, "requests that failed, 1,000 route changes"),
    "gateway.changes_mixed": Target("<=", 0.0, "of two versions, 1,000 route changes"),
}

NOTES = {
    "gateway.chunk_us": "CPU per chunk, 16 streams",
    "gateway.changes_per_s": "route changes per second, one after the other",
    "gateway.shadow_ms": "median with a shadow",
    "gateway.idle_count": "idle connections held",
}

# What the issue asks of peers as well; null where it does not apply.
ASKED = (
    "cpu_ms_per_request",
    "chunk_cpu_ratio",
    "burst_us_per_chunk",
    "added_p50_ms",
    "rss_mb",
    "rollback_ms",
    "shadow_p50_ratio",
)
PEERS = ("litellm", "portkey")

# Rows of the comparison: figure -> what it is.
ROWS = {
    "rps_1": "requests/s, 1 connection",
    "rps_16": "requests/s, 16 connections",
    "rps_64": "requests/s, 64 connections",
    "cpu_ms_per_request": "CPU ms per request, 16 connections",
    "added_p50_ms": "added to p50, ms, 1 connection",
    "added_p99_ms": "added to p99, ms, 1 connection",
    "added_p50_ms_at_100": "added to p50, ms, 100 requests/s",
    "added_p99_ms_at_100": "added to p99, ms, 100 requests/s",
    "added_p50_ms_at_200": "added to p50, ms, 200 requests/s",
    "added_p99_ms_at_200": "added to p99, ms, 200 requests/s",
    "chunk_us": "CPU µs per chunk, 16 streams, a chunk per 4 ms",
    "chunk_cpu_ratio": "the same / pass-through",
    "burst_us_per_chunk": "CPU µs per chunk in a burst",
    "rss_mb": "resident MB after load",
    "ready_s": "start, s",
}
COLUMNS = ("direct", "pass_through", "gateway", *PEERS)


def name_of(contestant: str, figure: str) -> str:
    """What a figure of a contestant is called."""
    return f"gateway.{figure}" if contestant == "gateway" else f"{contestant}.gateway.{figure}"


def asked(figures: Iterable[Figure]) -> dict[str, float | None]:
    """The figures that the issue names, and all with a target. What was not measured is None."""
    medians = {one.name: one.median for one in figures}
    names = [
        *TARGETS,
        *(name_of(peer, figure) for peer in PEERS for figure in ASKED),
    ]
    return {name: _rounded(medians.get(name)) for name in names}


def comparison(samples: Mapping[str, Sequence[float]]) -> str:
    """Everybody side by side, as a Markdown table of medians."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|" + "---|" * (len(COLUMNS) + 1)]
    for figure, what in ROWS.items():
        cells = [_cell(samples.get(name_of(column, figure))) for column in COLUMNS]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that so many are not above.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no samples: nothing was measured")
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)  # rounded up
    return ordered[max(0, int(rank) - 1)]


def _cell(values: Sequence[float] | None) -> str:
    if not values:
        return "–"
    median = quartiles(values)[1]
    return (
        f"{median:.3f}"
        if abs(median) < 10
        else f"{median:.1f}"
        if median < 1000
        else f"{median:.0f}"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
