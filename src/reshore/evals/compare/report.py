"""A whole comparison, as it is shown and as it is written to a file. Pure but for `read_report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from reshore.errors import CompareError
from reshore.evals.compare.answers import Answer
from reshore.evals.compare.verdict import Verdict
from reshore.evals.expected import Expected
from reshore.evals.scoring import Compared, Judged

FORMAT: Literal["reshore-compare-1"] = "reshore-compare-1"
# The name of the group that all prompts are in.
ALL = "all"


class Estimate(Struct, frozen=True, kw_only=True):
    """A number with its interval of 95 %; a bound is None where too little is known."""

    value: float
    low: float | None
    high: float | None


class Spread(Struct, frozen=True, kw_only=True):
    """Half of the values are below `p50`, 95 in 100 below `p95`."""

    p50: Estimate
    p95: Estimate


class Side(Struct, frozen=True, kw_only=True):
    """What one target is like in one class of traffic.

    Attributes:
        failed: answers with an error; `flawed`: those that are empty, cut off, refused and so on.
        right: how many answers a check found right, of `checked` whose prompts say what is right;
            of `unknown` ones even so nobody could tell.
        quality: the rate of right answers, those unknown being wrong for its lower bound and right
            for its upper one; None where no prompt says what is right.
        completion_tokens: of an answer, on the mean.
        usd_per_1000: what a thousand answers cost; None where a price is not known.
        usd: what all of them cost.
    """

    target: str
    answers: int
    failed: int
    flawed: int
    right: int
    checked: int
    unknown: int
    quality: Estimate | None
    ttft_ms: Spread | None
    total_ms: Spread | None
    completion_tokens: Estimate | None
    usd_per_1000: Estimate | None
    usd: float | None


class Contest(Struct, frozen=True, kw_only=True):
    """A target against the first one, in one class of traffic.

    Attributes:
        p: exact McNemar, two-sided, of conversations that were won and lost on the whole: for a
            sample whose size was fixed before.
        by: what decided, and how often.
    """

    target: str
    pairs: int
    wins: int
    ties: int
    losses: int
    undecided: int
    p: float
    verdict: Verdict
    by: dict[str, int]


class Group(Struct, frozen=True, kw_only=True):
    """A class of traffic. One contest less than sides: the first target is in all of them."""

    name: str
    prompts: int
    sides: tuple[Side, ...]
    contests: tuple[Contest, ...]


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One prompt with its answers.

    Attributes:
        prompt: what the user says last; `body` is the whole request, without a model's name.
        group: its class, "" for none; `conversation`: see `Prompt`.
        answers: in the order of the report's targets, as are `judged`.
        compared: those after the first, each against the first; a win is one of the later target.
    """

    id: str
    prompt: str
    body: dict[str, Any]
    group: str = ""
    conversation: str = ""
    expected: Expected = Expected()
    answers: tuple[Answer, ...]
    judged: tuple[Judged, ...]
    compared: tuple[Compared, ...]


class Report(Struct, frozen=True, kw_only=True):
    """Everything that is known of a comparison.

    Attributes:
        made_s: when, seconds since the epoch.
        source: where the prompts are from, in words.
        targets: the first one is what the others are held against.
        margin: by how much a target may be worse than the first one and still be "ready".
        parameters: what was the same in each request, as `temperature`.
        judge: the target that ruled where no check could; `check`: the user's own one; "" for none.
        missing: prompts that are left out, since a target has not been asked yet.
        groups: all prompts together first, then each class.
    """

    format: Literal["reshore-compare-1"] = FORMAT
    made_s: float
    source: str
    targets: tuple[str, ...]
    margin: float
    parameters: dict[str, Any]
    judge: str = ""
    check: str = ""
    missing: int
    groups: tuple[Group, ...]
    items: tuple[Item, ...]


def read_report(path: Path) -> Report:
    """Read a report that `reshore compare` wrote.

    Raises:
        CompareError: the file cannot be read, or is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise CompareError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CompareError(
            f"{path} is no report of this version's `reshore compare`: {error}"
        ) from error
