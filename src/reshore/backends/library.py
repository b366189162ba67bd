"""Installed models by name, remembered between requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from reshore.errors import BadName, UnknownModel
from reshore.models.facts import Servable
from reshore.models.names import Name, parse_name
from reshore.models.store import Store
from reshore.types import ModelInfo


class Library:
    """Finds models. A request for a known model costs one `stat` of its manifest.

    The event loop's thread owns the cache; reading and verifying files happens in a worker
    thread, so that hashing a large file the first time delays nobody else.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[object, Servable]] = {}
        self._finding: dict[str, asyncio.Task[Servable]] = {}

    async def find(self, name: str) -> Servable:
        """The installed model called `name`.

        Raises:
            UnknownModel: not installed, or no name at all.
            BadModelFile, DigestMismatch: installed, but not fit to be loaded.
        """
        try:
            parsed = parse_name(name)
        except BadName as error:
            raise UnknownModel(name) from error
        stamp = self._store.stamp(parsed)
        known = self._known.get(name)
        if known is not None and known[0] == stamp:
            return known[1]
        self._known.pop(name, None)
        found = await self._resolve(parsed)
        if stamp is not None:
            self._known[name] = (stamp, found)
        return found

    async def _resolve(self, name: Name) -> Servable:
        """Concurrent finders of one model share one reading, which outlives any one of them."""
        key = str(name)
        task = self._finding.get(key)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._store.resolve, name))
            self._finding[key] = task
            task.add_done_callback(lambda _: self._finding.pop(key, None))
        return await asyncio.shield(task)

    async def infos(self) -> Sequence[ModelInfo]:
        """Every installed model, newest first."""
        installed = await asyncio.to_thread(self._store.list)
        return [
            ModelInfo(
                name=entry.name,
                created_s=int(entry.modified_s),
                owned_by=entry.namespace,
                capabilities=entry.capabilities,
                context_length=entry.context_length,
            )
            for entry in installed
        ]
