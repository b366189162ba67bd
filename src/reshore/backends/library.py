"""Installed models by name, as engines can load them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from reshore.errors import BadName, UnknownModel
from reshore.models.facts import Servable
from reshore.models.layout import Installed
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
            UnfitModel: installed, but llama.cpp cannot answer with it.
            BadModelFile, DigestMismatch: installed, but not fit to be loaded.
            ConfigError: the chat template that the settings name cannot be read.
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

    async def listed(self, name: str) -> str:
        """The name of an installed model as lists show it; nothing is read but its manifest.

        Raises:
            UnknownModel: not installed (carries the nearest names), or no name at all.
            BadModelFile: its manifest is damaged.
        """
        try:
            found = await asyncio.to_thread(self._store.get, name)
        except BadName as error:
            raise UnknownModel(name) from error
        return str(found.name)

    async def infos(self) -> Sequence[ModelInfo]:
        """Every installed model, newest first; of a name that two stores have, ours."""
        return await asyncio.to_thread(self._infos)

    def _infos(self) -> Sequence[ModelInfo]:
        answering: dict[str, Installed] = {}
        for model in self._store.list():
            if str(model.name) not in answering or not model.read_only:
                answering[str(model.name)] = model
        return list(map(self._info, answering.values()))

    def _info(self, model: Installed) -> ModelInfo:
        summary = self._store.summary(model)
        return ModelInfo(
            name=str(model.name),
            created_s=int(model.modified_s),
            owned_by=model.name.namespace,
            capabilities=summary.capabilities,
            context_length=summary.context_length or None,
        )
