"""Images of a request: fetched here where they are URLs, and looked into before an engine is.

Fetching keeps engines off the network, and is off unless `image_urls = true`. A URL is the
client's word: it must not make this machine call services that only it can reach. Every name is
resolved once, every address must be public, the connection goes to the very address that was
checked, and each redirect is checked anew.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import re
import socket
from collections.abc import Callable
from urllib.parse import urljoin

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from reshore.backends.image_files import check_content, read_header
from reshore.errors import RequestError, Unsupported
from reshore.types import ImagePart, Message, Part

_LIMIT_BYTES = 20 * 1024 * 1024  # OpenAI's limit for one image
# An engine holds all images of a request at once, unpacked. Phones take 12 to 50 megapixels; 64
# made an engine 0.4 GB larger for 2 s, of 16 bits a channel 1 GB.
_LIMIT_PIXELS = 64 * 1000 * 1000
# Resizing to a model's format makes lines of these, or nothing; Qwen2-VL's limit.
_LIMIT_ASPECT = 200

# The only spelling that llama.cpp understands.
_DATA_URL = re.compile(r"data:image/[a-z]+;base64,")
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

    async def inline(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """`messages` with every image as a data URL that an engine may be given.

        Cancellation ends a download at once; looking into images goes on in its thread for as
        long as it takes, two seconds at most.

        Raises:
            Unsupported: fetching is not enabled, or llama.cpp does not decode this kind.
            RequestError: an image cannot be had, is too large, or is damaged.
        """
        if not any(isinstance(part, ImagePart) for each in messages for part in _parts(each)):
            return messages
        return await asyncio.to_thread(inspected, await self._fetched(messages))

    async def _fetched(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        if not any(_remote(part) for message in messages for part in _parts(message)):
            return messages
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=CheckedResolver(self._allowed)),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            trust_env=False,
        ) as session:
            return tuple([await self._message(session, message) for message in messages])

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
            # aiohttp's own words for a name that does not resolve do not say why.
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            reason = str(cause) or type(cause).__name__
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


def inspected(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """`messages`, their data URLs as llama.cpp spells them, none of which harms an engine.

    Blocking, milliseconds a megapixel: up to 2 s for the largest PNGs.

    Raises:
        RequestError: an image is damaged, too large, or of a kind that is not decoded here.
    """
    pixels = 0
    checked = []
    for message in messages:
        parts = list(_parts(message))
        for i, part in enumerate(parts):
            if isinstance(part, ImagePart):
                parts[i], size = _inspect(part, _LIMIT_PIXELS - pixels)
                pixels += size
        content = tuple(parts) if parts else message.content
        checked.append(msgspec.structs.replace(message, content=content))
    return tuple(checked)


def _inspect(part: ImagePart, pixels_left: int) -> tuple[ImagePart, int]:
    """The image as an engine gets it, and its pixels."""
    _, _, text = part.url.partition(",")
    try:
        data = binascii.a2b_base64(text)
        header = read_header(data)
        if header.pixels > pixels_left:
            raise RequestError(
                f"Invalid '{part.param}': the images of a request may have "
                f"{_LIMIT_PIXELS // 1_000_000} megapixels together, and this one of "
                f"{header.width} x {header.height} pixels goes over that; send it smaller",
                param=part.param,
                code="image_too_large",
            )
        if max(header.width, header.height) > _LIMIT_ASPECT * min(header.width, header.height):
            raise ValueError(f"one side is more than {_LIMIT_ASPECT} times the other")
        check_content(data, header)
    except ValueError as error:  # binascii.Error is one
        raise RequestError(
            f"Invalid '{part.param}': the image cannot be used: {error}. Send a PNG or JPEG file",
            param=part.param,
            code="image_parse_error",
        ) from error
    if _DATA_URL.match(part.url):
        return part, header.pixels
    url = f"data:image/{header.kind};base64,{text}"
    return msgspec.structs.replace(part, url=url), header.pixels


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
    return isinstance(part, ImagePart) and part.url[:5].lower() != "data:"
