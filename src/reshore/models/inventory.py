"""Which models are installed, known without asking the disk.

Routing asks for it with every request: whether a name is installed decides which side answers. So
the names are remembered, and looked at again when the store has changed or after a moment, for
Ollama, say, may add to a store that is only read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from reshore.clock import Clock
from reshore.errors import BadName
from reshore.models.names import parse_name
from reshore.models.store import Store
from reshore.models.verified import Identity

# What others add to a store is noticed after this time at the latest.
_FRESH_S = 2.0
# Names come from clients: what is remembered of their spelling has an end.
_SPELLINGS = 1024

_Stamps = Mapping[str, Identity]


class _Seen(NamedTuple):
    """One look at the disk; `capabilities` of models that have been described."""

    stamps: _Stamps
    capabilities: Mapping[str, frozenset[str]]


class Inventory:
    """What is installed. Belongs to the event loop; the disk is read in threads.

    A few folders are listed at most every two seconds, and only while there are requests. What
    the models can do is read from their files beside the requests: until then they are believed
    to be able to do everything.

    Args:
        describes: whether it is read what models can do, which takes a while for many new ones.
    """

    def __init__(self, store: Store, clock: Clock, *, describes: bool = True) -> None:
        self._describes = describes
        self._store = store
        self._clock = clock
        self._seen = _Seen({}, {})
        self._changes = -1
        self._looked_s = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._describing: asyncio.Task[None] | None = None
        self._keys: dict[str, str] = {}

    @property
    def stale(self) -> bool:
        """Whether `refresh` should be awaited before the others are asked."""
        return (
            self._changes != self._store.changes
            or self._clock.monotonic() - self._looked_s >= _FRESH_S
        )

    async def refresh(self) -> None:
        """Look at the disk; those who ask meanwhile wait for the same look.

        Cancelling it ends nobody else's.
        """
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    async def aclose(self) -> None:
        """Wait for what is being read; a thread cannot be stopped."""
        tasks = [task for task in (self._looking, self._describing) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def has(self, name: str) -> bool:
        """Whether a model of that name, as a client may write it, is installed."""
        return self._key(name) in self._seen.stamps

    def lacks(self, name: str, needs: frozenset[str]) -> frozenset[str]:
        """What of these capabilities the installed model is known not to have."""
        known = self._seen.capabilities.get(self._key(name))
        return frozenset() if known is None else needs - known

    def embeds(self, name: str) -> bool:
        """Whether it is known to be an embedding model."""
        known = self._seen.capabilities.get(self._key(name), frozenset())
        return "embedding" in known and "completion" not in known

    def _key(self, name: str) -> str:
        """Equal for names of one model; "" for what is no model's name."""
        key = self._keys.get(name)
        if key is None:
            if len(self._keys) >= _SPELLINGS:
                self._keys.clear()
            try:
                key = parse_name(name).key
            except BadName:
                key = ""
            self._keys[name] = key
        return key

    async def _look(self) -> None:
        try:
            changes = self._store.changes
            stamps = await asyncio.to_thread(self._store.stamps)
            self._changes, self._looked_s = changes, self._clock.monotonic()
            if stamps != self._seen.stamps:
                self._seen = _Seen(stamps, _still_known(self._seen, stamps))
                if self._describes and self._describing is None:
                    self._describing = asyncio.create_task(self._read())
        finally:
            self._looking = None

    async def _read(self) -> None:
        try:
            while True:
                before = self._seen.stamps
                found = await asyncio.to_thread(_capabilities, self._store)
                if self._seen.stamps is before:
                    self._seen = _Seen(before, found)
                    return
        finally:
            self._describing = None


def _still_known(seen: _Seen, stamps: _Stamps) -> Mapping[str, frozenset[str]]:
    return {
        key: known
        for key, known in seen.capabilities.items()
        if stamps.get(key) == seen.stamps.get(key)
    }


def _capabilities(store: Store) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for model in store.list():
        if model.name.key not in found or not model.read_only:
            found[model.name.key] = frozenset(store.summary(model).capabilities)
    return found
