"""Ollama's registry protocol: a manifest, and the blobs it names.

The registry is not trusted: what it sends is bounded, and no byte is installed whose sha256 is not
the one in the manifest. Blobs are fetched in one stream that goes on where it was cut.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
from msgspec import Struct
from yarl import URL

from reshore.clock import Clock
from reshore.errors import DigestMismatch, SourceError
from reshore.models.blocking import blocking
from reshore.models.manifest import MANIFEST_LIMIT, MANIFEST_TYPE, Layer
from reshore.models.names import Name
from reshore.models.partial import Partial
from reshore.models.progress import OnProgress, Progress, pulling
from reshore.models.sources.arrival import sole_writer
from reshore.models.sources.connect import Connector, redirect_target
from reshore.models.sources.reply import pieces, read_at_most
from reshore.models.sources.token import fetch_token
from reshore.models.store import Store

_MANIFEST_S = 60.0
_PROGRESS_EVERY_S = 0.06  # as often as Ollama tells
_EARNED_BYTES = 16 << 20  # arrived in one try, these make up for the tries before
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(?:([0-9]{1,19})|\*)")


class Patience(Struct, frozen=True, kw_only=True):
    """How long a registry is waited for.

    Attributes:
        connect_s: until a connection stands, name resolution included.
        stall_s: without a byte for this long, the connection is given up and opened again.
        retries: how often a blob is tried again; `backoff_s` doubles from try to try.
    """

    connect_s: float = 3.0
    stall_s: float = 30.0
    retries: int = 6
    backoff_s: float = 0.5


class Unreached(SourceError):
    """No connection to the registry's host came about."""


class _Again(Exception):
    """This try failed; the next may succeed."""


class Registry:
    """One registry host, for one pull. An async context manager that owns its connections.

    Args:
        name: the model; its host and scheme say where the registry is.
        insecure: plain HTTP is allowed, and assumed where the name has no scheme.
    """

    def __init__(
        self, name: Name, *, clock: Clock, insecure: bool = False, patience: Patience | None = None
    ) -> None:
        self._patience = patience or Patience()
        scheme = name.scheme or ("http" if insecure else "https")
        if scheme == "http" and not insecure:
            raise SourceError(
                f"{name}: insecure protocol http; use https, or allow it with --insecure"
            )
        self._name = name
        self._insecure = insecure
        self._clock = clock
        try:
            self._base = URL(f"{scheme}://{name.host}/v2/{name.namespace}/{name.model}/")
        except ValueError as error:
            raise SourceError(f"{name.host} is no registry address: {error}") from error
        self._connector = Connector(self._patience.connect_s, self._patience.stall_s)
        self._token: str | None = None

    async def __aenter__(self) -> Self:
        await self._connector.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connector.aclose()

    async def manifest(self) -> bytes:
        """The bytes of the manifest.

        Raises:
            Unreached: the host cannot be reached.
            SourceError: it answered, but with no manifest.
        """
        url = self._base / "manifests" / self._name.tag
        what = f"the manifest of {self._name}"
        try:
            async with (
                asyncio.timeout(_MANIFEST_S),
                self._get(url, {"Accept": MANIFEST_TYPE}) as response,
            ):
                await self._expect(response, (200,))
                return await read_at_most(response, MANIFEST_LIMIT, what)
        except (_Again, TimeoutError) as error:
            raise SourceError(f"{self._name.host} did not give {what}: {error}") from error

    async def blob(self, store: Store, layer: Layer, on_progress: OnProgress) -> None:
        """Bring a blob into the store, going on with what an earlier try left.

        Cancellation keeps what has arrived.

        Raises:
            SourceError: it cannot be had, after all retries.
            DigestMismatch: the registry sends other bytes than it promised; nothing is kept.
            DiskFull: no space is left.
        """
        while not await self._attempt(store, layer, on_progress):
            pass  # at most once: a second attempt starts from the first byte

    async def _attempt(self, store: Store, layer: Layer, on_progress: OnProgress) -> bool:
        """False when the bytes that an earlier try had left turn out to be damaged."""
        writer = sole_writer(store, layer.digest, layer.size, on_progress, self._clock)
        async with writer as partial:
            if partial.done:
                on_progress(pulling(layer.digest, layer.size, layer.size))
                return True
            resumed = partial.length > 0
            await self._fill(partial, layer, on_progress)
            on_progress(Progress(status="verifying sha256 digest", digest=layer.digest))
            try:
                await blocking(store.commit, partial)
            except DigestMismatch:
                if not resumed:
                    raise
                return False
        return True

    async def _fill(self, partial: Partial, layer: Layer, on_progress: OnProgress) -> None:
        failures = 0
        while partial.length != layer.size:
            if partial.length > layer.size:
                await blocking(partial.restart)
            before = partial.length
            try:
                await self._stream(partial, layer, on_progress)
            except (_Again, Unreached) as error:
                if partial.length - before >= _EARNED_BYTES:
                    failures = 0
                failures += 1
                if failures > self._patience.retries:
                    raise SourceError(
                        f"{self._name.host} gave {partial.length} of {layer.size} bytes of "
                        f"{layer.digest} and then failed {failures} times, at last: {error}. "
                        "Pull again to go on from here."
                    ) from error
                await self._clock.sleep(self._patience.backoff_s * 2 ** (failures - 1))

    async def _stream(self, partial: Partial, layer: Layer, on_progress: OnProgress) -> None:
        """One request: appends what arrives until the blob is complete or the stream ends."""
        headers = {"Range": f"bytes={partial.length}-"} if partial.length else {}
        url = self._base / "blobs" / layer.digest
        async with (
            self._get(url, headers) as response,
            aclosing(pieces(response, self._clock)) as arriving,
        ):
            if response.status == 416:
                await blocking(partial.restart)
                raise _Again("it refused to go on from where the transfer was cut")
            await self._expect(response, (200, 206))
            await _line_up(response, partial, layer)
            told = -_PROGRESS_EVERY_S
            async for piece in arriving:
                if partial.length + len(piece) > layer.size:
                    await blocking(partial.discard)
                    raise SourceError(
                        f"{self._name.host} sends more than the {layer.size} bytes that the "
                        f"manifest says {layer.digest} has"
                    )
                await blocking(partial.write, piece)
                now = self._clock.monotonic()
                if now - told >= _PROGRESS_EVERY_S or partial.length == layer.size:
                    told = now
                    on_progress(pulling(layer.digest, layer.size, partial.length))
        if partial.length < layer.size:
            raise _Again(f"the transfer ended after {partial.length} of {layer.size} bytes")

    @asynccontextmanager
    async def _get(
        self, url: URL, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A reply of the registry, after a token was fetched or one redirect followed."""
        try:
            async with self._connector.get(url, headers | self._authorization()) as first:
                challenged = first.status == 401 and self._token is None
                if not challenged and first.status not in _REDIRECTS:
                    yield first
                    return
            if challenged:
                challenge = first.headers.get("WWW-Authenticate", "")
                self._token = await fetch_token(self._connector, url, challenge)
                async with self._get(url, headers) as second:
                    yield second
                return
            async with self._follow(url, first.headers.get("Location", ""), headers) as second:
                yield second
        except aiohttp.ClientHttpProxyError as error:
            raise self._unreached(f"its proxy says {error.status}") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._unreached(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _Again(f"{type(error).__name__}: {error}"[:200]) from error

    @asynccontextmanager
    async def _follow(
        self, url: URL, location: str, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        target, public_only = await redirect_target(url, location)
        if target.origin() == url.origin():
            headers = headers | self._authorization()
        async with self._connector.get(target, headers, public_only=public_only) as response:
            if response.status in _REDIRECTS:
                raise SourceError(f"{self._name.host} redirects more than once")
            yield response

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _unreached(self, reason: str) -> Unreached:
        return Unreached(f"{self._name.host} cannot be reached ({reason[:200]})")

    async def _expect(self, response: aiohttp.ClientResponse, statuses: tuple[int, ...]) -> None:
        if response.status in statuses:
            return
        if response.status == 404:
            raise SourceError(
                f"{self._name.host} has no model {self._name}: file does not exist. "
                "Look at the spelling of the name and its tag."
            )
        if response.status in (401, 403):
            raise SourceError(
                f"{self._name.host} refuses {self._name} ({response.status}); private models "
                "cannot be pulled"
            )
        body = await read_at_most(response, 4096, "an error", cut=True)
        text = ascii(body[:200].decode("utf-8", "replace"))
        if response.status == 429 or response.status >= 500:
            raise _Again(f"{response.status}: {text}")
        raise SourceError(f"{self._name.host} answered {response.status}: {text}")


async def _line_up(response: aiohttp.ClientResponse, partial: Partial, layer: Layer) -> None:
    """Make sure that the body goes on exactly where the partial ends.

    Raises:
        SourceError: the registry serves something of another size.
        _Again: it serves another piece than was asked for.
    """
    start, total = 0, response.content_length
    if response.status == 206:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None:
            raise _Again("it sent a piece without saying which")
        start, total = int(match[1]), int(match[3]) if match[3] else None
    if total is not None and total != layer.size:
        raise SourceError(
            f"{response.url.host} serves {total} bytes for {layer.digest}, but its manifest says "
            f"{layer.size}"
        )
    if start == partial.length:
        return
    await blocking(partial.restart)
    if start != 0:
        raise _Again(f"it sent the piece from byte {start} on, which was not asked for")
