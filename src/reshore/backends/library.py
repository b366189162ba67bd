"""Installed models by name, as engines can load them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from reshore.config import Config
from reshore.errors import BadName, ConfigError, UnknownModel
from reshore.models import templates
from reshore.models.capabilities import capabilities
from reshore.models.facts import Servable
from reshore.models.layout import Installed
from reshore.models.names import Name, parse_name
from reshore.models.store import Store
from reshore.types import ModelInfo


class Library:
    """Finds models without blocking the event loop, and gives them what the settings say of them.

    A request for a known model costs a few `stat` calls; reading headers and hashing weights, the
    first time and after a change, happens in a worker thread and once for all who wait.

    Its state is what is being resolved, and the models whose template the settings replace, by
    name, each beside the model that it was made of.
    """

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._config = config
        self._resolving: dict[str, asyncio.Task[Servable]] = {}
        self._overridden: dict[str, tuple[Servable, Servable]] = {}

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
        known = self._known(parsed)
        if known is not None:
            return known
        task = self._resolving.get(name)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(self._resolve, parsed))
            self._resolving[name] = task
            task.add_done_callback(lambda _: self._resolving.pop(name, None))
        try:
            return await asyncio.shield(task)
        except UnknownModel as error:
            raise UnknownModel(name, nearest=error.nearest) from error  # in the client's spelling

    async def listed(self, name: str) -> str:
        """The name of an installed model as lists show it; nothing is read but its manifest.

        Raises:
            UnknownModel: not installed, or no name at all.
            BadModelFile: its manifest is damaged.
        """
        try:
            found = await asyncio.to_thread(self._store.get, name)
        except (BadName, UnknownModel) as error:
            raise UnknownModel(name) from error
        return str(found.name)

    async def infos(self) -> Sequence[ModelInfo]:
        """Every installed model, newest first; a name that two stores have stands once."""
        return await asyncio.to_thread(self._infos)

    def _known(self, name: Name) -> Servable | None:
        known = self._store.known(name)
        if known is None or not self._config.model(known.name).chat_template:
            return known
        original, overridden = self._overridden.get(known.name, (None, None))
        return overridden if original is known else None

    def _resolve(self, name: Name) -> Servable:
        installed = self._store.get(name)
        settings = self._config.model(str(installed.name))
        model = self._store.resolve(name, force=settings.force)
        if not settings.chat_template:
            return model
        text = _template(model.name, settings.chat_template)
        overridden = templates.override(model, text)
        self._overridden[model.name] = model, overridden
        return overridden

    def _infos(self) -> Sequence[ModelInfo]:
        infos: dict[str, ModelInfo] = {}
        for model in self._store.list():
            if str(model.name) not in infos:
                infos[str(model.name)] = self._info(model)
        return list(infos.values())

    def _info(self, model: Installed) -> ModelInfo:
        summary, name = self._store.summary(model), str(model.name)
        able, wanted = summary.capabilities, self._config.model(name).chat_template
        if wanted and able:
            found = self._store.describe(name)
            facts = templates.with_template(found.facts, _template(name, wanted))
            able = capabilities(facts, projector=found.projector is not None)
        return ModelInfo(
            name=name,
            created_s=int(model.modified_s),
            owned_by=model.name.namespace,
            capabilities=able,
            context_length=summary.context_length or None,
        )


def _template(model: str, wanted: str) -> str:
    """The format's name, or the text of the Jinja template in a file.

    Raises:
        ConfigError: it is neither.
    """
    if wanted in templates.NAMES:
        return wanted
    try:
        text = Path(wanted).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"[models.'{model}'] chat_template = {wanted!r} is no known format "
            f"({', '.join(sorted(templates.NAMES))}) and no file that can be read: {error}"
        ) from error
    if not templates.is_jinja(text):
        raise ConfigError(f"{wanted}, the chat_template of {model}, holds no Jinja template")
    return text
