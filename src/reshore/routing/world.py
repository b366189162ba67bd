"""What `decide` knows besides request and routes: the machine, what it may call. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from reshore.errors import LearnError
from reshore.routing.complexity import Rules, Scorer
from reshore.routing.learned import LearnedRouter
from reshore.routing.patterns import Patterns
from reshore.routing.privacy import Privacy


def _nothing(_: str) -> bool:
    return False


def _nobody(_: str) -> tuple[str, ...]:
    return ()


def _all_there(_: str, __: frozenset[str]) -> frozenset[str]:
    return frozenset()


def _untrained(name: str) -> LearnedRouter:
    raise LearnError(f"there is no trained router '{name}'")


@dataclass(frozen=True)
class World:
    """The facts of one configuration; made anew when it changes.

    But for `trained`, the callables do no I/O.

    Attributes:
        upstreams: names, in the order of the configuration.
        default_upstream: where a bare `cloud` goes; "" for the first.
        installed: whether a model of this name is in a store.
        tiers: local models that stand for OpenAI's names on this machine (`tiers.default_models`).
        privacy: the rules of `[privacy]`.
        lacks: what of these capabilities an installed model does not have.
        embeds: whether a name is known to be that of an embedding model.
        nearest: installed names that are spelled alike.
        scorer: judges complexity for `hybrid`.
        trained: the trained router of a name. The one that reads a file, so it is asked when routes
            change and never for a request; raises LearnError.
        draw: a random number in 0..1, for shadows and splits that are not sticky.
    """

    upstreams: tuple[str, ...] = ()
    default_upstream: str = ""
    installed: Callable[[str], bool] = _nothing
    tiers: Patterns[str] = field(default_factory=lambda: Patterns(()))
    privacy: Privacy = field(default_factory=Privacy)
    lacks: Callable[[str, frozenset[str]], frozenset[str]] = _all_there
    embeds: Callable[[str], bool] = _nothing
    nearest: Callable[[str], tuple[str, ...]] = _nobody
    scorer: Scorer = field(default_factory=Rules)
    trained: Callable[[str], LearnedRouter] = _untrained
    draw: Callable[[], float] = random.random

    @property
    def upstream(self) -> str:
        """Where a bare `cloud` goes, "" without any upstream."""
        return self.default_upstream or next(iter(self.upstreams), "")
