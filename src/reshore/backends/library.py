"""Installed models by name, as engines can load them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from reshore.errors import BadName, UnknownModel
from reshore.models.facts import Servable
from reshore.models.names import parse_name
from reshore.models.store import Store
from reshore.types import ModelInfo


class Library:
    """Finds models without blocking the event loop.

    A request for a known model costs a few `stat` calls; reading headers and hashing weights, the
    first time and after a change, happens in a worker thread and once for all who wait.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._resolving: dict[str, asyncio.Task[Servable]] = {}

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
        known = self._store.known(parsed)
        if known is not None:
            return known
        task = self._resolving.get(name)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._store.resolve, parsed))
            self._resolving[name] = task
            task.add_done_callback(lambda _: self._resolving.pop(name, None))
        try:
            return await asyncio.shield(task)
        except UnknownModel as error:
            raise UnknownModel(name, nearest=error.nearest) from error  # in the client's spelling

    async def infos(self) -> Sequence[ModelInfo]:
        """Every installed model, newest first; a name that two stores have stands once."""
        installed = await asyncio.to_thread(self._store.list)
        infos: dict[str, ModelInfo] = {}
        for model in installed:
            name = str(model.name)
            infos.setdefault(
                name,
                ModelInfo(
                    name=name, created_s=int(model.modified_s), owned_by=model.name.namespace
                ),
            )
        return list(infos.values())
