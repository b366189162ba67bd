"""A GGUF file at a plain address: `https://example.org/models/some.gguf`.

Nobody says beforehand what its sha256 is, so it is kept under the digest that it turns out to have.
A transfer can be resumed as long as the server calls the file by the same `ETag` or date.
"""

from __future__ import annotations

import hashlib
import re

from yarl import URL

from reshore.errors import BadName, SourceError
from reshore.models.blocking import blocking
from reshore.models.manifest import BLOB_LIMIT, MODEL_TYPE, Layer
from reshore.models.names import Name, parse_name
from reshore.models.progress import Progress
from reshore.models.sources.arrival import sole_writer
from reshore.models.sources.fetch import ranges_of
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import TryAgain
from reshore.models.sources.transfer import Transfer
from reshore.models.sources.web import Web
from reshore.models.store import Store

_REDIRECTS = 3
_NO_PART_OF_A_NAME = re.compile(r"[^a-z0-9_.-]+")


def is_address(text: str) -> bool:
    """Whether somebody wrote the address of a GGUF file, not a model's name."""
    path = text.partition("?")[0].partition("#")[0].lower()
    return path.startswith(("http://", "https://")) and path.endswith(".gguf")


def name_of(address: str) -> Name:
    """What to call the model of a file's address: the file's name in small letters.

    Raises:
        BadName: nothing of it can stand in a name.
    """
    stem = URL(address).name.lower().removesuffix(".gguf")
    return parse_name(_NO_PART_OF_A_NAME.sub("-", stem).strip("-.")[:80])


async def fetch_file(
    store: Store, address: str, manner: Manner, *, insecure: bool
) -> tuple[Layer, str]:
    """Bring the file into the store.

    Cancellation keeps what has arrived, if the server names the file's version.

    Returns:
        The layer, and the address without what may be secret in it.

    Raises:
        SourceError: it cannot be had.
        DiskFull: no space is left.
    """
    url = _checked(address, insecure)
    host, source = url.host or "", f"url:{url.with_query(None)}"
    async with Web(host, manner.patience, redirects=_REDIRECTS) as web:
        size, version = await _look(web, url)
        # The digest that stands in for the unknown one: another version is another partial.
        key = f"sha256:{_hash(f'{url} {version} {size}')}"
        await blocking(store.blobs.check_space_for, [Layer(MODEL_TYPE, key, size)])
        async with sole_writer(store, key, size, manner.on_progress, manner.clock) as partial:
            if not version:
                await blocking(partial.restart)
            elif (digest := await blocking(store.blobs.named, key)) is not None:
                partial.discard()  # somebody else has just fetched it, or it was here
                return Layer(MODEL_TYPE, digest, size), source
            await Transfer(
                ranges_of(web, url, _missing(url), version=version),
                partial,
                what=url.name,
                host=host,
                size=size,
                manner=manner,
            ).run()
            manner.on_progress(Progress(status="verifying sha256 digest"))
            digest = await blocking(store.blobs.commit_unnamed, partial)
    return Layer(MODEL_TYPE, digest, size), source


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _checked(address: str, insecure: bool) -> URL:
    try:
        url = URL(address).with_fragment(None)
    except ValueError as error:
        raise BadName(f"{address[:100]!r} is no address") from error
    if url.scheme == "http" and not insecure:
        raise SourceError(f"{url.host}: insecure protocol http; use https, or --insecure")
    if url.user is not None:
        raise SourceError(f"{url.host}: an address with a user name in it is not used")
    return url


async def _look(web: Web, url: URL) -> tuple[int, str]:
    """How large the file is, and which version of it (a strong ETag or a date), "" if unknown."""
    try:
        async with web.get(url, {"Range": "bytes=0-0"}) as response:
            await web.refuse(response, _missing(url))
            total = response.content_length
            if response.status == 206:
                told = response.headers.get("Content-Range", "").rpartition("/")[2]
                total = int(told) if told.isdigit() else None
            version = response.headers.get("ETag", "")
            if not version or version.startswith("W/"):
                version = response.headers.get("Last-Modified", "")
    except TryAgain as error:
        raise SourceError(f"{url.host} did not give {url.path}: {error}") from error
    if not total or total > BLOB_LIMIT:
        raise SourceError(f"{url.host} does not tell how large {url.path} is")
    return total, version


def _missing(url: URL) -> str:
    return f"file does not exist: {url.host} has no {url.path}"
