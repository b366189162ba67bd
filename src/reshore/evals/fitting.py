"""The process in which a router is trained: `python -m reshore.evals.fitting`.

A `Job` comes in on standard input (MessagePack), a `LearnedModel` goes out on standard output
(JSON). It needs the extra `learn`: scikit-learn, which takes a second and 100 MB to import, lives
in this process alone.

The model is a ridge regression of the gain on normalised term weights (TF-IDF) and standardised
numbers. Where pairs have a group, the target is mostly the mean gain of the group, shrunk towards
that of all: single gains are nearly all noise, so that words which tell groups apart are learned
from far fewer pairs.
"""

from __future__ import annotations

import math
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct, structs
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from reshore.evals.pairs import Pair
from reshore.routing.complexity import Rules
from reshore.routing.content import Content, Turn
from reshore.routing.learned import LearnedModel, Reads, Sign, Term
from reshore.routing.signs import answer_signs, prompt_signs, terms

# Chosen by cross-validation on the labels of docs/learned-router.md, one set of values for all.
_PENALTY = 3.0  # of the squared weights, where a text has length 1
_SIGN_SCALE = 0.1  # spread of a number beside it
_OWN = 0.1  # part of the target that is the pair's own gain, where it has a group
_GROUP_PAIRS = 30  # pairs of the overall mean that a group's mean is mixed with

_FOLDS = 5
_LEVELS = 101
# Share of the training's own prompts that count as unlike the rest.
_UNLIKE = 0.05


class Job(Struct, frozen=True, kw_only=True):
    """What is to be trained; the pairs are those of the training alone."""

    pairs: tuple[Pair, ...]
    reads: Reads = "prompt"


def main() -> None:
    """Train what standard input says."""
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(fit(job)))


def fit(job: Job) -> LearnedModel:
    """Train on all pairs; the levels come from models that did not see the pair."""
    pairs = job.pairs
    if job.reads == "answer":
        # What an answer tells is which pairs of a group gain, and the mean would hide it.
        pairs = tuple(structs.replace(pair, group="") for pair in pairs)
    texts = [terms(pair.prompt) for pair in pairs]
    numbers, names = _numbers(job)
    everything = _Fitted(pairs, texts, numbers)
    return everything.model(texts, names, job.reads, _levels(pairs, texts, numbers))


class _Fitted:
    """A ridge on some pairs, with what turns texts and numbers into its columns."""

    def __init__(self, pairs: Sequence[Pair], texts: Sequence[set[str]], numbers: Any) -> None:
        self._count = len(pairs)
        # A term of one prompt says nothing about others, and would be a piece of that prompt.
        self._vectorizer = TfidfVectorizer(analyzer=list, min_df=2, binary=True)
        words = self._words = self._vectorizer.fit_transform(texts)
        self._mean = numbers.mean(axis=0)
        spread = numbers.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0) / _SIGN_SCALE
        self._ridge = Ridge(alpha=_PENALTY, solver="lsqr", tol=1e-4)
        self._ridge.fit(self._columns(words, numbers), _targets(pairs))

    def gains(self, texts: Sequence[set[str]], numbers: Any) -> Any:
        """What other pairs are expected to gain."""
        return self._ridge.predict(self._columns(self._vectorizer.transform(texts), numbers))

    def model(
        self,
        texts: Sequence[set[str]],
        names: Sequence[str],
        reads: Reads,
        levels: Sequence[float],
    ) -> LearnedModel:
        """As a decision needs it; `texts` are those of the training."""
        vocabulary, idf = self._vectorizer.vocabulary_, self._vectorizer.idf_
        weights = self._ridge.coef_
        usual = self._usual()
        found = {
            term: Term(_short(idf[at]), _short(weights[at]), _short(usual[at]))
            for term, at in sorted(vocabulary.items())
        }
        signs = tuple(
            Sign(name=name, mean=_short(mean), spread=_short(spread), weight=_short(weight))
            for name, mean, spread, weight in zip(
                names, self._mean, self._spread, weights[len(vocabulary) :], strict=True
            )
        )
        return LearnedModel(
            reads=reads,
            pairs=self._count,
            bias=float(self._ridge.intercept_),
            rare=self._rare(),
            likeness=self._likeness(texts, usual),
            terms=found,
            signs=signs,
            levels=tuple(levels),
        )

    def _columns(self, words: Any, numbers: Any) -> Any:
        scaled = (numbers - self._mean) / self._spread
        return sparse.hstack([words, sparse.csr_matrix(scaled)]).tocsr()

    def _rare(self) -> float:
        """The idf of a term that no prompt has, by the formula of the others."""
        return math.log(1 + self._count) + 1

    def _usual(self) -> Any:
        """The direction of the mean of all normalised prompts."""
        mean = np.asarray(self._words.mean(axis=0)).ravel()
        return mean / (np.linalg.norm(mean) or 1.0)

    def _likeness(self, texts: Sequence[set[str]], usual: Any) -> float:
        """The bound under which a prompt of the training is unlike the others.

        What a prompt itself adds to their mean is taken out, for new prompts add nothing to it.
        """
        words = self._words
        mean = np.linalg.norm(np.asarray(words.mean(axis=0))) or 1.0
        own = np.asarray(words.multiply(words).sum(axis=1)).ravel() / self._count / mean
        known = np.asarray((words != 0).astype(float) @ self._vectorizer.idf_**2).ravel()
        unknown = np.array([len(text) for text in texts]) - np.diff(words.indptr)
        length = np.sqrt(known + unknown * self._rare() ** 2)
        found = (words @ usual - own) * np.sqrt(known) / np.maximum(length, 1e-9)
        return float(np.quantile(found, _UNLIKE))


def _numbers(job: Job) -> tuple[Any, list[str]]:
    """The signs of every pair: a row per pair, a column per name."""
    rules = Rules()
    rows = []
    for pair in job.pairs:
        explained = rules.explain(Content(turns=(Turn("user", pair.prompt),)))
        signs = prompt_signs(pair.prompt, explained)
        if job.reads == "answer":
            signs |= answer_signs(pair.prompt, pair.answer)
        rows.append(signs)
    names = sorted({name for signs in rows for name in signs})
    return np.array([[signs.get(name, 0.0) for name in names] for signs in rows]), names


def _targets(pairs: Sequence[Pair]) -> Any:
    """The gains, mostly replaced by the shrunk means of their groups."""
    gains = np.array([pair.gain for pair in pairs])
    mean = gains.mean()
    by_group: dict[str, list[float]] = defaultdict(list)
    for pair in pairs:
        by_group[pair.group].append(pair.gain)
    shrunk = {
        group: (sum(found) + _GROUP_PAIRS * mean) / (len(found) + _GROUP_PAIRS)
        for group, found in by_group.items()
    }
    return np.array(
        [
            _OWN * pair.gain + (1 - _OWN) * shrunk[pair.group] if pair.group else pair.gain
            for pair in pairs
        ]
    )


def _levels(pairs: Sequence[Pair], texts: Sequence[set[str]], numbers: Any) -> Sequence[float]:
    """Quantiles of what is predicted for pairs that were left out, strictly increasing."""
    fold = _folds(pairs)
    found = np.empty(len(pairs))
    for left_out in range(_FOLDS):
        inside, outside = np.flatnonzero(fold != left_out), np.flatnonzero(fold == left_out)
        fitted = _Fitted(_some(pairs, inside), _some(texts, inside), numbers[inside])
        found[outside] = fitted.gains(_some(texts, outside), numbers[outside])
    levels = np.quantile(found, np.linspace(0, 1, _LEVELS))
    return [float(level) for level in levels + np.arange(_LEVELS) * 1e-12]


def _folds(pairs: Sequence[Pair]) -> Any:
    """A fold for each pair, the same for all of one key."""
    keys = sorted({pair.key or f"\0{at}" for at, pair in enumerate(pairs)})
    random.Random(0).shuffle(keys)
    fold = {key: at % _FOLDS for at, key in enumerate(keys)}
    return np.array([fold[pair.key or f"\0{at}"] for at, pair in enumerate(pairs)])


def _some(values: Sequence[Any], at: Any) -> list[Any]:
    return [values[i] for i in at]


def _short(number: float) -> float:
    """Six digits: what is beyond is noise, and would be most of the file."""
    return float(f"{number:.6g}")


if __name__ == "__main__":
    main()
