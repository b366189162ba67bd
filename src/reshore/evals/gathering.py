"""From pairs and their texts to what a router learns from, and what had to be left out. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct

from reshore.evals.pairs import Pair
from reshore.ledger.entry import PairTexts
from reshore.routing.content import Content, Turn, read_content
from reshore.routing.learned import Origin, Reads
from reshore.routing.paired import Paired
from reshore.routing.sticky import point

# One conversation in five is never trained on, by no router: whatever is trained next can be
# compared with what is live on requests that neither has seen.
HELD_OUT = 0.2

Reason = Literal[
    "twice",
    "of other models",
    "undecided",
    "without propensity",
    "without text",
    "text cut off",
    "without answer",
]


class Record(Struct, frozen=True, kw_only=True):
    """A pair as it was kept.

    Attributes:
        texts: None where they were not.
        group: its class of traffic, "" where none is known.
    """

    paired: Paired
    texts: PairTexts | None = None
    group: str = ""


class Example(Struct, frozen=True, kw_only=True):
    """A pair that can be learned from, and asked about.

    Attributes:
        content: what routing sees of the request.
        arrived_s: seconds since the epoch.
        propensity: with which probability (0..1] such a request became a pair.
    """

    pair: Pair
    content: Content
    arrived_s: float
    propensity: float


class Gathered(Struct, frozen=True, kw_only=True):
    """All examples of one local and one cloud model.

    Attributes:
        local, cloud: the models; "" without any pair.
        examples: in the order of their arrival.
        left_out: how many pairs, by the reason.
    """

    local: str
    cloud: str
    examples: tuple[Example, ...]
    left_out: dict[Reason, int]


def gather(
    records: Iterable[Record], *, reads: Reads = "prompt", local: str = "", cloud: str = ""
) -> Gathered:
    """What can be used. Evidence about another model is none.

    Args:
        reads: for `answer`, pairs whose local answer has no text (it called tools) are of no use.
        local, cloud: the models whose pairs are meant; "" for those of the newest pair.
    """
    ordered = sorted(records, key=lambda record: record.paired.arrived_s)
    fitting = [record for record in ordered if _of(record.paired, local, cloud)]
    if fitting:
        newest = fitting[-1].paired
        local, cloud = newest.local.model, newest.cloud.model
    examples: dict[str, Example] = {}
    left_out = Counter[Reason]()
    for record in ordered:
        found = _example(record, local, cloud)
        if not isinstance(found, Example):
            left_out[found] += 1
        elif record.paired.request_id in examples:
            left_out["twice"] += 1
        elif reads == "answer" and not found.pair.answer:
            left_out["without answer"] += 1
        else:
            examples[record.paired.request_id] = found
    return Gathered(
        local=local, cloud=cloud, examples=tuple(examples.values()), left_out=dict(left_out)
    )


def parted(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """What is trained on, and what never is; conversations stay whole."""
    parts: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        parts[is_held_out(example.pair.key)].append(example)
    return parts


def unseen(examples: Sequence[Example], origins: Iterable[Origin]) -> list[Example]:
    """Those that none of some routers was trained on: held out, or later than all of its pairs.

    A conversation that had begun by then is none that came later.
    """
    until_s = max((origin.until_s for origin in origins), default=-math.inf)
    begun = {example.pair.key for example in examples if example.arrived_s <= until_s}
    return [
        example
        for example in examples
        if is_held_out(example.pair.key) or example.pair.key not in begun
    ]


def is_held_out(key: str) -> bool:
    """Whether a conversation is one that no training may see; always the same for one."""
    return point("held out", key.encode("utf-8", "surrogatepass")) < HELD_OUT


def _of(paired: Paired, local: str, cloud: str) -> bool:
    return local in ("", paired.local.model) and cloud in ("", paired.cloud.model)


def _example(record: Record, local: str, cloud: str) -> Example | Reason:
    paired, texts = record.paired, record.texts
    if not _of(paired, local, cloud):
        return "of other models"
    qualities = _qualities(paired)
    if qualities is None:
        return "undecided"
    if not 0 < paired.propensity <= 1:
        return "without propensity"
    if texts is None:
        return "without text"
    content = _content(texts.prompt)
    if content is None:
        return "text cut off"
    if not content.asked():
        return "without text"
    weak, strong = qualities
    return Example(
        pair=Pair(
            prompt=content.asked(),
            weak=weak,
            strong=strong,
            answer=texts.local,
            key=paired.conversation or _digest(content),
            weight=1 / paired.propensity,
            group=record.group,
        ),
        content=content,
        arrived_s=paired.arrived_s,
        propensity=paired.propensity,
    )


def _qualities(paired: Paired) -> tuple[float, float] | None:
    """Of either answer. Where only a verdict is known, the better one is right and the other is
    not; two that are as good as each other are both as good as the cloud's."""
    local, cloud = paired.local_quality, paired.cloud_quality
    if local is not None and cloud is not None:
        return local, cloud
    return _BY_VERDICT.get(paired.verdict)


_BY_VERDICT = {"win": (1.0, 0.0), "tie": (1.0, 1.0), "loss": (0.0, 1.0)}


def _content(prompt: str) -> Content | None:
    """None: it was JSON, and is no longer whole."""
    try:
        body = msgspec.json.decode(prompt)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        if prompt.lstrip().startswith("{"):
            return None
        return Content(turns=(Turn("user", prompt),))
    if isinstance(body, dict):
        return read_content(body)
    return Content(turns=(Turn("user", prompt),))


def _digest(content: Content) -> str:
    """What stands for a conversation that has no name: how it began."""
    opening = "\x1e".join(f"{turn.role}\x1f{turn.text}" for turn in content.opening())
    return sha256(opening.encode("utf-8", "surrogatepass")).hexdigest()[:16]
