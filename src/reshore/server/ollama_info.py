"""`/api/tags`, `/api/ps`, `/api/show` and `/api/version`: what there is and what is loaded."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from reshore import __version__
from reshore.engine.resident import Loaded
from reshore.errors import BadModelFile, BadName, RequestError, StoreError, UnknownModel
from reshore.models.gguf import read_contents
from reshore.models.layout import Installed
from reshore.models.manifest import model_layer, projector_layer
from reshore.models.names import parse_name
from reshore.models.store import Store
from reshore.models.summary import Summary
from reshore.server.exchange import Exchange
from reshore.server.native import JSON_UTF8, NativeEndpoint
from reshore.server.ollama_details import details, shown, unreadable
from reshore.wire.ollama.decode import Show as ShowRequest
from reshore.wire.ollama.decode import decode_show
from reshore.wire.ollama.encode import OLLAMA_VERSION, encode_json, timestamp_s

# Ollama's "for ever": the longest duration Go can hold, about 292 years.
_FOR_EVER_S = 2**63 / 1e9


class Version(NativeEndpoint):
    """`GET /api/version`: the version of Ollama whose API this is, and in a header our own."""

    async def answer(self, exchange: Exchange) -> None:
        exchange.notice("x-reshore-version", __version__)
        await exchange.reply(200, encode_json({"version": OLLAMA_VERSION}), (JSON_UTF8,))


class Tags(NativeEndpoint):
    """`GET /api/tags`: the models and aliases of `/v1/models`, newest first."""

    async def answer(self, exchange: Exchange) -> None:
        models = await asyncio.to_thread(_listed, self._services.store)
        aliases = [
            {**models[name], "name": alias, "model": alias}
            for alias, model in self._services.aliases.names()
            if (name := _display(model)) in models
        ]
        body = encode_json({"models": [*models.values(), *aliases]})
        await exchange.reply(200, body, (JSON_UTF8,))


class Ps(NativeEndpoint):
    """`GET /api/ps`: the models in memory, the one that stays longest first."""

    async def answer(self, exchange: Exchange) -> None:
        loaded = self._services.pool.loaded()
        models = await asyncio.to_thread(_running, self._services.store, loaded)
        await exchange.reply(200, encode_json({"models": models}), (JSON_UTF8,))


class Show(NativeEndpoint):
    """`POST /api/show`"""

    async def answer(self, exchange: Exchange) -> None:
        limits = self._services.config.limits
        decoded = decode_show(await exchange.json(limits), limits=limits)
        asked: ShowRequest = decoded.request
        exchange.asked_model = asked.model
        self._declare(exchange, decoded)
        name = self._services.aliases.resolve(asked.model)
        try:
            parse_name(name)
        except BadName as error:
            raise RequestError(f'name "{asked.model}" is invalid', param="model") from error
        reply = await asyncio.to_thread(
            _described, self._services.store, name, verbose=asked.verbose
        )
        await exchange.reply(200, encode_json(reply), (JSON_UTF8,))


def _described(store: Store, name: str, *, verbose: bool) -> dict[str, Any]:
    """What is known of a model, which of one whose files cannot be read is little."""
    try:
        model = store.describe(name)
    except BadModelFile:
        installed = store.get(name)
        return unreadable(installed, store.summary(installed))
    layer = model_layer(model.installed.manifest, name)
    path = store.blob_of(model.installed, layer.digest)
    contents = read_contents(path, whole=verbose)
    return shown(model, contents, verbose=verbose)


def _listed(store: Store) -> dict[str, dict[str, Any]]:
    """Every model by name; of one that two stores have, ours."""
    models: dict[str, dict[str, Any]] = {}
    for installed in store.list():
        name = str(installed.name)
        if name not in models or not installed.read_only:
            models[name] = _listing(installed, store.summary(installed))
    return models


def _listing(installed: Installed, summary: Summary) -> dict[str, Any]:
    return {
        "name": str(installed.name),
        "model": str(installed.name),
        "modified_at": timestamp_s(installed.modified_s),
        "size": installed.size,
        "digest": installed.digest,
        "details": _details(installed, summary),
        "capabilities": summary.capabilities,
    }


def _running(store: Store, loaded: tuple[Loaded, ...]) -> list[dict[str, Any]]:
    return [_running_one(store, one) for one in loaded]


def _running_one(store: Store, one: Loaded) -> dict[str, Any]:
    expires_s = time.time() + _FOR_EVER_S if one.expires_at is None else one.expires_at
    return {
        "name": one.name,
        "model": one.name,
        "size": one.memory_bytes + one.gpu_bytes,
        "digest": one.digest,
        "details": _details_of(store, one.name),
        "expires_at": timestamp_s(expires_s),
        "size_vram": one.gpu_bytes,
        "context_length": one.context_length,
    }


def _details_of(store: Store, name: str) -> dict[str, Any]:
    """Of a loaded model, which may have been removed meanwhile."""
    try:
        installed = store.get(name)
    except (UnknownModel, StoreError):
        return {}
    return _details(installed, store.summary(installed))


def _details(installed: Installed, summary: Summary) -> dict[str, Any]:
    return details(summary, projector=projector_layer(installed.manifest) is not None)


def _display(name: str) -> str:
    try:
        return str(parse_name(name))
    except BadName:
        return name
