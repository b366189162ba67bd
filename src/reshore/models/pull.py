"""Getting a model: from a registry, the hub, a plain address, or the catalog's packages."""

from __future__ import annotations

from typing import Literal

from reshore.clock import Clock, SystemClock
from reshore.errors import BadModelFile, LicenceNotAccepted, SourceError
from reshore.models.assemble import assemble
from reshore.models.blocking import blocking
from reshore.models.catalog import CATALOG, Entry
from reshore.models.catalog import entry as catalog_entry
from reshore.models.gguf import read_facts
from reshore.models.layout import Installed
from reshore.models.manifest import (
    Layer,
    Manifest,
    model_layer,
    parse_manifest,
    projector_layer,
)
from reshore.models.names import DEFAULT_HOST, Name, parse_name
from reshore.models.progress import OnProgress, Progress, ignore
from reshore.models.sources import index
from reshore.models.sources.fetch import Manner, whole_or_not
from reshore.models.sources.hub import HOSTS, fetch_from_hub
from reshore.models.sources.patience import Parts, Patience, Unreached
from reshore.models.sources.registry import Registry
from reshore.models.sources.url import fetch_file, is_address, name_of
from reshore.models.store import Store

Source = Literal["index", "registry"]

_SAVE_TRIES = 3


async def pull(
    store: Store,
    name: str,
    *,
    source: Source | None = None,
    on_progress: OnProgress = ignore,
    insecure: bool = False,
    accept_licence: bool = False,
    as_name: str | None = None,
    clock: Clock | None = None,
    patience: Patience | None = None,
    parts: Parts | None = None,
) -> Installed:
    """Fetch a model and install it.

    `name` is a model's name or the address of a GGUF file. Names of `hf.co` are looked up at
    Hugging Face's hub. Without a `source` the registry of the name is asked; when Ollama's cannot
    be reached, the catalog's packages take its place where they have the model, and a progress
    event says so.

    Cancellation ends the transfer at once and keeps what has arrived from a registry, so that the
    next pull goes on from there. Two pulls of one model, in one process or in two, share the work.

    Args:
        on_progress: called from the event loop, in the order and words of Ollama's `/api/pull`.
        insecure: allow plain HTTP.
        accept_licence: the user has seen the terms and accepts them.
        as_name: what to call the model; None calls it as it was asked for.
        patience, parts: how long a host is waited for, and how a file is cut into ranges.

    Raises:
        BadName: the name is malformed.
        LicenceNotAccepted: the terms of this model must be accepted first; carries them.
        SourceError: the source cannot be reached or does not have the model.
        DigestMismatch: the source sends other bytes than it should; nothing is installed.
        BadModelFile: what it sends is no model that can be served; nothing is installed.
        DiskFull: no space is left; nothing is installed.
    """
    manner = Manner(clock or SystemClock(), on_progress, patience or Patience(), parts or Parts())
    if is_address(name):
        called = parse_name(as_name) if as_name else name_of(name)
        return await _from_address(store, name, called, manner, insecure)
    wanted = parse_name(name)
    called = parse_name(as_name) if as_name else wanted
    entry = catalog_entry(wanted)
    if source == "index":
        if entry is None:
            raise SourceError(f"the package index is not known to have {wanted}; {_offers()}")
        return await _from_index(store, entry, called, manner, accept_licence)
    if wanted.host.lower() in HOSTS and wanted.scheme != "http":
        return await _from_hub(store, wanted, called, manner, insecure)
    try:
        async with Registry(wanted, manner, insecure=insecure) as registry:
            return await _from_registry(store, wanted, called, registry, on_progress)
    except Unreached as error:
        if source is None and entry is not None:
            on_progress(Progress(status=f"{error}; taking {entry.source} instead"))
            return await _from_index(store, entry, called, manner, accept_licence)
        hint = f"; {_offers()}" if wanted.host.lower() == DEFAULT_HOST else ""
        raise SourceError(
            f"{error}{hint}. Have a file? `reshore create {wanted} --from FILE.gguf`"
        ) from error


async def _from_index(
    store: Store, entry: Entry, called: Name, manner: Manner, accept_licence: bool
) -> Installed:
    licence, tell = entry.licence, manner.on_progress
    if licence.must_accept and not accept_licence:
        raise LicenceNotAccepted(str(entry.name), licence=licence.name, text=licence.text)
    layer = await index.fetch(store, entry, tell, manner.clock)
    tell(Progress(status="writing manifest"))
    installed = await blocking(
        assemble, store, called, layer, source=entry.source, licence=licence.text
    )
    tell(Progress(status="success"))
    return installed


async def _from_hub(
    store: Store, wanted: Name, called: Name, manner: Manner, insecure: bool
) -> Installed:
    manner.on_progress(Progress(status="pulling manifest"))
    found = await fetch_from_hub(store, wanted, manner, insecure=insecure)
    return await _install(store, called, found.layers, found.source, manner)


async def _from_address(
    store: Store, address: str, called: Name, manner: Manner, insecure: bool
) -> Installed:
    manner.on_progress(Progress(status="pulling manifest"))
    layer, source = await fetch_file(store, address, manner, insecure=insecure)
    return await _install(store, called, (layer,), source, manner)


async def _install(
    store: Store, name: Name, layers: tuple[Layer, ...], source: str, manner: Manner
) -> Installed:
    """Install fetched files, or remove them again if they cannot be used as a model."""
    manner.on_progress(Progress(status="writing manifest"))
    try:
        installed = await blocking(assemble, store, name, *layers, source=source)
    except BadModelFile:
        await blocking(store.drop_blobs, {layer.digest for layer in layers})
        raise
    manner.on_progress(Progress(status="success"))
    return installed


async def _from_registry(
    store: Store, name: Name, called: Name, registry: Registry, on_progress: OnProgress
) -> Installed:
    on_progress(Progress(status="pulling manifest"))
    body = await registry.manifest()
    manifest = parse_manifest(body, str(name))
    model_layer(manifest, str(name))
    for attempt in range(1, _SAVE_TRIES + 1):
        async with whole_or_not(store, manifest.blobs.values()):
            for layer in manifest.blobs.values():
                await registry.blob(store, layer)
            await blocking(_check_headers, store, manifest, str(name))
            on_progress(Progress(status="writing manifest"))
            try:
                installed = await blocking(store.save, called, body)
            except BadModelFile:  # somebody removed a model that shared a blob, in this very moment
                if attempt == _SAVE_TRIES:
                    raise
            else:
                on_progress(Progress(status="success"))
                return installed
    raise AssertionError("unreachable")


def _check_headers(store: Store, manifest: Manifest, what: str) -> None:
    """Refuse, and remove, a model whose header is hostile, before it is installed."""
    layers = [model_layer(manifest, what), projector_layer(manifest)]
    try:
        for layer in filter(None, layers):
            read_facts(store.blob(layer.digest))
    except BadModelFile:
        store.drop_blobs(manifest.blobs)
        raise


def _offers() -> str:
    names = ", ".join(str(entry.name) for entry in CATALOG)
    return f"packages of the package index hold {names} (--source index)"
