"""Images by http(s) URL, fetched by us so that engines never touch the network.

Off unless `image_urls = true`. A URL is the client's word: it must not make this machine call
services that only it can reach. Every name is resolved once, every address must be public, the
connection goes to the very address that was checked, and each redirect is checked anew.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urljoin

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from reshore.errors import RequestError, Unsupported
from reshore.types import ChatRequest, ImagePart, Message, Part

_LIMIT_BYTES = 20 * 1024 * 1024  # OpenAI's limit for one image
_TIMEOUT_S = 20.0
_REDIRECTS = 3

Allowed = Callable[[str], bool]


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet."""
    ip = ipaddress.ip_address(address)
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_global and not ip.is_multicast


class CheckedResolver(AbstractResolver):
    """Resolves names and gives only addresses that are allowed.

    aiohttp connects to exactly what this returns, so that no second look-up can answer otherwise.
    """

    def __init__(self, allowed: Allowed = is_public) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """As aiohttp's; OSError when no address is allowed."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results = [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, proto, _, address in found
            if self._allowed(str(address[0]))
        ]
        if not results:
            raise OSError(f"{host} is not a public address")
        return results

    async def close(self) -> None:
        """Nothing is held."""


class ImageFetcher:
    """Turns http(s) images of a request into data URLs.

    Args:
        enabled: the configuration's `image_urls`.
        allowed: which addresses may be called.
    """

    def __init__(self, *, enabled: bool, allowed: Allowed = is_public) -> None:
        self._enabled = enabled
        self._allowed = allowed

    async def inline(self, request: ChatRequest) -> ChatRequest:
        """`request` with every image as a data URL; itself when nothing is to be fetched.

        Raises:
            Unsupported: fetching is not enabled.
            RequestError: an image cannot be had, is too large, or is no image.
        """
        if not any(_remote(part) for message in request.messages for part in _parts(message)):
            return request
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=CheckedResolver(self._allowed)),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            trust_env=False,
        ) as session:
            messages = [await self._message(session, message) for message in request.messages]
        return msgspec.structs.replace(request, messages=tuple(messages))

    async def _message(self, session: aiohttp.ClientSession, message: Message) -> Message:
        if not any(_remote(part) for part in _parts(message)):
            return message
        parts = [
            await self._fetch(session, part)
            if isinstance(part, ImagePart) and _remote(part)
            else part
            for part in _parts(message)
        ]
        return msgspec.structs.replace(message, content=tuple(parts))

    async def _fetch(self, session: aiohttp.ClientSession, part: ImagePart) -> ImagePart:
        if not self._enabled:
            raise Unsupported(
                "image URLs are not fetched here; send the image as a data URL, or set "
                "`image_urls = true`",
                param=part.param,
            )
        try:
            kind, data = await self._download(session, part.url)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise RequestError(
                f"the image cannot be fetched: {reason}", param=part.param, code="invalid_image_url"
            ) from error
        text = base64.b64encode(data).decode()
        return msgspec.structs.replace(part, url=f"data:{kind};base64,{text}")

    async def _download(self, session: aiohttp.ClientSession, url: str) -> tuple[str, bytes]:
        for _ in range(_REDIRECTS + 1):
            self._check_url(url)
            async with session.get(url, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = urljoin(url, response.headers.get("Location", ""))
                    continue
                if response.status != 200:
                    raise ValueError(f"its server answered {response.status}")
                if not response.content_type.startswith("image/"):
                    raise ValueError(f"it is {response.content_type}, not an image")
                data = await _read_at_most(response, _LIMIT_BYTES)
                return response.content_type, data
        raise ValueError(f"more than {_REDIRECTS} redirects")

    def _check_url(self, url: str) -> None:
        """Scheme, and addresses written as numbers, which are never resolved."""
        parsed = URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("only http and https are fetched")
        try:
            literal = str(ipaddress.ip_address(parsed.host))
        except ValueError:
            return
        if not self._allowed(literal):
            raise ValueError(f"{parsed.host} is not a public address")


async def _read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise ValueError(f"it is larger than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _parts(message: Message) -> tuple[Part, ...]:
    return message.content if isinstance(message.content, tuple) else ()


def _remote(part: Part) -> bool:
    return isinstance(part, ImagePart) and not part.url.startswith("data:")
