"""Whether an answer is the one that somebody wrote down as right. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

from reshore.checks.check import Check, Said
from reshore.checks.final_answer import final_answer, same

# `final`: the same text, or what both come down to (a number, a letter, JSON, yes or no);
# `contains`: the reference stands somewhere in the answer, as words of its own.
Match = Literal["final", "exact", "normalised", "numeric", "contains"]
MATCHES: tuple[Match, ...] = get_args(Match)

_BLANKS = re.compile(r"\s+")
_EDGES = " .,;:!?\"'`*_“”‘’«»()[]"


def check_reference(said: Said, references: Sequence[str], match: Match = "final") -> Check:
    """Whether an answer matches one of the references.

    Under `final`, None where neither texts nor final answers can be compared: a reference in prose
    that is not repeated word for word proves nothing.
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
    plain, wanted = normalised(text), normalised(reference)
    if match == "normalised":
        return plain == wanted
    if match == "contains":
        return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", plain) is not None
    if match == "final" and plain == wanted:
        return True
    same_answer = _same_final(text, reference, numeric=match == "numeric")
    if same_answer is False and match == "final" and _is_text(reference) and wanted in plain:
        return None  # "It is Paris" may be "Paris", and "It is not Paris" is not
    return same_answer


def _same_final(text: str, reference: str, *, numeric: bool) -> bool | None:
    meant, found = final_answer(reference), final_answer(text)
    if numeric:
        return bool(meant and found and meant.kind == "number" and same(found, meant))
    if meant is None or (found is None and meant.kind == "text"):
        return None
    return found is not None and same(found, meant)


def _is_text(reference: str) -> bool:
    meant = final_answer(reference)
    return meant is not None and meant.kind == "text"
