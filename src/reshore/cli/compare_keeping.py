"""What `reshore compare --ledger` keeps: pairs of a local model and one of the cloud."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from reshore.cli.admin import AdminClient
from reshore.evals.compare.report import Report
from reshore.evals.reports import records
from reshore.server.admin_evaluation import ComparedPair, ComparedPairs

# Of one request to the server; its limit for a body is some times as much.
_MOST_BYTES = 1_000_000


def keep(server: AdminClient, report: Report) -> int:
    """Give the pairs of a report to the ledger; one that it has already stays as it is.

    Returns:
        How many there are: none where all targets are on one side.

    Raises:
        UpstreamStatus: the server refused; says why.
        Unreachable: it went away.
    """
    pairs = [ComparedPair(paired=each.paired, texts=each.texts) for each in records(report)]
    for some in _portions(pairs):
        server.post("/admin/evaluation/pairs", ComparedPairs(pairs=some))
    return len(pairs)


def _portions(pairs: list[ComparedPair]) -> Iterator[list[ComparedPair]]:
    portion: list[ComparedPair] = []
    size = 0
    for pair in pairs:
        size += len(msgspec.json.encode(pair))
        if portion and size > _MOST_BYTES:
            yield portion
            portion, size = [], len(msgspec.json.encode(pair))
        portion.append(pair)
    if portion:
        yield portion
