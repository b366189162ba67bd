"""Requests to one host: its tokens, the redirects away from it, and its errors in our words."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from reshore.errors import SourceError
from reshore.models.sources.connect import Connector, redirect_target
from reshore.models.sources.patience import BadSource, Patience, TryAgain, Unreached
from reshore.models.sources.reply import read_at_most
from reshore.models.sources.token import fetch_token

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOT_TLS = "WRONG_VERSION_NUMBER"  # what OpenSSL makes of a plain answer

Body = Callable[[], bytes | AsyncIterable[bytes]]
"""Makes the body of a request, anew for every time that it is sent."""


class Web:
    """The HTTP client for one host. An async context manager that owns its connections.

    Args:
        host: what messages call it.
        token: a bearer token for the host, which goes to no other; None asks the host for one
            when it wants one.
        redirects: how many are followed, one after the other.
    """

    def __init__(
        self, host: str, patience: Patience, *, token: str | None = None, redirects: int = 1
    ) -> None:
        self._host = host
        self._connector = Connector(patience.connect_s, patience.stall_s)
        self._token = token
        self._redirects = redirects

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

    @asynccontextmanager
    async def get(self, url: URL, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """A reply to GET, after a token was fetched or redirects were followed.

        Raises:
            Unreached: no connection came about.
            TryAgain: the connection broke, also while the body is read.
            SourceError: a redirect or a token leads where it must not.
        """
        async with self._translated(), self._authorized("GET", url, headers) as first:
            if first.status not in _REDIRECTS:
                yield first
                return
            origin, location = url, first.headers.get("Location", "")
        async with (
            self._translated(),
            self._follow(origin, location, headers, self._redirects) as reply,
        ):
            yield reply

    @asynccontextmanager
    async def send(
        self, method: str, url: URL, headers: dict[str, str], body: Body | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A reply to another method; redirects are given back as they are.

        Raises:
            Unreached, TryAgain, SourceError: as `get`.
        """
        async with self._translated(), self._authorized(method, url, headers, body) as reply:
            yield reply

    async def refuse(self, response: aiohttp.ClientResponse, missing: str) -> None:
        """Raise what a status of 400 or more means; `missing` is what to say to a 404.

        Raises:
            TryAgain: the status may pass (429 and 500 and up).
            SourceError: it will not.
        """
        if response.status < 400:
            return
        if response.status == 404:
            raise BadSource(missing)
        if response.status in (401, 403):
            raise SourceError(
                f"{self._host} refuses {response.url.path} ({response.status}); private models "
                "cannot be pulled, and pushing needs a registry that takes anonymous tokens"
            )
        body = await read_at_most(response, 4096, "an error", cut=True)
        text = ascii(body[:200].decode("utf-8", "replace"))
        if response.status == 429 or response.status >= 500:
            raise TryAgain(f"{response.status}: {text}")
        raise SourceError(f"{self._host} answered {response.status}: {text}")

    @asynccontextmanager
    async def _authorized(
        self, method: str, url: URL, headers: dict[str, str], body: Body | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A reply after the host's wish for a token, or for a newer one, was met once."""
        async with self._request(method, url, headers, body) as first:
            if first.status != 401 or "WWW-Authenticate" not in first.headers:
                yield first
                return
            challenge = first.headers["WWW-Authenticate"]
        self._token = await fetch_token(self._connector, url, challenge)
        async with self._request(method, url, headers, body) as second:
            yield second

    @asynccontextmanager
    async def _request(
        self, method: str, url: URL, headers: dict[str, str], body: Body | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        authorized = headers | self._authorization()
        data = None if body is None else body()
        async with self._connector.request(method, url, authorized, data=data) as reply:
            yield reply

    @asynccontextmanager
    async def _follow(
        self, url: URL, location: str, headers: dict[str, str], left: int, *, away: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Follow up to `left` redirects; `away`: they have led to a public address already."""
        target, public_only = await redirect_target(url, location)
        away = away or public_only
        if target.origin() == url.origin() and not away:
            sent = headers | self._authorization()
        else:
            sent = headers
        async with self._connector.request("GET", target, sent, public_only=away) as reply:
            if reply.status not in _REDIRECTS:
                yield reply
                return
            further = reply.headers.get("Location", "")
        if left <= 1:
            raise BadSource(f"{self._host} redirects more than {_times(self._redirects)}")
        async with self._follow(target, further, headers, left - 1, away=away) as reply:
            yield reply

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except aiohttp.ClientHttpProxyError as error:
            raise self._unreached(f"its proxy says {error.status}") from error
        except aiohttp.ClientConnectorSSLError as error:
            if getattr(error.os_error, "reason", None) != _NOT_TLS:
                raise self._unreached(str(error)) from error
            raise self._unreached("it speaks no TLS; --insecure allows that") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._unreached(str(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise TryAgain(f"{type(error).__name__}: {error}"[:200]) from error

    def _unreached(self, reason: str) -> Unreached:
        return Unreached(f"{self._host} cannot be reached ({reason[:200]})")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
