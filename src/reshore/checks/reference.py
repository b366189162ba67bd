"""Whether an answer is the one that somebody wrote down as right. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

from reshore.checks.check import Check, Said
from reshore.checks.final_answer import FinalAnswer, final_answer, last_numbers, same

# `final`: the same text, or what both come down to (a number, a letter, JSON, yes or no);
# `contains`: the reference stands somewhere in the answer, as words of its own.
Match = Literal["final", "exact", "normalised", "numeric", "contains"]
MATCHES: tuple[Match, ...] = get_args(Match)

_BLANKS = re.compile(r"\s+")
_EDGES = " .,;:!?\"'`*_“”‘’«»()[]"


def check_reference(said: Said, references: Sequence[str], match: Match = "final") -> Check:
    """Whether an answer matches one of the references.

    Under `final`, None where neither texts nor final answers can be compared: prose that comes down
    to nothing, or is not repeated word for word, proves nothing. `numeric` reads prose by its last
    number, as graders of GSM8K do: of 974 right answers to 653 of its questions (GPT-4, Mixtral) it
    calls 5 wrong; of 332 that are labelled wrong 24 right, most of them for "$4.00" instead of 4.
    """
    found = [_matches(said.text, reference, match) for reference in references]
    if True in found:
        return Check(name="reference", ok=True)
    if None in found or not found:
        return Check(name="reference", detail="prose cannot be matched")
    return Check(name="reference", ok=False, detail="not the reference")


def normalised(text: str) -> str:
    """Without differences of case, of blanks, of compatible characters, and outer punctuation."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _BLANKS.sub(" ", plain).strip(_EDGES)


def _matches(text: str, reference: str, match: Match) -> bool | None:
    if match == "exact":
        return text == reference
    if match == "numeric":
        return _same_number(text, reference)
    plain, wanted = normalised(text), normalised(reference)
    if match == "normalised":
        return plain == wanted
    if match == "contains":
        return _stands_in(wanted, plain)
    return plain == wanted or _same_final(text, reference)


def _same_final(text: str, reference: str) -> bool | None:
    meant, found = final_answer(reference), final_answer(text)
    if meant is None:
        return None
    if found is None:
        return _wrong_if_empty(text)
    if same(found, meant):
        return True
    if found.kind == meant.kind != "text":
        return False
    # "It is Paris" may be "Paris", and "It is not Paris" is not.
    return None if _mentions(text, reference, meant) else False


def _same_number(text: str, reference: str) -> bool | None:
    meant, found = final_answer(reference), final_answer(text)
    if meant is None or meant.kind != "number":
        return None
    if found is not None and found.kind == "number":
        return same(found, meant)
    numbers = last_numbers(text)
    if not numbers:
        return _wrong_if_empty(text) if found is None else False
    if same(numbers[-1], meant):
        return True
    # "72 clips in 2 months" may be 72 as well as 2.
    return None if any(same(number, meant) for number in numbers) else False


def _wrong_if_empty(text: str) -> bool | None:
    """Prose may say what is right in other words; an empty answer does not."""
    return None if text.strip() else False


def _mentions(text: str, reference: str, meant: FinalAnswer) -> bool:
    if meant.kind == "number":
        return any(same(number, meant) for number in last_numbers(text))
    plain, wanted = normalised(text), normalised(reference)
    return wanted in plain if meant.kind == "text" else _stands_in(wanted, plain)


def _stands_in(wanted: str, plain: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", plain) is not None
