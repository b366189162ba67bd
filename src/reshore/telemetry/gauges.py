"""What is not counted but asked, when metrics are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reshore import __version__
from reshore.routing.breaker import BreakerState
from reshore.telemetry import metrics
from reshore.telemetry.series import Labels, Reading


class Resident(Protocol):
    """A model in memory; what it takes of GPUs is part of `memory_bytes`.

    `shared_with` is the model whose engine it shares, and whose memory.
    """

    @property
    def name(self) -> str: ...
    @property
    def shared_with(self) -> str | None: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def gpu_bytes(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def queued(self) -> int: ...


class Rollout(Protocol):
    """A rollout; `share` in percent, `net_win` None while no pair was decided."""

    @property
    def route(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def share(self) -> float: ...
    @property
    def pairs(self) -> int: ...
    @property
    def net_win(self) -> float | None: ...


class Fates(Protocol):
    """What became of the ledger's entries."""

    @property
    def written(self) -> int: ...
    @property
    def spilled(self) -> int: ...
    @property
    def lost(self) -> int: ...


@dataclass(frozen=True)
class Evaluated:
    """What evaluation knows.

    Attributes:
        pairs: since the start, by route and verdict.
        drops: copies that were not compared, by reason.
        net_win: by route, where there is a pair.
        drifted: by route, where it is watched.
    """

    pairs: Mapping[Labels, float]
    drops: Mapping[str, float]
    net_win: Mapping[str, float]
    drifted: Mapping[str, bool]


@dataclass(frozen=True)
class Gauges:
    """Who is asked. All answer at once, on the event loop's thread.

    Attributes:
        ledger: how many entries are on their way, and what became of the others; None without
            a ledger.
        shadow_drops: mirrored copies that were dropped, by reason; None where nothing is mirrored.
        rollouts: the last one of each route; None where there are none.
        evaluation: None where nothing is compared.
    """

    in_flight: Callable[[], int]
    loaded: Callable[[], Iterable[Resident]]
    breakers: Callable[[], Iterable[BreakerState]]
    routing_version: Callable[[], int]
    ledger: Callable[[], tuple[int, Fates]] | None = None
    shadow_drops: Callable[[], Iterable[tuple[str, int]]] | None = None
    rollouts: Callable[[], Iterable[Rollout]] | None = None
    evaluation: Callable[[], Evaluated] | None = None

    def read(
        self, *, local: Callable[[str], str], upstream: Callable[[str, str], tuple[str, str]]
    ) -> Iterator[Reading]:
        """All of them.

        Args:
            local: label of a model on this machine.
            upstream: labels of an upstream and its model.
        """
        yield from self._models(local)
        yield Reading(metrics.BREAKERS, self._breakers(upstream))
        yield Reading(metrics.ROUTING_VERSION, {(): self.routing_version()})
        if self.ledger is not None:
            queued, fates = self.ledger()
            yield Reading(metrics.LEDGER_QUEUE, {(): queued})
            counts = {"written": fates.written, "spilled": fates.spilled, "lost": fates.lost}
            yield Reading(metrics.LEDGER_ENTRIES, _one_label(counts))
        if self.shadow_drops is not None:
            yield Reading(metrics.SHADOW_DROPS, _one_label(dict(self.shadow_drops())))
        if self.evaluation is not None:
            found = self.evaluation()
            yield Reading(metrics.PAIRS, found.pairs)
            yield Reading(metrics.PAIR_DROPS, _one_label(found.drops))
            yield Reading(metrics.NET_WIN, _one_label(found.net_win))
            yield Reading(metrics.DRIFT, _one_label(found.drifted))
        if self.rollouts is not None:
            yield from _rollouts(list(self.rollouts()))
        yield Reading(metrics.BUILD, {(__version__,): 1})

    def _models(self, label: Callable[[str], str]) -> Iterator[Reading]:
        # One name is there twice while a model that was replaced under it ends its requests.
        running, waiting = Counter[str](), Counter[str]()
        memory, gpu_memory = Counter[str](), Counter[str]()
        for resident in self.loaded():
            name = label(resident.name)
            running[name] += resident.in_flight
            waiting[name] += resident.queued
            own = resident.shared_with is None
            memory[name] += resident.memory_bytes * own
            gpu_memory[name] += resident.gpu_bytes * own
        yield Reading(metrics.IN_FLIGHT, {(): self.in_flight()})
        yield Reading(metrics.LOADED, {(): len(memory)})
        yield Reading(metrics.RUNNING, _one_label(running))
        yield Reading(metrics.WAITING, _one_label(waiting))
        yield Reading(metrics.MEMORY, _one_label(memory))
        yield Reading(metrics.GPU_MEMORY, _one_label(gpu_memory))

    def _breakers(self, labels: Callable[[str, str], tuple[str, str]]) -> Mapping[Labels, float]:
        return Counter((*labels(one.backend, one.model), one.state) for one in self.breakers())


def _rollouts(rollouts: Sequence[Rollout]) -> Iterator[Reading]:
    yield Reading(metrics.ROLLOUT_STATE, {(one.route, one.state): 1 for one in rollouts})
    yield Reading(metrics.ROLLOUT_SHARE, {(one.route,): one.share / 100 for one in rollouts})
    yield Reading(metrics.ROLLOUT_PAIRS, {(one.route,): one.pairs for one in rollouts})
    known: dict[Labels, float] = {
        (one.route,): one.net_win for one in rollouts if one.net_win is not None
    }
    yield Reading(metrics.ROLLOUT_NET_WIN, known)


def _one_label(counts: Mapping[str, float]) -> Mapping[Labels, float]:
    return {(value,): count for value, count in counts.items()}
