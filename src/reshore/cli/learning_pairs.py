"""The pairs that a router learns from, out of the ledger and of reports."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from reshore.cli.learning_output import note_gathered
from reshore.cli.output import note
from reshore.cli.route_learning import Wanted
from reshore.config import Config
from reshore.errors import LearnError
from reshore.evals.compare.report import read_report
from reshore.evals.gathering import Gathered, Reason, Record, gather
from reshore.evals.reports import records
from reshore.ledger.database import reading
from reshore.ledger.pairs import PairFilter, count_pairs, kept_pairs
from reshore.routing.learned import Reads

# More say hardly more, and each may have tens of kilobytes of text.
_MOST = 20_000


def gathered_pairs(config: Config, wanted: Wanted, reads: Reads) -> Gathered:
    """What can be used of the pairs that are meant; says on stderr what cannot.

    Raises:
        LearnError: nothing can; says what to do.
        LedgerError, CompareError: the ledger or a report cannot be read.
    """
    kept, silent = _kept(config, wanted) if wanted.since_ms is not None else ([], 0)
    gathered = gather(
        [*_reported(wanted), *kept], reads=reads, local=wanted.local, cloud=wanted.cloud
    )
    if silent:
        without = gathered.left_out.get("without text", 0) + silent
        gathered = replace(gathered, left_out=gathered.left_out | {"without text": without})
    note_gathered(gathered)
    if gathered.examples:
        return gathered
    raise LearnError(_nothing(gathered.left_out))


def _nothing(left_out: Mapping[Reason, int]) -> str:
    """Why there is nothing to learn from, and what to do."""
    if not left_out:
        return (
            "there are no pairs: a `shadow` in a route collects them from live traffic, and "
            "`reshore compare` from a file of prompts (--compare)"
        )
    counts = f"none of {sum(left_out.values())} pairs can be used"
    if left_out.get("without text", 0) >= left_out.get("undecided", 0):
        return (
            f"{counts}; {left_out.get('without text', 0)} have no text: what was said is kept only "
            "where `[ledger] texts` is above 0 (1.0: always), so set it and let pairs come in, or "
            "give a report with --compare"
        )
    return (
        f"{counts}; {left_out['undecided']} could not be decided by any check: a comparison with "
        "references or a judge decides more (`reshore compare`, then --compare REPORT)"
    )


def _reported(wanted: Wanted) -> Iterator[Record]:
    for path in wanted.reports:
        yield from records(read_report(path))


def _kept(config: Config, wanted: Wanted) -> tuple[list[Record], int]:
    """Those of the ledger that have texts, and how many have none."""
    every = PairFilter(route=wanted.route, since_ms=wanted.since_ms)
    said = replace(every, with_texts=True)
    with reading(config) as connection:
        spoken = count_pairs(connection, said)
        silent = count_pairs(connection, every) - spoken
        newest = deque(kept_pairs(connection, said), maxlen=_MOST)
    if spoken > _MOST:
        note(f"of {spoken} pairs with texts the {_MOST} that were stored last are read")
    return [Record(paired=each.paired, texts=each.texts) for each in newest], silent
