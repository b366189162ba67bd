"""What the pool keeps per model (`Berth`) and per engine (`Resident`), and what it shows of them.

Both are plain mutable records that only the pool changes, on the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum

from msgspec import Struct

from reshore.engine.admission import Line
from reshore.engine.base import Engine, LaunchPlan, State
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


class Resident:
    """One engine from the moment that room was made for it until its process has ended."""

    def __init__(self, berth: Berth, engine: Engine, plan: LaunchPlan, keep_alive_s: float) -> None:
        self.berth = berth
        self.engine = engine
        self.plan = plan
        self.keep_alive_s = keep_alive_s
        self.key = 0
        self.phase = Phase.LOADING
        self.leases = 0
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

    def cancel_timer(self) -> None:
        self.expires_s = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Berth:
    """A model's place in the pool: its line of waiting requests, and its engine if it has one."""

    def __init__(self, model: Servable, max_queue: int) -> None:
        self.model = model
        self.line: Line[Resident] = Line(model.name, max_queue)
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
        memory_bytes, gpu_bytes: what the launch plan expects it to use.
        expires_at: when it will be unloaded if no further request comes, seconds since the epoch;
            counted from now while it works; None: never.
        in_flight: requests that have slots; queued: requests that wait for some.
        unloading: takes no new requests and ends with its last one.
        notices: what the launch plan lowered, and why.
    """

    name: str
    digest: str
    size: int
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


def describe(resident: Resident, *, now_s: float, wall_s: float) -> Loaded:
    """What is to be said of an engine now."""
    model, plan = resident.engine.model, resident.plan
    due_s = now_s if resident.leaving else resident.expires_s
    if due_s is None and resident.keep_alive_s >= 0:
        due_s = now_s + resident.keep_alive_s
    return Loaded(
        name=model.name,
        digest=model.digest,
        size=model.size,
        memory_bytes=plan.memory_bytes,
        gpu_bytes=plan.gpu_bytes,
        expires_at=None if due_s is None else wall_s + due_s - now_s,
        in_flight=resident.leases,
        queued=len(resident.berth.line) if resident.berth.resident is resident else 0,
        state=resident.engine.state,
        unloading=resident.leaving,
        context_length=plan.context_length,
        slots=plan.slots,
        pid=resident.engine.pid,
        notices=plan.notices,
    )
