"""Verdicts that rest on a judge, held against what people say of a sample of its pairs. Pure.

A judge may be wrong about all pairs in the same way, and no number of them shows it. People's
labels do: of the pairs that no check decided, the net win that people would find is estimated
(`stats/corrected.py`), and a class is ready, or not ready, only if that says so as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from reshore.evals.compare.labels import Label, Open, agreements, open_pairs
from reshore.evals.compare.report import ALL, Contest, Group, Report
from reshore.evals.compare.verdict import Verdict, with_margin
from reshore.stats.corrected import Corrected
from reshore.stats.interval import Interval, non_inferior


def heeded(report: Report, labels: Mapping[str, Label]) -> Report:
    """The report with verdicts that people's labels bear out, where there are enough of them.

    A class with too few labels of its own goes by those of all classes. Corrected intervals are
    for one look, unlike those of the verdicts that they are held against.

    Args:
        labels: by pair, as `LabelFile` knows them.
    """
    pairs = open_pairs(report)
    everybody = _people(pairs, labels)
    return structs.replace(
        report,
        groups=tuple(_group(group, report, pairs, labels, everybody) for group in report.groups),
    )


def _people(pairs: Sequence[Open], labels: Mapping[str, Label]) -> dict[str, Corrected]:
    found = agreements(pairs, labels)
    return {each.target: each.net_win for each in found if each.net_win is not None}


def _group(
    group: Group,
    report: Report,
    pairs: Sequence[Open],
    labels: Mapping[str, Label],
    everybody: Mapping[str, Corrected],
) -> Group:
    held = [pair for pair in pairs if group.name in (ALL, pair.item.group)]
    people = {**everybody, **_people(held, labels)}
    contests = []
    for place, contest in enumerate(group.contests):
        mine = {pair.item.id for pair in held if pair.target == contest.target}
        settled = [
            item.compared[place].value or 0
            for item in report.items
            if group.name in (ALL, item.group) and item.id not in mine
        ]
        said = people.get(contest.target)
        contests.append(_contest(contest, settled, len(mine), said) if said and mine else contest)
    return structs.replace(group, contests=tuple(contests))


def _contest(contest: Contest, settled: Sequence[int], left: int, said: Corrected) -> Contest:
    """The contest with its verdict held against what people say.

    Args:
        settled: values of the pairs that checks decided.
        left: how many others there are, of which people say `said`.
    """
    total = len(settled) + left

    def overall(value: float) -> float:
        return (sum(settled) + left * max(-1.0, min(1.0, value))) / total

    interval = Interval(overall(said.interval.low), overall(said.interval.high))
    verdict = _verdict(contest.verdict, overall(said.estimate), interval, said.labels)
    return structs.replace(contest, verdict=verdict)


def _verdict(judged: Verdict, net_win: float, interval: Interval, labels: int) -> Verdict:
    """The judge's word stands if people's net win keeps, or misses, the margin as well."""
    people = {"passed": "ready", "failed": "not ready"}.get(non_inferior(interval, judged.margin))
    word = judged.word if judged.word == people else "open"
    if word != "open":
        text = f"{word}, borne out by {labels} labels"
    elif judged.word == "open":
        text = judged.brief
    else:
        text = f"open: {labels} labels do not bear out the judge"
    return structs.replace(
        judged,
        word=word,
        text=f"{text} {with_margin(judged.margin)}",
        net_win=net_win,
        interval=interval,
        more=judged.more if judged.word == "open" else None,
    )
