"""What a judge's verdicts in a comparison are worth: how many, and whether by length. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct

from reshore.evals.compare.report import Item, Report
from reshore.evals.judge import is_judge
from reshore.evals.length import LengthEffect, Sized, length_effect

# A winner that is more than so many times as long as the other may have won by its length.
_SUSPICIOUS = 2.0


class JudgeNotes(Struct, frozen=True, kw_only=True):
    """The verdicts of one judge on one target against the first one.

    Attributes:
        verdicts: pairs that it decided.
        longer: wins of answers more than twice as long as the other.
        effect: what lengths had to do with the verdicts; None for fewer than 20.
        silent: pairs that nobody decided, by what is told of them.
    """

    target: str
    judge: str
    verdicts: int
    longer: int
    effect: LengthEffect | None
    silent: dict[str, int]


def judge_notes(report: Report) -> tuple[JudgeNotes, ...]:
    """For each target but the first, if a judge decided anything or says why it did not."""
    return tuple(
        notes
        for place, target in enumerate(report.targets[1:], 1)
        if (notes := _notes(report, place, target)) is not None
    )


def told(notes: JudgeNotes) -> Iterator[str]:
    """The same in lines for people."""
    if notes.verdicts:
        pairs = f"{notes.verdicts} pair{'s' * (notes.verdicts != 1)}"
        yield f"{notes.target}: the {notes.judge} decided {pairs}"
    if notes.longer:
        yield f"  in {notes.longer} of them, an answer won that is more than twice as long"
    effect = notes.effect
    if effect is not None:
        yield (
            f"  the longer answer won {effect.longer}, the shorter {effect.shorter} (correlation "
            f"{effect.correlation:+.2f}); net win {effect.net_win:+.3f}, between answers of one "
            f"length {effect.controlled:+.3f} ({effect.interval.low:+.3f} to "
            f"{effect.interval.high:+.3f})"
        )
    for why, count in notes.silent.items():
        yield f"{notes.target}: undecided {count}: {why}"


def _notes(report: Report, place: int, target: str) -> JudgeNotes | None:
    compared = [(item, item.compared[place - 1]) for item in report.items]
    ruled = [(item, each) for item, each in compared if is_judge(each.by)]
    silent = Counter(each.detail for _, each in compared if each.detail and not each.by)
    if not (ruled or silent):
        return None
    sized = [_sized(item, place, each.value or 0) for item, each in ruled]
    return JudgeNotes(
        target=target,
        judge=ruled[0][1].by if ruled else "",
        verdicts=len(ruled),
        longer=sum(map(_suspicious, sized)),
        effect=length_effect(sized),
        silent=dict(silent.most_common()),
    )


def _sized(item: Item, place: int, value: int) -> Sized:
    first, second = item.answers[0], item.answers[place]
    return Sized(value=value, first=len(first.text), second=len(second.text))


def _suspicious(sized: Sized) -> bool:
    won, lost = (sized.second, sized.first) if sized.value > 0 else (sized.first, sized.second)
    return sized.value != 0 and won > _SUSPICIOUS * lost
