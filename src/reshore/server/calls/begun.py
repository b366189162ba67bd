"""What must be known of a stream that may break off, so that another one can go on from it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from msgspec import Struct

from reshore.errors import Unsupported
from reshore.wire.openai.encode import Head

# `null` and `[]` are no calls. Inside a text the quotes are escaped.
_CALLS = re.compile(rb'"(?:tool_calls|function_call)"\s*:\s*(?:\[\s*)?\{')
_DATA = re.compile(rb"^data:[ ]?(\{.*?)\r?$", re.MULTILINE)


class _Event(Struct):
    id: str = ""
    created: int = 0
    model: str = ""
    system_fingerprint: str | None = None


_events = msgspec.json.Decoder(_Event)


class Begun:
    """A stream of OpenAI's dialect that was given to the client, or a part of it.

    Attributes:
        head: what its pieces repeat; None before the first of them.
        calls: pieces of tool calls are among them.
    """

    def __init__(self, head: Head | None = None) -> None:
        self.head = head
        self.calls = False

    def continued(self) -> Head:
        """For the pieces that follow.

        Raises:
            Unsupported: nothing can follow coherently.
        """
        if self.head is None or self.calls:
            raise Unsupported(
                "A stream that broke off amid tool calls cannot be gone on with by another model; "
                "send the request again."
            )
        return self.head

    async def noting(self, frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """`frames`, read on their way."""
        async for frame in frames:
            if self.head is None and (event := _DATA.search(frame)):
                self.head = _head(event[1])
            self.calls = self.calls or _CALLS.search(frame) is not None
            yield frame


def _head(payload: bytes) -> Head | None:
    try:
        event = _events.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return Head(
        id=event.id,
        created=event.created,
        model=event.model,
        fingerprint=event.system_fingerprint or "",
    )
