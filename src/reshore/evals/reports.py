"""From a report of `reshore compare` to pairs of a local model and one of the cloud. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from reshore.evals.compare.answers import Answer
from reshore.evals.compare.report import Item, Report
from reshore.evals.gathering import Record
from reshore.evals.scoring import Judged
from reshore.ledger.entry import PairTexts
from reshore.routing.paired import Paired
from reshore.routing.watches import swapped
from reshore.types import Target

_QUALITY = {True: 1.0, False: 0.0, None: None}


def records(report: Report) -> Iterator[Record]:
    """The first target against each of the others, where one is local and one is not."""
    for item in report.items:
        for place in range(1, len(item.answers)):
            record = _record(item, place)
            if record is not None:
                yield record


def _record(item: Item, place: int) -> Record | None:
    first, second = _target(item.answers[0]), _target(item.answers[place])
    if first is None or second is None or first.side == second.side:
        return None
    local, cloud = (place, 0) if second.side == "local" else (0, place)
    verdict = item.compared[place - 1].result
    answers = item.answers
    return Record(
        paired=Paired(
            request_id=f"{answers[local].key}:{answers[cloud].key}",
            source="compare",
            route="",
            arrived_s=answers[local].wall_s,
            local=second if local else first,
            cloud=second if cloud else first,
            verdict=verdict if local else swapped(verdict),
            by=item.compared[place - 1].by,
            local_quality=_quality(item.judged[local]),
            cloud_quality=_quality(item.judged[cloud]),
            conversation=item.conversation,
        ),
        texts=PairTexts(
            prompt=msgspec.json.encode(item.body).decode(),
            local=answers[local].text,
            cloud=answers[cloud].text,
        ),
        group=item.group,
    )


def _target(answer: Answer) -> Target | None:
    """Who answered, or was to; None for a routed name that nobody answered."""
    side, _, model = (answer.by or answer.target).partition(":")
    if side == "local":
        return Target(side="local", backend="local", model=model)
    if side != "cloud":
        return None
    backend, _, model = model.partition("/")
    return Target(side="cloud", backend=backend, model=model)


def _quality(judged: Judged) -> float | None:
    return _QUALITY[judged.good]
