"""A router that was trained on pairs: how much better the strong side would do. Pure.

It predicts the *gain* (quality of the strong side minus that of the weak one), not how hard a
request is: where both sides fail, the cloud is paid for nothing (gateways.md 3.2). The model is
linear in what `signs.py` reads, so that a decision is one look per word and can be explained;
`evals/learn.py` trains it. What it was not trained on it does not judge: that is left to the rules.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import chain, pairwise
from typing import Literal

from msgspec import Struct, structs

from reshore.routing.complexity import Explanation, Part, Rules, Scorer
from reshore.routing.content import Content
from reshore.routing.signs import answer_signs, prompt_signs, terms

# The prompt alone, or the weak side's answer to it as well.
Reads = Literal["prompt", "answer"]

# What a part adds is shown in the same unit as the rules' points are, where 1 is much.
_LEAST = 0.005
# Nothing that is learned comes near it, and its square is a number.
_LARGEST = 1e12


class Term(Struct, frozen=True, array_like=True):
    """A word or a pair of words.

    Attributes:
        idf: how rare it is: `ln((1 + n) / (1 + prompts with it)) + 1`.
        weight: what it adds to the gain, per unit of the normalised text.
        usual: its share in the mean of all normalised prompts of the training.
    """

    idf: float
    weight: float
    usual: float


class Sign(Struct, frozen=True, kw_only=True):
    """A number that is read from the prompt or the answer, standardised."""

    name: str
    mean: float
    spread: float
    weight: float


class Calibration(Struct, frozen=True, kw_only=True):
    """A threshold that was chosen for a target.

    Attributes:
        target: as it was asked for (`quality>=98%`, `cloud<=20%`).
        threshold: scores from here on go to the cloud.
        confidence: with which the target holds in the mean over conversations like those of the
            calibration.
        pairs: held back from training, on which it was chosen.
        cloud: share of them that went to the cloud, each conversation counting as one.
        quality: what their answers were worth, in relation to the strong side's.
        conversations: that the pairs are of; None in files of before that was kept.
    """

    target: str
    threshold: float
    confidence: float
    pairs: int
    cloud: float
    quality: float
    conversations: int | None = None


class Origin(Struct, frozen=True, kw_only=True):
    """What a router was trained on, of its traffic.

    Attributes:
        local, cloud: the models that answered.
        until_s: when the newest of its pairs arrived, seconds since the epoch: it has seen none of
            those that came later.
    """

    local: str
    cloud: str
    until_s: float


class LearnedModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a decision needs; a file of `routes/models/`.

    Attributes:
        pairs: how many it was trained on.
        rare: the `idf` of a term that is not in `terms`.
        likeness: prompts that are less like those of the training are outside.
        levels: quantiles of the gain, predicted for pairs that were left out (evenly spaced from
            0 to 1): from a gain to the share of the traffic that gains less.
        origin: None where nobody said.
    """

    version: Literal[1] = 1
    reads: Reads = "prompt"
    pairs: int
    bias: float
    rare: float
    likeness: float
    terms: dict[str, Term]
    signs: tuple[Sign, ...]
    levels: tuple[float, ...]
    calibration: Calibration | None = None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        """A file with other numbers would fail in the middle of requests."""
        if any(sign.spread <= 0 for sign in self.signs):
            raise ValueError("the spread of a sign is not above 0")
        if any(low >= high for low, high in pairwise(self.levels)):
            raise ValueError("the levels do not rise")
        signs = chain.from_iterable((sign.mean, sign.spread, sign.weight) for sign in self.signs)
        terms = chain.from_iterable((t.idf, t.weight, t.usual) for t in self.terms.values())
        alone = (self.bias, self.rare, self.likeness, *self.levels)
        # Turned round, as no comparison holds for what is no number.
        if not all(abs(number) <= _LARGEST for number in chain(alone, signs, terms)):
            raise ValueError("a number is out of bounds")


class Judged(Struct, frozen=True, kw_only=True):
    """What a model says of one request.

    Attributes:
        gain: expected quality of the strong side minus that of the weak one.
        score: share of the training's traffic that gains less, 0..1.
        likeness: cosine to the mean prompt of the training.
        outside: too unlike the training for the gain to mean anything.
        parts: what the gain is made of, the weightiest first. Of the words only their sum: what
            explains a decision ends up in logs, where prompts must not.
    """

    gain: float
    score: float
    likeness: float
    outside: bool
    parts: tuple[Part, ...]


class LearnedRouter:
    """A model, compiled for deciding: under a millisecond for 2,000 characters, without NumPy.

    Attributes:
        model: without its terms, which are kept once.

    Args:
        rules: judge what is outside of the training.
    """

    def __init__(self, model: LearnedModel, rules: Scorer | None = None) -> None:
        self.model = structs.replace(model, terms={})
        self._rules = rules or Rules()
        self._terms = {
            name: (term.idf**2, term.idf * term.weight, term.idf * term.usual)
            for name, term in model.terms.items()
        }

    @property
    def threshold(self) -> float:
        """The calibrated one; else half of the traffic goes to the cloud."""
        return 0.5 if self.model.calibration is None else self.model.calibration.threshold

    def judge(self, content: Content, answer: str | None = None) -> Judged:
        """What the strong side is expected to gain.

        Args:
            answer: the weak side's; for a model that reads it.
        """
        asked = content.asked()
        rules = self._rules.explain(content)
        wording, likeness = self._wording(asked)
        signs = prompt_signs(asked, rules)
        if self.model.reads == "answer":
            signs |= answer_signs(asked, answer or "")
        parts = [Part("wording", "wording", wording), *self._sign_parts(signs)]
        gain = self.model.bias + sum(part.points for part in parts)
        parts = [part for part in parts if abs(part.points) >= _LEAST]
        return Judged(
            gain=gain,
            score=self._score(gain),
            likeness=likeness,
            outside=likeness < self.model.likeness,
            parts=tuple(sorted(parts, key=lambda part: -abs(part.points))),
        )

    def explain(self, content: Content) -> Explanation:
        """The score and its reasons; those of the rules where the request is outside."""
        judged = self.judge(content)
        if judged.outside:
            rules = self._rules.explain(content)
            note = Part("learned", "unlike the training, so by rules", 0.0)
            return Explanation(score=rules.score, parts=(note, *rules.parts), outside=True)
        return Explanation(score=judged.score, parts=judged.parts)

    def _wording(self, asked: str) -> tuple[float, float]:
        """What the words add to the gain, and how like the training they are."""
        known = points = usual = 0.0
        unknown = 0
        table = self._terms
        for term in terms(asked):
            found = table.get(term)
            if found is None:
                unknown += 1
            else:
                known += found[0]
                points += found[1]
                usual += found[2]
        if not known:
            return 0.0, 0.0
        return points / math.sqrt(known), usual / math.sqrt(known + unknown * self.model.rare**2)

    def _sign_parts(self, signs: dict[str, float]) -> list[Part]:
        return [
            Part(
                sign.name,
                sign.name,
                (signs.get(sign.name, 0.0) - sign.mean) / sign.spread * sign.weight,
            )
            for sign in self.model.signs
        ]

    def _score(self, gain: float) -> float:
        """Where `gain` lies among the levels, linear between two of them."""
        levels = self.model.levels
        at = bisect_left(levels, gain)
        if at in (0, len(levels)):
            return 0.0 if at == 0 else 1.0
        low, high = levels[at - 1], levels[at]
        return (at - 1 + (gain - low) / (high - low)) / (len(levels) - 1)
