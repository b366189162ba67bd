"""One upstream as it is configured, and the border where aiohttp's exceptions end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn

import aiohttp
from yarl import URL

from reshore.backends.answer import HeaderList
from reshore.backends.remote.headers import RequestHeaders
from reshore.backends.remote.keys import AllResting, Key, KeyRing
from reshore.backends.remote.refusals import refusal
from reshore.backends.remote.session import Door
from reshore.clock import Clock
from reshore.config import Timeouts
from reshore.errors import (
    BackendError,
    BackendTimeout,
    BadReply,
    Disconnected,
    Overloaded,
    Unreachable,
    UpstreamStatus,
)
from reshore.wire.openai.encode import encode_error

# An error that is longer is cut; nobody reads on.
_FAULT_BYTES = 256 * 1024


class Peer:
    """What asking one upstream needs. Belongs to the event loop's thread.

    Args:
        base_url: to which `/chat/completions` is added.
        max_connections: at a time; 0: no limit.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        door: Door,
        headers: RequestHeaders,
        keys: KeyRing,
        timeouts: Timeouts,
        clock: Clock,
        max_connections: int = 0,
    ) -> None:
        self.name = name
        self.door = door
        self.headers = headers
        self.keys = keys
        self.timeouts = timeouts
        self.clock = clock
        self._base_url = base_url
        self._max_connections = max_connections
        self._slots = asyncio.Semaphore(max_connections) if max_connections else None
        self._urls: dict[str, URL] = {}

    def url(self, path: str) -> URL:
        """Where a path of OpenAI's API (`/v1/chat/completions`) is at this upstream."""
        known = self._urls.get(path)
        if known is None:
            known = URL(self._base_url + path.removeprefix("/v1"), encoded=True)
            if "?" not in path and len(self._urls) < 64:
                self._urls[path] = known
        return known

    def pick_key(self, model: str, first: int) -> Key | None:
        """A key that may be used now.

        Raises:
            UpstreamStatus: 429; all are limited, and the upstream has said for how long.
        """
        try:
            return self.keys.pick(model, first)
        except AllResting as error:
            message = (
                f"{self.name} limits the rate of every key that is configured for it; send the "
                f"request again in {error.seconds:.1f} s, or add a key"
            )
            raise UpstreamStatus(
                message,
                backend=self.name,
                status=429,
                retryable=True,
                code="rate_limit_exceeded",
                body=encode_error(message, "rate_limit_error", None, "rate_limit_exceeded"),
                retry_after_s=error.seconds,
            ) from None

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One of the connections that are allowed at a time.

        Raises:
            Overloaded: none became free in the time that connecting has.
        """
        if self._slots is None:
            yield
            return
        try:
            async with asyncio.timeout(self.timeouts.connect_s or None):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded(
                f"all {self._max_connections} connections to {self.name} are in use; raise "
                f"`upstreams.{self.name}.max_connections` or send the request again",
                retry_after_s=1.0,
            ) from None
        try:
            yield
        finally:
            self._slots.release()

    async def read(self, response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
        """A whole body. Raises BadReply for one of more than `limit_bytes`."""
        left = limit_bytes - (response.content_length or 0)
        pieces: list[bytes] = []
        if left >= 0:
            left = limit_bytes
            while left >= 0 and (data := await response.content.readany()):
                left -= len(data)
                pieces.append(data)
        if left < 0:
            pieces.clear()  # the traceback would hold them until the garbage collector comes by
            raise BadReply(
                f"{self.name} answered with more than {limit_bytes} bytes", backend=self.name
            )
        return b"".join(pieces)

    async def refuse(
        self, response: aiohttp.ClientResponse, key: Key | None, model: str
    ) -> NoReturn:
        """Raise what a reply that is no success means, and have its key rest."""
        raise await self.refusal(response, key, model)

    async def refusal(
        self, response: aiohttp.ClientResponse, key: Key | None, model: str
    ) -> BackendError:
        """What a reply that is no success means; its key rests, if it is about that."""
        body = await self._read_fault(response)
        error = refusal(
            self.name, response.status, response.headers, body, wall_s=self.clock.wall()
        )
        if isinstance(error, UpstreamStatus):
            self._rest(error, key, model)
        return error

    async def _read_fault(self, response: aiohttp.ClientResponse) -> bytes:
        """The beginning of an error's body, without our keys."""
        pieces = bytearray()
        while len(pieces) < _FAULT_BYTES and (data := await response.content.readany()):
            pieces += data
        return self.keys.redact(bytes(pieces[:_FAULT_BYTES]))

    def without_keys(self, headers: HeaderList) -> HeaderList:
        """Headers of a reply, some of which may repeat what was sent."""
        return [(name, self.keys.redact(value)) for name, value in headers]

    def _rest(self, error: UpstreamStatus, key: Key | None, model: str) -> None:
        if error.status == 429:
            self.keys.limited(key, model, error.retry_after_s)
        elif error.status == 401:
            self.keys.refused(key)
            error.retryable = len(self.keys) > 1

    @contextmanager
    def translated(self, late: str) -> Iterator[None]:
        """Foreign exceptions as ours; `late` says what did not come in time."""
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.explain(error, late) from error

    def explain(self, error: BaseException, late: str) -> BackendError:
        """What broke, in our words."""
        name = self.name
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return BackendTimeout(
                f"no connection to {name} within {self.timeouts.connect_s:g} s",
                backend=name,
                retryable=True,
            )
        if isinstance(error, aiohttp.ClientConnectorError):
            lasting = isinstance(error, aiohttp.ClientSSLError)  # no retry mends a certificate
            return Unreachable(
                f"cannot connect to {name} at {self._base_url}: {_reason(error)}",
                backend=name,
                retryable=not lasting,
            )
        if isinstance(error, TimeoutError):
            return BackendTimeout(f"{name} {late}", backend=name)
        if isinstance(error, aiohttp.ClientResponseError):
            return BadReply(
                f"what {name} answered is no HTTP; see whether its url is right", backend=name
            )
        if isinstance(error, aiohttp.ClientPayloadError):
            return Disconnected(
                f"{name} broke the connection in the middle of its answer",
                backend=name,
                retryable=True,
            )
        return Disconnected(
            f"{name} broke the connection ({_reason(error)})", backend=name, retryable=True
        )


def _reason(error: BaseException) -> str:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ConnectionError) and cause.errno:
        return os.strerror(cause.errno)  # asyncio's own words have the address once more
    return getattr(cause, "strerror", None) or str(cause)[:200] or type(cause).__name__


def content_type(headers: Mapping[str, str]) -> str:
    """Without parameters, in lower case; "" without one."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
