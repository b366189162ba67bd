"""Server-sent events, incoming: bytes in any pieces, the `data` of each complete event out."""

from __future__ import annotations

from reshore.errors import BadReply

_DATA = b"data:"
_CR = 13  # a number is found in bytes several times faster than bytes are


class SseDecoder:
    """Cuts a byte stream into events. Belongs to the one task that reads the stream.

    Only `data` matters to the APIs spoken here: comments and the fields `event`, `id` and `retry`
    are skipped. An event that the stream ends within is never given, as the specification asks
    (https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6).

    Args:
        backend: who sends the stream, for the error message.
        limit_bytes: the most that one unfinished event may hold.
    """

    __slots__ = ("_after_cr", "_backend", "_held", "_limit", "_lines", "_tail")

    def __init__(self, backend: str, *, limit_bytes: int = 16 * 1024 * 1024) -> None:
        self._backend = backend
        self._limit = limit_bytes
        self._lines: list[bytes] = []  # data lines of the event under way
        self._tail: list[bytes] = []  # pieces of a line whose end has not come
        self._held = 0  # bytes in both
        self._after_cr = False  # the last byte was CR: a LF now belongs to it

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the events that `data` completes, in order.

        Raises:
            BadReply: an event is longer than the limit.
        """
        if not self._held and not self._lines and not self._after_cr:
            events = _whole_events(data)
            if events is not None:
                return events
        return self._feed_lines(self._only_line_feeds(data))

    def _only_line_feeds(self, data: bytes) -> bytes:
        """CR, LF and CRLF all end a line; a CRLF may be cut in two."""
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if _CR in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _feed_lines(self, data: bytes) -> list[bytes]:
        first, newline, rest = data.partition(b"\n")
        self._tail.append(first)
        self._held += len(first)
        if not newline:
            self._check_limit()
            return []
        *lines, tail = rest.split(b"\n")
        events: list[bytes] = []
        self._take(b"".join(self._tail), events)
        for line in lines:
            self._take(line, events)
        self._tail = [tail]
        self._held = len(tail) + sum(map(len, self._lines))
        self._check_limit()
        return events

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            if self._lines:
                events.append(b"\n".join(self._lines))
                self._lines.clear()
        elif line.startswith(_DATA):
            self._lines.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            self._lines.append(b"")

    def _check_limit(self) -> None:
        # A line of its own costs memory even when it is empty.
        if self._held + 64 * len(self._lines) > self._limit:
            raise BadReply(
                f"{self._backend} sent an event of more than {self._limit} bytes",
                backend=self._backend,
            )


def _whole_events(data: bytes) -> list[bytes] | None:
    """The payloads, when `data` is nothing but whole events of one `data: ` line each."""
    if _CR in data or not data.endswith(b"\n\n"):
        return None
    if data.find(b"\n") == len(data) - 2 and data.startswith(b"data: "):
        return [data[6:-2]]  # one event, as most reads bring
    pieces = data[:-2].split(b"\n\n")
    for piece in pieces:
        if piece[:6] != b"data: " or b"\n" in piece:
            return None
    return [piece[6:] for piece in pieces]
