"""Somebody says, key by key, which of two answers is better; nobody tells them who gave which."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from reshore.cli.output import visible
from reshore.evals.compare.labels import LabelFile, Open, label_of
from reshore.evals.judge import Better
from reshore.routing.content import read_content

_HINT = "1 first   2 second   t tie   s skip   u undo   q quit"
_WORDS: dict[str, Better | Literal["skip"]] = {"1": "first", "2": "second", "t": "tie", "s": "skip"}
# A narrower screen shows one answer below the other.
_WIDE_COLUMNS = 120
# What a terminal obeys, or what turns the direction of a line. Joiners are part of many scripts.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Of what was said before the question.
_LONGEST_TURN = 2000


class Screen(Protocol):
    """What somebody who labels looks at."""

    def show(self, pair: Open, labelled: int, total: int) -> None: ...

    def hint(self) -> None: ...


def label_all(
    pairs: Sequence[Open],
    kept: LabelFile,
    *,
    read_key: Callable[[], str],
    screen: Screen,
    wall_s: Callable[[], float],
    picked: bool = False,
) -> None:
    """Ask about each pair that has no label yet, until there is none, or somebody leaves.

    Each label is kept before the next pair is shown.

    Args:
        read_key: the next key; "" at the end of the input, which leaves.
        picked: the order has to do with what the pairs are.
    """
    left = [pair for pair in pairs if pair.key not in kept.known]
    before, place = len(pairs) - len(left), 0
    while place < len(left):
        screen.show(left[place], before + place, len(pairs))
        key = read_key().lower()
        while not (key in ("", "q") or key in _WORDS or (key == "u" and place)):
            screen.hint()
            key = read_key().lower()
        if key in ("", "q"):
            return
        if key == "u":
            place -= 1
            kept.add(label_of(left[place], "none", wall_s()))
        else:
            kept.add(label_of(left[place], _WORDS[key], wall_s(), picked=picked))
            place += 1


class PairScreen:
    """Shows pairs on standard error, so that standard output is free for results."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    def show(self, pair: Open, labelled: int, total: int) -> None:
        """A question with both answers, the newest screen on top of nothing else."""
        if self._console.is_terminal:
            self._console.clear()
        first, second = (
            Panel(_plain(text), title=Text(title), title_align="left")
            for title, text in zip(("1", "2"), pair.texts, strict=True)
        )
        wide = self._console.width >= _WIDE_COLUMNS
        both: RenderableType = (
            Columns([first, second], width=self._console.width // 2 - 1, padding=(0, 1))
            if wide
            else Group(first, second)
        )
        self._console.print(
            Rule(f"{labelled + 1} of {total}", align="left"), *_asked(pair), both, sep="\n"
        )
        self.hint()

    def hint(self) -> None:
        """What the keys do."""
        self._console.print(Text(f"Which is better?  {_HINT}", style="bold"))


def _asked(pair: Open) -> list[Text]:
    turns = [
        (turn.role, turn.text if len(turn.text) <= _LONGEST_TURN else f"{turn.text[:1999]}…")
        for turn in read_content(pair.item.body).turns
    ]
    said = [Text.assemble((f"{role}  ", "dim"), _plain(text)) for role, text in turns]
    expected = [
        Text.assemble(("reference  ", "dim"), _plain(each))
        for each in pair.item.expected.references
    ]
    return said + expected


def _plain(text: str) -> Text:
    """Words of a model, which must not speak to the terminal."""
    return Text(_COMMANDS.sub(lambda found: visible(found[0]), text) or "(nothing)")
