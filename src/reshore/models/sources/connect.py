"""Connections to registries: bounded, without redirects of their own, and never inward.

A registry may send a client elsewhere for the blobs. It must not be able to make this machine ask
the machines around it (CVE-2026-5530): a redirect from a public registry only ever connects to
public addresses, by name or by number.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import urllib.request
from collections.abc import AsyncIterable
from contextlib import AbstractAsyncContextManager

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from reshore import __version__
from reshore.models.sources.patience import BadSource

_BUFFER_BYTES = 1 << 20


class Connector:
    """The HTTP client of one pull.

    Proxies of the environment are used; cookies and `.netrc` are not.

    Args:
        connect_s: until a connection stands, name resolution included.
        stall_s: the longest wait for the next byte.
    """

    def __init__(self, connect_s: float, stall_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=stall_s)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def open(self) -> None:
        """Make the sessions; they belong to the loop that runs."""
        public = aiohttp.TCPConnector(resolver=_PublicResolver())
        self._sessions = {
            False: self._session(aiohttp.TCPConnector()),
            True: self._session(public),
        }

    async def aclose(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()

    def get(
        self, url: URL, headers: dict[str, str], *, public_only: bool = False
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """`request` with the method GET."""
        return self.request("GET", url, headers, public_only=public_only)

    def request(
        self,
        method: str,
        url: URL,
        headers: dict[str, str],
        *,
        data: bytes | AsyncIterable[bytes] | None = None,
        public_only: bool = False,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A request that follows nothing; the body of the reply is never decompressed.

        With `public_only` a private address is as good as unreachable. Behind a proxy it is the
        proxy that decides what a name means.
        """
        proxy = _proxy_for(url)
        session = self._sessions[public_only and proxy is None]
        return session.request(
            method, url, headers=headers, data=data, allow_redirects=False, proxy=proxy
        )

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_BUFFER_BYTES,
            headers={"User-Agent": f"reshore/{__version__}", "Accept-Encoding": "identity"},
        )


async def redirect_target(origin: URL, location: str) -> tuple[URL, bool]:
    """Where a redirect may lead, and whether only public addresses are allowed there.

    Raises:
        SourceError: it leads nowhere, to another protocol, or from a public host to a private one.
    """
    try:
        target = origin.join(URL(location))
    except ValueError as error:
        raise BadSource(f"{origin.host} redirects to a malformed address") from error
    if not location or not target.host or target.scheme not in ("https", origin.scheme):
        raise BadSource(f"{origin.host} redirects to something that is not https")
    if target.user is not None:
        raise BadSource(f"{origin.host} redirects to an address with a user name in it")
    if target.origin() == origin.origin() or await _is_private(origin):
        return target, False
    if _literal(target.host) is not None and not _is_public(target.host):
        raise BadSource(f"{origin.host} redirects to the private address {target.host}")
    return target, True


async def _is_private(url: URL) -> bool:
    """Whether a host is on this machine or in its own network, as far as its name tells."""
    host = url.host or ""
    if _literal(host) is not None:
        return not _is_public(host)
    if _proxy_for(url) is not None:
        return False
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, url.port, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return not any(_is_public(str(address[0])) for *_, address in found)


class _PublicResolver(AbstractResolver):
    """Gives public addresses only. What it gives is what is connected to: no second look-up."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        public = [result for result in found if _is_public(result["host"])]
        if not public:
            raise OSError(f"{host} is at a private address")
        return public

    async def close(self) -> None:
        await self._inner.close()


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_public(address: str) -> bool:
    literal = _literal(address.partition("%")[0])
    if isinstance(literal, ipaddress.IPv6Address) and literal.ipv4_mapped is not None:
        literal = literal.ipv4_mapped
    return literal is not None and literal.is_global and not literal.is_multicast


def _proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for an address."""
    if urllib.request.proxy_bypass(url.host or ""):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(url.scheme) or proxies.get("all")
