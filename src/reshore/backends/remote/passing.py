"""A stream of events that is passed on as bytes, with an eye on the few that matter. Pure.

Most pieces go by without being parsed: one search finds out whether a piece holds token counts, a
finish reason, an error or the end. An event of which only a part has arrived is held back until the
rest is there, so that a stream that breaks off has never shown half an event: what follows it,
another side's answer or an error event, stays readable.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from reshore.backends.answer import Measured
from reshore.backends.remote.refusals import event_refusal
from reshore.errors import BackendError, BadReply
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
        redact: takes our keys out of an error.
        hide_usage: an event that holds nothing but token counts is not for the client.

    Attributes:
        begun: an event has been there; comments do not count.
        done: the end has been there.
        failure: what broke it off, an error event, say; what came before it was given.
    """

    __slots__ = (
        "_backend",
        "_held",
        "_held_bytes",
        "_hide_usage",
        "_measured",
        "_redact",
        "begun",
        "done",
        "failure",
    )

    def __init__(
        self,
        backend: str,
        measured: Measured,
        *,
        redact: Callable[[bytes], bytes],
        hide_usage: bool = False,
    ) -> None:
        self._backend = backend
        self._measured = measured
        self._redact = redact
        self._hide_usage = hide_usage
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.begun = False
        self.done = False
        self.failure: BackendError | None = None

    def feed(self, data: bytes) -> bytes:
        """What of `data`, and of what was held back, is for the client now. See `failure`."""
        if self._held or not data.endswith(b"\n\n"):
            data = self._whole_events(data)
            if not data:
                return b""
        return data if self._is_plain(data) else self._look(data)

    def end(self) -> bytes:
        """What is left when the body ends: an end of the stream that no blank line follows."""
        rest = b"".join(self._held)
        self.done = rest.removeprefix(b"data:").strip() == _END
        return rest if self.done else b""

    def _is_plain(self, data: bytes) -> bool:
        """Whether nothing of it matters."""
        return (
            self.begun
            and self._measured.text is None
            and data.startswith(_STARTS)
            and _MATTERS.search(data) is None
        )

    def _whole_events(self, data: bytes) -> bytes:
        """Up to the last end of an event; the rest is held back."""
        self._held_bytes += len(data)
        if self._held_bytes > _EVENT_LIMIT_BYTES:
            self.failure = self._bad(f"has an event of more than {_EVENT_LIMIT_BYTES} bytes")
            return b""
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
        """Read each event of `data`, up to one that breaks the stream off."""
        given: list[bytes] = []
        for event in _EVENT.findall(data):
            if self._is_plain(event):
                given.append(event)
                continue
            payload = b"\n".join(_DATA.findall(event))
            if payload == _END:
                self.done = self.begun = True
            elif payload:
                read = self._read(payload)
                if read is None:
                    break
                if self._hide_usage and read.usage is not None and not read.choices:
                    continue
            elif not event.startswith(_STARTS):
                self.failure = self._bad("is no stream of events")
                break
            given.append(event)
        return b"".join(given)

    def _read(self, payload: bytes) -> Glance | None:
        """One event; None if it breaks the stream off."""
        try:
            event = glance(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.failure = self._bad("has an event that is no JSON object")
            return None
        if event.is_fault():
            self.failure = event_refusal(self._backend, self._redact(payload))
            return None
        self.begun = True
        note(event, self._measured)
        return event

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
                measured.calls += choice.calls()
