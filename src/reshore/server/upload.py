"""The body of a request that is sent on as it is: looked into as far as that is cheap.

JSON of a usual size is read whole. Of a form its beginning is read, where the SDKs put the model's
name. The rest goes by in pieces as it arrives.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message, Receive

from reshore.backends.answer import HeaderList
from reshore.config import LimitsConfig
from reshore.errors import RequestTimeout, UnsupportedMedia
from reshore.server.body import ClientGone
from reshore.server.exchange import Exchange
from reshore.server.inbound import Body
from reshore.wire.openai.envelope import Envelope, read_envelope

# Forms of OpenAI's SDKs have their fields before their files.
_FORM_BYTES = 64 * 1024
_FORM = b"multipart/form-data"
_JSON = b"application/json"
_UNASKED = (b"text/plain", b"application/x-www-form-urlencoded")
# A part whose name is `model`, its further headers, and its value.
_MODEL = re.compile(
    rb'content-disposition:[^\r\n]*;[ ]*name="?model"?[ ]*(?:;[^\r\n]*)?\r\n'
    rb"(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,256})\r\n",
    re.IGNORECASE,
)


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
            if ahead:
                yield ahead
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
        """What is in it; nothing, where it is no JSON or too long."""
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
        RequestError: it claims to be JSON and is none.
        RequestTimeout: that part did not arrive in time.
        UnsupportedMedia: it is compressed.
        ClientGone: the connection ended first.
    """
    kind, length = _described(exchange.headers)
    whole = kind == _JSON and length <= limits.body_bytes
    limit = limits.body_bytes if whole else _FORM_BYTES if kind == _FORM else 0
    try:
        async with asyncio.timeout(max(limits.header_timeout_s, 0) or None):
            ahead, rest = await _read_ahead(exchange.receive, limit, is_form=kind == _FORM)
    except TimeoutError:
        raise RequestTimeout(
            f"the request body did not arrive within {limits.header_timeout_s:g} s"
        ) from None
    common = (exchange.headers, exchange.receive, ahead, rest)
    if kind == _FORM and (found := _MODEL.search(ahead)):
        name = found[1].decode("utf-8", "replace").strip()
        return Upload(*common, model=name, place=found.span(1))
    if kind == _JSON and rest is None and ahead:
        envelope = read_envelope(ahead, limits, needs_model=False)
        return Upload(*common, model=envelope.model, body=Body(ahead, limits), envelope=envelope)
    return Upload(*common)


async def _read_ahead(receive: Receive, limit: int, *, is_form: bool) -> tuple[bytes, Rest | None]:
    ahead = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        ahead += message.get("body", b"")
        if not message.get("more_body"):
            return ahead, None
        if len(ahead) >= limit or (is_form and _MODEL.search(ahead)):
            return ahead, Rest(receive)


def _described(headers: HeaderList) -> tuple[bytes, int]:
    """The content type without parameters, and the length, 0 where it is not said.

    Raises:
        UnsupportedMedia: the body is compressed, so that it could not be looked into; or a web page
            sends it as text.
    """
    kind, length, origin = b"", 0, False
    for name, value in headers:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
        elif name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise UnsupportedMedia("compressed request bodies are not accepted; send it plain")
        elif name == b"origin":
            origin = True
    # These a page may post across sites without asking, with JSON in them.
    if origin and kind in _UNASKED:
        raise UnsupportedMedia("a web page must send Content-Type: application/json, or a form")
    return kind, length


def _lengthened(headers: HeaderList, by: int) -> HeaderList:
    if not by:
        return headers
    return [
        (name, str(int(value) + by).encode())
        if name == b"content-length" and value.isdigit()
        else (name, value)
        for name, value in headers
    ]
