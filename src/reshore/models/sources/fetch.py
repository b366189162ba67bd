"""A blob whose digest is known, from wherever it can be had, into the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from reshore.errors import DigestMismatch, DiskFull, UnfitSource
from reshore.models.blocking import blocking
from reshore.models.manifest import Layer
from reshore.models.progress import Progress, pulling
from reshore.models.sources.arrival import sole_writer
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import BadSource, WrongSize
from reshore.models.sources.transfer import Open, Transfer
from reshore.models.sources.web import Web
from reshore.models.store import Store


def ranges_of(web: Web, url: URL, missing: str, *, version: str = "") -> Open:
    """How a `Transfer` asks for ranges of the file at `url`.

    Args:
        missing: what to say if there is no such file.
        version: as the server calls it (RFC 9110, If-Range): a file that has changed since comes
            whole, and not as a piece of another one.
    """

    @asynccontextmanager
    async def open_range(headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        condition = {"If-Range": version} if version and headers else {}
        async with web.get(url, headers | condition) as response:
            if response.status != 416:
                await web.refuse(response, missing)
            yield response

    return open_range


@asynccontextmanager
async def whole_or_not(store: Store, layers: Iterable[Layer]) -> AsyncIterator[None]:
    """Make room for the files of one model; none of those fetched within stays without the rest.

    That holds when a source sends what it should not, when the model turns out to be none for
    llama.cpp, and when the disk is full. A transfer that was only cut, or cancelled, keeps the
    files that are complete: the next one goes on from there.

    Raises:
        DiskFull: what is missing cannot fit.
    """
    missing = [layer for layer in layers if not await blocking(store.blobs.keeps, layer.digest)]
    await blocking(store.blobs.check_space_for, missing)
    try:
        yield
    except (DigestMismatch, WrongSize, BadSource, DiskFull, UnfitSource):
        await blocking(store.drop_blobs, {layer.digest for layer in missing})
        raise


async def fetch_blob(
    store: Store, layer: Layer, open_range: Open, host: str, manner: Manner
) -> None:
    """Bring a blob into the store, going on with what an earlier try left.

    Cancellation keeps what has arrived. Of two fetches of one blob the second waits for the first.

    Args:
        open_range: asks for the file; see `Transfer`.
        host: who sends it, for messages.

    Raises:
        SourceError: it cannot be had, after all retries.
        DigestMismatch: other bytes come than were promised; nothing is kept.
        DiskFull: no space is left.
    """
    while not await _attempt(store, layer, open_range, host, manner):
        pass  # at most once: a second attempt starts from the first byte


async def _attempt(store: Store, layer: Layer, open_range: Open, host: str, manner: Manner) -> bool:
    """False when the bytes that an earlier try had left turn out to be damaged."""
    tell = manner.on_progress
    async with sole_writer(store, layer.digest, layer.size, tell, manner.clock) as partial:
        if partial.done:
            tell(pulling(layer.digest, layer.size, layer.size))
            return True
        resumed = partial.length > 0
        await Transfer(
            open_range,
            partial,
            what=layer.digest,
            host=host,
            size=layer.size,
            manner=manner,
        ).run()
        tell(Progress(status="verifying sha256 digest", digest=layer.digest))
        try:
            await blocking(store.blobs.commit, partial)
        except DigestMismatch:
            if not resumed:
                raise
            return False
    return True
