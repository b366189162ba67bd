"""A stream of events that is passed on as bytes, with an eye on the few that matter. Pure.

Most pieces go by without being parsed: one search finds out whether a piece holds token counts, a
finish reason, an error or the end. An event of which only a part has arrived is held back until the
rest is there, so that a stream that breaks off has never shown half an event: what follows it,
another side's answer or an error event, stays readable.
"""

from __future__ import annotations

import re

import msgspec

from reshore.backends.answer import Measured
from reshore.errors import BadReply
from reshore.wire.openai.faults import Fault
from reshore.wire.openai.glance import Glance, glance

# Inside a text the quotes are escaped, so that a match is a field. `null` is no match: OpenAI
# writes it into every event but the one that counts.
_MATTERS = re.compile(rb'"(?:usage|finish_reason|error)"\s*:\s*[{"]|\[DONE\]')
_STARTS = (b"data:", b"event:", b":", b"id:", b"retry:", b"\n", b"\r")
_EVENT = re.compile(rb".+?\r?\n(?:\r?\n)+", re.DOTALL)
_DATA = re.compile(rb"^data:[ ]?(.*?)\r?$", re.MULTILINE)
_END = b"[DONE]"
_EVENT_LIMIT_BYTES = 16 * 1024 * 1024


class Passing:
    """Belongs to the task that reads the stream.

    Args:
        backend: who sends the stream, for messages.
        measured: filled with what is learned.
        hide_usage: an event that holds nothing but token counts is not for the client.

    Attributes:
        begun: an event has been there; comments do not count.
        done: the end has been there.
        fault: the error event that ended it, with its payload; what came before it was given.
    """

    __slots__ = (
        "_backend",
        "_held",
        "_held_bytes",
        "_hide_usage",
        "_measured",
        "begun",
        "done",
        "fault",
    )

    def __init__(self, backend: str, measured: Measured, *, hide_usage: bool = False) -> None:
        self._backend = backend
        self._measured = measured
        self._hide_usage = hide_usage
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.begun = False
        self.done = False
        self.fault: tuple[Fault, bytes] | None = None

    def feed(self, data: bytes) -> bytes:
        """What of `data`, and of what was held back, is for the client now.

        Raises:
            BadReply: it is no stream of events, or one event is longer than 16 MiB.
        """
        if self._held or not data.endswith(b"\n\n"):
            data = self._whole_events(data)
            if not data:
                return b""
        if not data.startswith(_STARTS):
            raise self._bad("is no stream of events")
        if self.begun and self._measured.text is None and _MATTERS.search(data) is None:
            return data
        return self._look(data)

    def _whole_events(self, data: bytes) -> bytes:
        """Up to the last end of an event; the rest is held back."""
        self._held_bytes += len(data)
        if self._held_bytes > _EVENT_LIMIT_BYTES:
            raise self._bad(f"has an event of more than {_EVENT_LIMIT_BYTES} bytes")
        self._held.append(data)
        if b"\n" not in data:
            return b""
        data = b"".join(self._held)
        end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\n\r\n") + 4)
        whole, rest = (data[:end], data[end:]) if end >= 4 else (b"", data)
        self._held = [rest] if rest else []
        self._held_bytes = len(rest)
        return whole

    def _look(self, data: bytes) -> bytes:
        """Read each event of `data`."""
        given: list[bytes] = []
        for event in _EVENT.findall(data):
            payload = b"\n".join(_DATA.findall(event))
            if payload == _END:
                self.done = self.begun = True
            elif payload and not self._is_for_client(self._read(payload), payload):
                if self.fault is not None:
                    break
                continue
            given.append(event)
        return b"".join(given)

    def _read(self, payload: bytes) -> Glance:
        try:
            return glance(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._bad("has an event that is no JSON object") from error

    def _is_for_client(self, event: Glance, payload: bytes) -> bool:
        fault = event.fault()
        if fault is not None:
            self.fault = fault, payload
            return False
        self.begun = True
        note(event, self._measured)
        return bool(event.choices) or event.usage is None or not self._hide_usage

    def _bad(self, what: str) -> BadReply:
        return BadReply(
            f"what {self._backend} sent {what}; see whether its url and kind are right",
            backend=self._backend,
        )


def note(event: Glance, measured: Measured) -> None:
    """Take over what a reply or an event says."""
    if event.model and measured.model is None:
        measured.model = event.model
    if event.usage is not None:
        measured.usage = event.usage.usage()
    for choice in event.choices or ():
        if choice.index == 0:
            measured.finish_reason = choice.finish_reason or measured.finish_reason
            if measured.text is not None:
                measured.text.append(choice.said())
