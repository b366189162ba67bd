"""Giving a model to a registry, in Ollama's protocol. Only ever by an explicit command.

What the registry has already is not sent. Blobs go up in parts, one after the other, each where
the reply to the one before says; a blob whose upload breaks is begun anew, up to six times. The
manifest comes last and byte for byte, so the model has the same digest everywhere.

Source of the protocol: ollama-api.md, section 1.9, and the OCI distribution specification 1.1,
"Pushing a blob in chunks".
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
from yarl import URL

from reshore.errors import SourceError
from reshore.models.blocking import blocking
from reshore.models.layout import Installed
from reshore.models.manifest import MANIFEST_TYPE, SOURCE_KEY, Layer
from reshore.models.names import DEFAULT_HOST, DEFAULT_NAMESPACE, Name, parse_name
from reshore.models.progress import Progress
from reshore.models.sources.connect import redirect_target
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import TryAgain
from reshore.models.sources.registry import registry_url
from reshore.models.sources.web import Web
from reshore.models.spans import in_parts
from reshore.models.store import Store
from reshore.models.verified import open_blob

_PIECE_BYTES = 1 << 20
_FROM = "from:"


async def push(
    store: Store,
    name: str,
    manner: Manner | None = None,
    *,
    insecure: bool = False,
) -> Installed:
    """Give an installed model to the registry that its name says.

    The model may be in a store that is only read. Cancellation ends the transfer; blobs that the
    registry has taken stay there, the manifest is not sent.

    Args:
        manner: how files are sent. Its `on_progress` is called from the event loop, in the words
            of Ollama's `/api/push`.
        insecure: allow plain HTTP.

    Raises:
        UnknownModel: it is not installed.
        BadName: the name is malformed.
        BadModelFile, DigestMismatch: a blob of it is missing or damaged.
        SourceError: the registry cannot be reached or does not take it.
    """
    wanted = parse_name(name)
    if (wanted.host.lower(), wanted.namespace.lower()) == (DEFAULT_HOST, DEFAULT_NAMESPACE):
        raise SourceError(
            f"{wanted} has no namespace of yours to be pushed to; copy it to one first: "
            f"`reshore cp {wanted} HOST/NAMESPACE/{wanted.model}:{wanted.tag}`"
        )
    installed = await blocking(store.get, wanted)
    manner = manner or Manner()
    on_progress = manner.on_progress
    on_progress(Progress(status="retrieving manifest"))
    base = registry_url(wanted, insecure=insecure)
    async with Web(wanted.host, manner.patience) as web:
        pushing = _Pushing(web, base, wanted, manner)
        mount_from = _parent(installed)
        for layer in installed.manifest.blobs.values():
            path = store.blob_of(installed, layer.digest)
            await blocking(store.check_blob, path, layer.digest)
            await pushing.blob(layer, path, mount_from)
        on_progress(Progress(status="pushing manifest"))
        await pushing.manifest(await blocking(store.manifest_bytes, installed))
    on_progress(Progress(status="success"))
    return installed


def _parent(installed: Installed) -> str | None:
    """The repository of the model it was made from, which may hold some of its blobs."""
    source = installed.manifest.annotations.get(SOURCE_KEY, "")
    if not source.startswith(_FROM):
        return None
    parent = parse_name(source.removeprefix(_FROM))
    same_host = parent.host.lower() == installed.name.host.lower()
    return f"{parent.namespace}/{parent.model}" if same_host else None


class _Pushing:
    """One model on its way to one registry."""

    def __init__(self, web: Web, base: URL, name: Name, manner: Manner) -> None:
        self._web = web
        self._base = base
        self._name = name
        self._manner = manner

    async def blob(self, layer: Layer, path: Path, mount_from: str | None) -> None:
        """Send a blob unless the registry has it; tries again from its first byte."""
        failures = 0
        while True:
            self._tell(layer, 0)
            try:
                if not await self._has(layer):
                    await self._upload(layer, path, mount_from)
                self._tell(layer, layer.size)
                return
            except TryAgain as error:
                failures += 1
                if failures > self._manner.patience.retries:
                    raise SourceError(
                        f"{self._name.host} failed {failures} times to take {layer.digest}, at "
                        f"last: {error}. Push again to go on with what is missing."
                    ) from error
                await self._manner.clock.sleep(self._manner.patience.pause_s(failures))

    async def manifest(self, body: bytes) -> None:
        """Send the manifest, which makes the model known."""
        url = self._base / "manifests" / self._name.tag
        try:
            async with self._web.send(
                "PUT", url, {"Content-Type": MANIFEST_TYPE}, lambda: body
            ) as reply:
                await self._accepted(reply, (200, 201, 202))
        except TryAgain as error:
            raise SourceError(f"{self._name.host} did not take the manifest: {error}") from error

    async def _has(self, layer: Layer) -> bool:
        async with self._web.send("HEAD", self._base / "blobs" / layer.digest, {}) as reply:
            if reply.status == 404:
                return False
            if reply.status in (301, 302, 303, 307, 308):  # to where the registry keeps it
                return True
            await self._accepted(reply, (200,))
            return True

    async def _upload(self, layer: Layer, path: Path, mount_from: str | None) -> None:
        start = self._base / "blobs" / "uploads" / ""
        if mount_from is not None:
            start = start.with_query({"mount": layer.digest, "from": mount_from})
        async with self._web.send("POST", start, {"Content-Length": "0"}) as reply:
            if reply.status == 201 and mount_from is not None:
                return
            await self._accepted(reply, (202,))
            place = await self._next(start, reply)
        for first, end in in_parts(((0, layer.size),), self._manner.parts.size_for(layer.size)):
            place = await self._part(place, layer, path, first, end)
        last = place.update_query({"digest": layer.digest})
        async with self._web.send("PUT", last, {"Content-Length": "0"}) as reply:
            await self._accepted(reply, (200, 201, 202, 204))

    async def _part(self, place: URL, layer: Layer, path: Path, first: int, end: int) -> URL:
        """Send one part; where the next one goes."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(end - first),
            "Content-Range": f"{first}-{end - 1}",
        }

        async def body() -> AsyncIterator[bytes]:
            async with contextlib.aclosing(_pieces(path, first, end)) as pieces:
                position = first
                async for piece in pieces:
                    yield piece
                    position += len(piece)
                    self._tell(layer, position)

        async with self._web.send("PATCH", place, headers, body) as reply:
            await self._accepted(reply, (200, 201, 202, 204))
            return await self._next(place, reply)

    async def _next(self, asked: URL, reply: aiohttp.ClientResponse) -> URL:
        """The address that a reply names for what comes next, on the registry's own host alone."""
        location = reply.headers.get("Docker-Upload-Location") or reply.headers.get("Location", "")
        if not location:
            return asked
        target, _ = await redirect_target(asked, location)
        if target.origin() != asked.origin():
            raise SourceError(f"{self._name.host} sends the upload to another host, {target.host}")
        return target

    async def _accepted(self, reply: aiohttp.ClientResponse, statuses: tuple[int, ...]) -> None:
        await self._web.refuse(reply, f"{self._name.host} does not take {self._name} (404)")
        if reply.status not in statuses:
            raise SourceError(f"{self._name.host} answered {reply.status} to a push")

    def _tell(self, layer: Layer, completed: int) -> None:
        self._manner.on_progress(
            Progress(
                status=f"pushing {layer.digest.removeprefix('sha256:')[:12]}",
                digest=layer.digest,
                total=layer.size,
                completed=completed,
            )
        )


async def _pieces(path: Path, first: int, end: int) -> AsyncGenerator[bytes, None]:
    """A range of a blob, read off the event loop."""
    descriptor = open_blob(path)
    try:
        while first < end and (
            piece := await blocking(os.pread, descriptor, min(_PIECE_BYTES, end - first), first)
        ):
            first += len(piece)
            yield piece
    finally:
        os.close(descriptor)
