"""What people say of pairs, kept in a file, and what it makes of a judge's verdicts."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from reshore.errors import CompareError
from reshore.evals.compare.answers import Answer, append
from reshore.evals.compare.report import Item, Report
from reshore.evals.judge import Better, is_judge
from reshore.evals.scoring import Compared, Result
from reshore.stats.corrected import LEAST_LABELS, Corrected, corrected

# `skip`: somebody looked and could not tell; `none`: the last word is taken back.
Word = Literal["first", "second", "tie", "skip", "none"]

# What a pair says that was settled by a label.
LABEL = "label"
_RESULTS: Mapping[Word, Result] = {"first": "loss", "second": "win", "tie": "tie"}
_VALUES: Mapping[Result, int] = {"win": 1, "tie": 0, "loss": -1, "undecided": 0}


class Open(Struct, frozen=True, kw_only=True):
    """A pair that no check decided: a judge did, or nobody.

    Attributes:
        key: of both answers; the same pair of another comparison has the same.
        target: the second one.
        swapped: show the second answer first.
    """

    key: str
    item: Item
    place: int
    target: str
    compared: Compared
    swapped: bool

    @property
    def texts(self) -> tuple[str, str]:
        """The answers as they are to be shown."""
        first, second = (_said(self.item.answers[place]) for place in (0, self.place))
        return (second, first) if self.swapped else (first, second)


class Label(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One word of somebody about a pair.

    Attributes:
        pair: its key.
        better: of the answers as the report has them, however they were shown.
        judged: what the judge had made of it; `judge`: which one, "" for none.
        picked: the pair was looked at for what it is, and is no part of a random sample.
    """

    pair: str
    prompt: str
    target: str
    better: Word
    judged: Result = "undecided"
    judge: str = ""
    picked: bool = False
    at_s: float = 0.0


class Agreement(Struct, frozen=True, kw_only=True):
    """A judge beside people, for one target.

    Attributes:
        pairs: those that no check decided.
        labels: those of them that somebody found better, worse or equal; `picked`: some more, which
            settle their pairs and say nothing of others.
        same: labels that the judge's verdict is equal to; `decided`: labels of pairs it decided.
        table: how often the judge said what (`win`, `undecided`…), and people what.
        net_win: of the pairs that were not picked, as people would find it; None while there are
            fewer than 30 labels.
        missing: labels until there is one.
    """

    target: str
    pairs: int
    labels: int
    picked: int
    same: int
    decided: int
    table: dict[str, dict[str, int]]
    net_win: Corrected | None
    missing: int


def open_pairs(report: Report) -> tuple[Open, ...]:
    """All pairs to be labelled, in an order that has nothing to do with what they are.

    So the first ones that somebody labels are a random sample of all, which the correction of the
    judge needs. It is the same order every time.
    """
    return tuple(sorted(_open(report), key=lambda pair: pair.key))


def _said(answer: Answer) -> str:
    calls = [f"[calls {call.name} {call.arguments}]" for call in answer.tool_calls]
    return "\n".join(filter(None, (answer.text, *calls)))


def _open(report: Report) -> Iterator[Open]:
    for item in report.items:
        for place, compared in enumerate(item.compared, 1):
            first, second = item.answers[0], item.answers[place]
            left = compared.result == "undecided" or is_judge(compared.by) or compared.by == LABEL
            if first.error or second.error or not left:
                continue
            said = msgspec.json.encode([item.body, _said(first), _said(second), second.target])
            digest = hashlib.sha256(said).hexdigest()
            yield Open(
                key=digest[:24],
                item=item,
                place=place,
                target=report.targets[place],
                compared=compared,
                swapped=int(digest[-1], 16) % 2 == 1,
            )


class LabelFile:
    """Labels, one a line, to which is only added; the last word about a pair counts.

    Raises:
        CompareError: the file cannot be read or written, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        self._known: dict[str, Label] = {}
        for label in self._read():
            self._take(label)

    @property
    def known(self) -> Mapping[str, Label]:
        """The labels by pair, those that were taken back left out."""
        return self._known

    def add(self, label: Label) -> None:
        """Keep a label; after this call a kill does not take it away."""
        line = msgspec.json.encode(label) + b"\n"
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(handle, "ab", buffering=0) as file:
                append(file, b"\n" + line if self._torn else line)
        except OSError as error:
            self._torn = True
            raise CompareError(f"cannot write {self._path}: {error.strerror}") from error
        self._torn = False
        self._take(label)

    def _take(self, label: Label) -> None:
        self._known.pop(label.pair, None)
        if label.better != "none":
            self._known[label.pair] = label

    def _read(self) -> Iterator[Label]:
        try:
            *lines, torn = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise CompareError(f"cannot read {self._path}: {error.strerror}") from error
        self._torn = bool(torn)
        decoder = msgspec.json.Decoder(Label)
        foreign: Exception | None = None
        for line in lines:
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                # One that a kill cut short was never said to be kept.
                foreign = error
        if foreign is not None and not self._known:
            raise CompareError(f"{self._path} holds no labels: {foreign}") from foreign


def rulings(report: Report, labels: Mapping[str, Label]) -> dict[tuple[str, str], Compared]:
    """What people settled, by prompt and target, as `summarise` takes it."""
    return {
        (pair.item.id, pair.target): Compared(result=_RESULTS[label.better], by=LABEL)
        for pair in open_pairs(report)
        if (label := labels.get(pair.key)) is not None and label.better in _RESULTS
    }


def agreements(pairs: Sequence[Open], labels: Mapping[str, Label]) -> tuple[Agreement, ...]:
    """How far the judge and people agree, for each target, and the net win corrected by that."""
    targets = dict.fromkeys(pair.target for pair in pairs)
    return tuple(
        _agreement(target, [pair for pair in pairs if pair.target == target], labels)
        for target in targets
    )


def _agreement(target: str, pairs: Sequence[Open], labels: Mapping[str, Label]) -> Agreement:
    both: list[tuple[Result, Result]] = []
    others: list[float] = []
    picked = 0
    for pair in pairs:
        label = labels.get(pair.key)
        if label is None or label.better not in _RESULTS:
            known = is_judge(pair.compared.by)
            others.append(_VALUES[pair.compared.result] if known else 0)
        elif label.picked:
            picked += 1
        else:
            both.append((label.judged, _RESULTS[label.better]))
    counted = Counter(both)
    table: dict[str, dict[str, int]] = {}
    for (judged, said), count in sorted(counted.items()):
        table.setdefault(judged, {})[said] = count
    values = [(float(_VALUES[judged]), float(_VALUES[said])) for judged, said in both]
    return Agreement(
        target=target,
        pairs=len(pairs),
        labels=len(both),
        picked=picked,
        same=sum(judged == said for judged, said in both),
        decided=sum(judged != "undecided" for judged, _ in both),
        table=table,
        net_win=corrected(others, values) if len(both) >= LEAST_LABELS else None,
        missing=max(0, LEAST_LABELS - len(both)),
    )


def label_of(
    pair: Open, shown: Better | Literal["skip", "none"], at_s: float, *, picked: bool = False
) -> Label:
    """What somebody said of the answers as they were shown."""
    word: Word = shown
    if pair.swapped and shown in ("first", "second"):
        word = "second" if shown == "first" else "first"
    judge = pair.compared.by if is_judge(pair.compared.by) else ""
    return Label(
        pair=pair.key,
        prompt=pair.item.id,
        target=pair.target,
        better=word,
        judged=pair.compared.result if judge else "undecided",
        judge=judge,
        picked=picked,
        at_s=at_s,
    )
