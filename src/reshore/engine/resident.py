"""What the pool keeps per engine (`Resident`) and, beyond its end, for the models that share it
(`Berth`), and what it shows of them.

Both are plain mutable records that only the pool changes, on the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from enum import StrEnum

from msgspec import Struct

from reshore.engine.admission import Line
from reshore.engine.base import EngineProcess, LaunchPlan, State
from reshore.errors import StartFailed
from reshore.models.facts import Servable

# Three deaths within a minute (drill 3 of the reliability notes) mean that the next start would
# most likely die too; until the oldest is a minute ago, requests get an error and not a load.
_DEATHS = 3
_DEATHS_WITHIN_S = 60.0


class Phase(StrEnum):
    """Where an engine is in the pool's hands.

        loading ─ready→ serving ─unload, evict→ retiring ─last lease ends→ stopping ─exit→ gone
           └──failed, nobody waits──→ stopping      └──────crash, at any time──────────↗

    `retiring` takes no new requests; those that come are served by the model's next engine.
    """

    LOADING = "loading"
    SERVING = "serving"
    RETIRING = "retiring"
    STOPPING = "stopping"
    GONE = "gone"


class Use:
    """What a model has of an engine.

    Attributes:
        leases: its requests that have slots.
        current: further ones will come here; not when the name was removed or means another engine.
    """

    __slots__ = ("current", "leases", "model")

    def __init__(self, model: Servable) -> None:
        self.model = model
        self.leases = 0
        self.current = True


class Resident:
    """One engine from the moment that room was made for it until its process has ended.

    Attributes:
        uses: by the names of the models that it was loaded for or has answered as, in the order of
            their first requests.
    """

    def __init__(
        self, berth: Berth, engine: EngineProcess, plan: LaunchPlan, keep_alive_s: float
    ) -> None:
        self.berth = berth
        self.engine = engine
        self.plan = plan
        self.keep_alive_s = keep_alive_s
        self.key = 0
        self.phase = Phase.LOADING
        self.uses = {engine.model.name: Use(engine.model)}
        self.slots_used = 0
        self.ready_s = 0.0
        self.last_used_s = 0.0
        self.expires_s: float | None = None
        self.load: asyncio.Task[None] | None = None
        self.watch: asyncio.Task[None] | None = None
        self.timer: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process that may be stopped and continued; None when the engine is not ready.

        An engine may remember the number of a process that has ended, which by then can belong to
        anybody.
        """
        return self.engine.pid if self.engine.state is State.READY else None

    @property
    def serving(self) -> bool:
        return self.phase is Phase.SERVING

    @property
    def leaving(self) -> bool:
        return self.phase in (Phase.RETIRING, Phase.STOPPING)

    @property
    def leases(self) -> int:
        return sum(use.leases for use in self.uses.values())

    @property
    def wanted(self) -> bool:
        """Whether a name still means this engine."""
        return any(use.current for use in self.uses.values())

    @property
    def names(self) -> str:
        """What it is called in logs."""
        return ", ".join(self.uses) or self.engine.model.name

    @property
    def idle(self) -> bool:
        return self.serving and self.leases == 0

    @property
    def on_cpu(self) -> bool:
        """Whether any layer is computed by the CPU, so that it competes for cores."""
        return self.plan.gpu_layers < self.engine.model.facts.block_count

    def slots_for(self, weight: int) -> int:
        """How many slots a request of that weight takes: never more than there are."""
        return max(1, min(weight, self.engine.slots))

    def has_room_for(self, weight: int) -> bool:
        return self.slots_used + self.slots_for(weight) <= self.engine.slots

    def take(self, model: Servable, weight: int) -> None:
        """A request gets its slots."""
        use = self.uses.setdefault(model.name, Use(model))
        use.model, use.current = model, True
        use.leases += 1
        self.slots_used += self.slots_for(weight)

    def give_back(self, model: Servable, weight: int) -> None:
        """It has ended."""
        use = self.uses[model.name]
        use.leases -= 1
        self.slots_used -= self.slots_for(weight)
        if not use.current:
            self.forget(model.name)

    def forget(self, name: str) -> None:
        """The name does not mean this engine any more; requests of its that run are finished."""
        use = self.uses[name]
        use.current = False
        if not use.leases:
            del self.uses[name]

    def cancel_timer(self) -> None:
        self.expires_s = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Berth:
    """A place in the pool: the line of requests that one engine can serve, and it if there is one.

    Attributes:
        model: the one for which an engine was asked first, which is loaded in its name.
    """

    def __init__(self, model: Servable, max_queue: int) -> None:
        self.model = model
        self.line: Line[Resident] = Line(max_queue)
        self.resident: Resident | None = None
        self.waiting_since_s: float | None = None
        self.patience: asyncio.Task[None] | None = None
        self._deaths: deque[float] = deque(maxlen=_DEATHS)
        self._last_words: tuple[str, ...] = ()

    def note_death(self, now_s: float, log_tail: tuple[str, ...]) -> None:
        """The engine died by itself, while it started or later."""
        self._deaths.append(now_s)
        self._last_words = log_tail

    def refusal(self, now_s: float) -> StartFailed | None:
        """Why no engine may be started now; None when one may."""
        if len(self._deaths) < _DEATHS:
            return None
        wait_s = self._deaths[0] + _DEATHS_WITHIN_S - now_s
        if wait_s <= 0:
            return None
        return StartFailed(
            f"The engine of '{self.model.name}' died {_DEATHS} times within a minute; it is not "
            f"started again for {wait_s:.0f} s. Its last log lines say why; if they speak of "
            "memory, lower `engine.context_length` or `engine.parallel`.",
            model=self.model.name,
            log_tail=self._last_words,
        )

    def empty(self, now_s: float) -> bool:
        """Whether nothing would be lost if the berth were forgotten."""
        recent = bool(self._deaths) and now_s - self._deaths[-1] < _DEATHS_WITHIN_S
        return self.resident is None and not self.line and not recent


class Loaded(Struct, frozen=True, kw_only=True):
    """A model in memory, as `reshore ps` shows it.

    Attributes:
        name, digest, size: of the model; `size` is what its blobs take on disk, in bytes.
        shared_with: the model above it whose engine it shares, and whose memory; None if none.
        embedding: it embeds; a model that generates has an engine of its own for that.
        memory_bytes, gpu_bytes: what the launch plan expects the engine to use.
        expires_at: when it will be unloaded if no further request comes, seconds since the epoch;
            counted from now while it works; None: never.
        in_flight: requests that have slots; queued: requests that wait for some.
        unloading: takes no new requests and ends with its last one.
        notices: what the launch plan lowered, and why.
    """

    name: str
    digest: str
    size: int
    shared_with: str | None
    embedding: bool
    memory_bytes: int
    gpu_bytes: int
    expires_at: float | None
    in_flight: int
    queued: int
    state: State
    unloading: bool
    context_length: int
    slots: int
    pid: int | None
    notices: tuple[str, ...]


def describe(resident: Resident, *, now_s: float, wall_s: float) -> list[Loaded]:
    """What is to be said of an engine now, by the models that use it or wait for it."""
    waiting = resident.berth.line.models() if resident.berth.resident is resident else ()
    queued = Counter(model.name for model in waiting)
    in_flight = {name: use.leases for name, use in resident.uses.items()}
    models = [use.model for use in resident.uses.values()] + list(waiting)
    by_name = {model.name: model for model in models or [resident.engine.model]}
    first, *_ = by_name
    plan = resident.plan
    due_s = now_s if resident.leaving else resident.expires_s
    if due_s is None and resident.keep_alive_s >= 0:
        due_s = now_s + resident.keep_alive_s
    return [
        Loaded(
            name=name,
            digest=model.digest,
            size=model.size,
            shared_with=None if name == first else first,
            embedding=plan.embedding,
            memory_bytes=plan.memory_bytes,
            gpu_bytes=plan.gpu_bytes,
            expires_at=None if due_s is None else wall_s + due_s - now_s,
            in_flight=in_flight.get(name, 0),
            queued=queued[name],
            state=resident.engine.state,
            unloading=resident.leaving,
            context_length=plan.context_length,
            slots=plan.slots,
            pid=resident.engine.pid,
            notices=plan.notices,
        )
        for name, model in by_name.items()
    ]
