"""The body of a request that is sent on as it is: looked into as far as its model's name.

JSON is read whole, a form until its model is found. The rest goes by in pieces as it arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Receive

from reshore.backends.answer import HeaderList
from reshore.config import LimitsConfig
from reshore.errors import BodyTooLarge, RequestError, RequestTimeout, UnsupportedMedia
from reshore.server.body import ClientGone
from reshore.server.exchange import Exchange
from reshore.server.form import ModelField
from reshore.server.inbound import Body
from reshore.wire.openai.envelope import Envelope, read_envelope

# Pieces in which what was held goes on, and in which a form may take its time.
_PIECE_BYTES = 64 * 1024
# Where OpenAI's forms carry files of any size and no model: only their beginning is looked into.
_NAMELESS = ("/v1/containers", "/v1/files", "/v1/skills", "/v1/uploads")
_FORM = b"multipart/form-data"
_JSON = b"application/json"
_UNASKED = (b"text/plain", b"application/x-www-form-urlencoded")


class Rest:
    """What of a body has not arrived yet. Belongs to the task that reads it.

    Attributes:
        ended: nobody reads it any more.
    """

    def __init__(self, receive: Receive) -> None:
        self.ended = asyncio.Event()
        self._receive = receive

    async def after(self, ahead: bytes) -> AsyncGenerator[bytes, None]:
        """The whole body, of which `ahead` was read. Raises ClientGone."""
        try:
            for at in range(0, len(ahead), _PIECE_BYTES):
                yield ahead[at : at + _PIECE_BYTES]
            more = True
            while more:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                if piece := message.get("body", b""):
                    yield piece
                more = message.get("more_body", False)
        finally:
            self.ended.set()


@dataclass(frozen=True)
class Upload:
    """A body under way. Belongs to the task of its request.

    Attributes:
        model: the name in it, "" where it names none or none was found.
        body: all of it, if it is JSON.
        ahead: what of it was read.
        rest: None where that was all.
    """

    headers: HeaderList
    receive: Receive
    ahead: bytes
    rest: Rest | None
    model: str = ""
    body: Body | None = None
    envelope: Envelope | None = None
    place: tuple[int, int] = field(default=(0, 0))

    @property
    def seen(self) -> bool:
        """Whether nothing can be in it that was not looked at."""
        return self.body is not None or (self.rest is None and not self.ahead)

    def parsed(self) -> dict[str, Any]:
        """What is in it; nothing, where it is no JSON."""
        return self.body.parsed() if self.body is not None else {}

    def named(self, model: str) -> tuple[HeaderList, bytes | AsyncIterator[bytes] | None]:
        """Headers and body for an upstream that knows the model as `model`."""
        ahead = self.ahead
        if self.model and model != self.model:
            ahead = self._renamed(model)
        if self.rest is not None:
            return _lengthened(self.headers, len(ahead) - len(self.ahead)), self.rest.after(ahead)
        # The length is that of what is sent, and known to whoever sends it.
        return [header for header in self.headers if header[0] != b"content-length"], ahead or None

    async def hang_up(self) -> Message:
        """What the client does once its body is there: it can only hang up."""
        if self.rest is not None:
            await self.rest.ended.wait()
        return await self.receive()

    def _renamed(self, model: str) -> bytes:
        if self.envelope is not None:
            return self.envelope.with_model(model)
        start, end = self.place
        return self.ahead[:start] + model.encode() + self.ahead[end:]


async def open_upload(exchange: Exchange, limits: LimitsConfig) -> Upload:
    """Read as much of the body as is looked into.

    Raises:
        RequestError: it claims to be JSON or a form and is none.
        BodyTooLarge: JSON over the limit, or a form of which so much names no model.
        RequestTimeout: that part did not arrive in time.
        UnsupportedMedia: it is compressed.
        ClientGone: the connection ended first.
    """
    described = _described(exchange.headers)
    kind = _kind(described)
    if kind == _JSON:
        return _read_json(exchange, await exchange.body(limits), limits)
    ahead = _Ahead(exchange.receive, limits)
    if kind == _FORM:
        return await _read_form(exchange, ahead, ModelField(described), limits.form_bytes)
    await ahead.read()
    return Upload(exchange.headers, exchange.receive, bytes(ahead.data), ahead.rest())


def _read_json(exchange: Exchange, raw: bytes, limits: LimitsConfig) -> Upload:
    common = (exchange.headers, exchange.receive, raw, None)
    if not raw:
        return Upload(*common)
    envelope = read_envelope(raw, limits, needs_model=False)
    return Upload(*common, model=envelope.model, body=Body(raw, limits), envelope=envelope)


async def _read_form(exchange: Exchange, ahead: _Ahead, field: ModelField, most: int) -> Upload:
    """Read on until the model is there: SDKs send it before the file, or behind it."""
    place, data, nameless = None, ahead.data, _is_nameless(exchange.scope["path"])
    while place is None and ahead.more and not field.ended:
        if nameless and len(data) >= _PIECE_BYTES:
            break
        await ahead.read()
        place = field.find(data)
        if not nameless and (len(data) if place is None else place[1]) > most:
            raise BodyTooLarge(
                f"the form names no model in its first {most} bytes, so it cannot be routed; send "
                "`model` before the file, or raise `limits.form_bytes`",
                param="model",
            )
    common = (exchange.headers, exchange.receive, bytes(data), ahead.rest())
    if place is None:
        if data and not (ahead.more or field.ended):
            raise RequestError("the form breaks off before the last boundary; send all of it")
        return Upload(*common)
    name = data[slice(*place)].decode("utf-8", "replace").strip()
    return Upload(*common, model=name, place=place)


def _is_nameless(path: str) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in _NAMELESS)


class _Ahead:
    """The beginning of a body, as far as it was read. Belongs to its request's task.

    Attributes:
        more: there is more of it to come.
    """

    def __init__(self, receive: Receive, limits: LimitsConfig) -> None:
        self.data = bytearray()
        self.more = True
        self._receive = receive
        self._limit_s = max(limits.header_timeout_s, 0)
        self._timely_bytes = 0
        self._until_s: float | None = None

    async def read(self) -> None:
        """One more message. Raises RequestTimeout and ClientGone."""
        if self._limit_s and len(self.data) >= self._timely_bytes:
            # As a whole, a file may take longer than that.
            self._timely_bytes = len(self.data) + _PIECE_BYTES
            self._until_s = asyncio.get_running_loop().time() + self._limit_s
        try:
            async with asyncio.timeout_at(self._until_s):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(
                f"the request body did not arrive within {self._limit_s:g} s"
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.data += message.get("body", b"")
        self.more = message.get("more_body", False)

    def rest(self) -> Rest | None:
        """What was not read."""
        return Rest(self._receive) if self.more else None


def _described(headers: HeaderList) -> bytes:
    """The content type, with its parameters.

    Raises:
        UnsupportedMedia: the body is compressed, so that it could not be looked into; or a web page
            sends it as text.
    """
    described, origin = b"", False
    for name, value in headers:
        if name == b"content-type":
            described = value
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise UnsupportedMedia("compressed request bodies are not accepted; send it plain")
        elif name == b"origin":
            origin = True
    # These a page may post across sites without asking, with JSON in them.
    if origin and _kind(described) in _UNASKED:
        raise UnsupportedMedia("a web page must send Content-Type: application/json, or a form")
    return described


def _kind(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()


def _lengthened(headers: HeaderList, by: int) -> HeaderList:
    if not by:
        return headers
    return [
        (name, str(int(value) + by).encode())
        if name == b"content-length" and value.isdigit()
        else (name, value)
        for name, value in headers
    ]
