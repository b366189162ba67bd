"""Whether an answer has run into a loop, as small models do. Linear in what is looked at."""

from __future__ import annotations

from collections import Counter

from reshore.checks.check import Check, Said

# Loops last until something cuts them off, so the end of an answer shows them.
_TAIL = 3000
# How often a phrase may stand in a row. Refrains come three or four times, and enumerations vary.
_TIMES = 6
# A shorter stretch may be a laugh, a drum roll or an answer to "repeat it ten times".
_PHRASE_CHARACTERS = 240
# Rules of tables, rows of zeros and progress bars have no letters, and are longer.
_MARKS_CHARACTERS = 1500
_LINE_CHARACTERS = 24
_LINE_TIMES = 8


def check_repetition(said: Said) -> Check:
    """Fails for a phrase again and again at the end, or for a line that most lines repeat.

    Of an answer that has not ended it says nothing but that.
    """
    text = said.text[-_TAIL:].rstrip()
    times = _phrase_times(text) or _line_times(text)
    if times:
        return Check(name="repetition", ok=False, detail=f"the same {times} times")
    return Check(name="repetition", ok=True if said.ended else None)


def _phrase_times(text: str) -> int:
    """How often a phrase stands in a row at the end of `text`; 0 for not too often."""
    mirrored = text[::-1]
    borders = _borders(mirrored)
    for length in range(len(mirrored), _PHRASE_CHARACTERS - 1, -1):
        period = length - borders[length - 1]
        times = length // period
        if times < _TIMES:
            continue
        lettered = any(character.isalpha() for character in mirrored[:period])
        return times if lettered or length >= _MARKS_CHARACTERS else 0
    return 0


def _borders(text: str) -> list[int]:
    """For each beginning of `text`, the longest proper one that is its end too (Knuth, Morris and
    Pratt, 1977): what lies before it is a period."""
    borders = [0] * len(text)
    border = 0
    for place in range(1, len(text)):
        while border and text[place] != text[border]:
            border = borders[border - 1]
        border += text[place] == text[border]
        borders[place] = border
    return borders


def _line_times(text: str) -> int:
    """How often most of the lines say the same; 0 for not too often."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return 0
    line, times = Counter(lines).most_common(1)[0]
    long = len(line) >= _LINE_CHARACTERS and any(character.isalpha() for character in line)
    return times if long and times >= _LINE_TIMES and 2 * times > len(lines) else 0
