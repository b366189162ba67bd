"""Ollama's registry protocol: a manifest, and the blobs it names.

The registry is not trusted: what it sends is bounded, and no byte is installed whose sha256 is not
the one in the manifest. Source of the protocol: ollama-api.md, section 1.9.
"""

from __future__ import annotations

import asyncio

from yarl import URL

from reshore.errors import SourceError
from reshore.models.manifest import MANIFEST_LIMIT, MANIFEST_TYPE, Layer
from reshore.models.names import Name
from reshore.models.sources.fetch import fetch_blob, ranges_of
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import TryAgain
from reshore.models.sources.reply import read_at_most
from reshore.models.sources.web import Web
from reshore.models.store import Store

_MANIFEST_S = 60.0


class Registry:
    """One registry host, for one pull.

    Args:
        name: the model; its host and scheme say where the registry is.
        web: connections to that host, open as long as this is used.
        insecure: plain HTTP is allowed, and assumed where the name has no scheme.
    """

    def __init__(self, name: Name, web: Web, manner: Manner, *, insecure: bool = False) -> None:
        self._name = name
        self._base = registry_url(name, insecure=insecure)
        self._manner = manner
        self._web = web

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
                self._web.get(url, {"Accept": MANIFEST_TYPE}) as response,
            ):
                await self._web.refuse(response, self._missing("pull model manifest: "))
                return await read_at_most(response, MANIFEST_LIMIT, what)
        except (TryAgain, TimeoutError) as error:
            raise SourceError(f"{self._name.host} did not give {what}: {error}") from error

    async def blob(self, store: Store, layer: Layer) -> None:
        """Bring a blob into the store; see `fetch_blob`."""
        url = self._base / "blobs" / layer.digest
        open_range = ranges_of(self._web, url, self._missing())
        await fetch_blob(store, layer, open_range, self._name.host, self._manner)

    def _missing(self, leading: str = "") -> str:
        """What to say to a 404; the words in the middle are those that Ollama's clients know."""
        return (
            f"{leading}file does not exist ({self._name.host} has no {self._name}). "
            "Look at the spelling of the name and its tag."
        )


def registry_url(name: Name, *, insecure: bool) -> URL:
    """Where a registry has a model, with a slash at the end.

    Raises:
        SourceError: plain HTTP that is not allowed, or a host that is no address.
    """
    scheme = name.scheme or ("http" if insecure else "https")
    if scheme == "http" and not insecure:
        raise SourceError(f"{name}: insecure protocol http; use https, or allow it with --insecure")
    try:
        return URL(f"{scheme}://{name.host}/v2/{name.namespace}/{name.model}/")
    except ValueError as error:
        raise SourceError(f"{name.host} is no registry address: {error}") from error
