"""What the page says in numbers: verdicts, and the targets side by side. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reshore.evals.compare import words
from reshore.evals.compare.page import charts
from reshore.evals.compare.page.markup import Markup, joined, tag
from reshore.evals.compare.report import Contest, Estimate, Group, Report, Side, Spread

_Pick = Callable[[Side], Estimate | None]


def verdicts(report: Report) -> Markup:
    """A line for each class and each target that the first one is compared with."""
    reach = max(
        2 * report.margin,
        *(
            max(abs(contest.verdict.interval.low), abs(contest.verdict.interval.high))
            for group in report.groups
            for contest in group.contests
        ),
    )
    titles = (
        "Class",
        "Target",
        "Verdict",
        "Net win",
        "Wins, ties, losses, undecided",
        "Decided by",
    )
    contests = ((group, each) for group in report.groups for each in group.contests)
    return _table(titles, (_verdict(group, each, reach) for group, each in contests))


def _verdict(group: Group, contest: Contest, reach: float) -> Markup:
    verdict = contest.verdict
    picture: str = ""
    if verdict.net_win is not None:
        low, high = verdict.interval.low, verdict.interval.high
        picture = charts.net_win(verdict.net_win, low, high, verdict.margin, reach)
    counts = (
        ("win", contest.wins),
        ("tie", contest.ties),
        ("loss", contest.losses),
        ("undecided", contest.undecided),
    )
    return _row(
        tag("th", group.name, scope="row"),
        contest.target,
        tag("span", verdict.text, class_=f"badge {verdict.word.replace(' ', '-')}"),
        _shown(picture, words.net_win(contest)),
        _shown(charts.shares(counts), " / ".join(str(count) for _, count in counts)),
        words.decided(contest),
    )


def sides(report: Report) -> Markup:
    """A line for each class and target; each column has one scale."""
    columns: tuple[tuple[str, _Pick, words.Written], ...] = (
        ("Right answers", lambda side: side.quality, words.percent),
        ("First token, median", lambda side: _p50(side.ttft_ms), words.span),
        ("First token, 95 %", lambda side: _p95(side.ttft_ms), words.span),
        ("Whole answer, median", lambda side: _p50(side.total_ms), words.span),
        ("Whole answer, 95 %", lambda side: _p95(side.total_ms), words.span),
        ("Tokens", lambda side: side.completion_tokens, words.tokens),
        ("1,000 answers", lambda side: side.usd_per_1000, words.dollars),
    )
    every = [side for group in report.groups for side in group.sides]
    scales = [charts.scale_of(map(pick, every)) for _, pick, _ in columns]
    titles = ("Class", "Target", "Answers", *(title for title, _, _ in columns))

    def rows() -> Iterator[Markup]:
        for group in report.groups:
            for side in group.sides:
                yield _row(
                    tag("th", group.name, scope="row"),
                    side.target,
                    _counted(side),
                    *(
                        _measured(side, pick(side), write, scale)
                        for (_, pick, write), scale in zip(columns, scales, strict=True)
                    ),
                )

    return _table(titles, rows())


def _p50(spread: Spread | None) -> Estimate | None:
    return spread.p50 if spread else None


def _p95(spread: Spread | None) -> Estimate | None:
    return spread.p95 if spread else None


def _measured(
    side: Side, estimate: Estimate | None, write: words.Written, scale: charts.Scale
) -> Markup:
    if estimate is None:
        return joined("-")
    says = words.between(estimate, write)
    if estimate is side.quality:
        says = words.quality(side)
    return _shown(charts.interval(estimate, scale, says), says)


def _counted(side: Side) -> str:
    problems = (("failed", side.failed), ("flawed", side.flawed))
    return ", ".join([str(side.answers), *(f"{count} {what}" for what, count in problems if count)])


def _shown(picture: str, says: str) -> Markup:
    return joined(picture, tag("div", says, class_="says"))


def _table(titles: tuple[str, ...], rows: Iterator[Markup]) -> Markup:
    head = tag("tr", *(tag("th", title, scope="col") for title in titles))
    table = tag("table", tag("thead", head), tag("tbody", *rows))
    return tag("div", table, class_="wide")


def _row(first: Markup, *cells: str) -> Markup:
    return tag("tr", first, *(tag("td", cell) for cell in cells))
