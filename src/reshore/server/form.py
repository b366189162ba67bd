"""Where a form (multipart/form-data, RFC 7578) names its model, found while it arrives. Pure."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesHeaderParser

from reshore.errors import RequestError

# Of one part: its headers, some 200 bytes of most clients, and the value of one that is the model.
_HEAD_BYTES = 16 * 1024
_NAME_BYTES = 1024
_LINE = b"\r\n"


class ModelField:
    """Looks for the part `model`. Belongs to the task that reads the form.

    Args:
        content_type: of the form, with its boundary.

    Attributes:
        ended: the form is complete.

    Raises:
        RequestError: the content type names no boundary.
    """

    def __init__(self, content_type: bytes) -> None:
        described = Message()
        described["content-type"] = content_type.decode("latin-1")
        boundary = described.get_boundary()
        if not boundary:
            raise RequestError("the form's Content-Type names no boundary; send it with one")
        self.ended = False
        self._delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
        self._from = 0

    def find(self, form: bytearray) -> tuple[int, int] | None:
        """Where the value stands; None where it is not there, or not yet.

        Args:
            form: what has arrived. Given again when there is more, it is not searched twice.

        Raises:
            RequestError: it is malformed, or the value is longer than a name.
        """
        while not self.ended and (head := self._head(form)) is not None:
            start = head[1] + len(_LINE * 2)
            if _names_model(form[head[0] : head[1]]):
                return self._value(form, start)
            self._from = start
        return None

    def _head(self, form: bytearray) -> tuple[int, int] | None:
        """Where the headers of the next part stand, None where they have not all arrived."""
        after = self._delimited(form)
        if after is None or len(form) < after + len(_LINE):
            return None
        if form.startswith(b"--", after):
            self.ended = True
            return None
        end = form.find(_LINE * 2, after, after + _HEAD_BYTES)
        if end >= 0:
            line = form[after : form.find(_LINE, after)]
        elif len(form) < after + _HEAD_BYTES:
            return None
        # Where parsers differ, the upstream could find another model than the one routed by.
        if end < 0 or line.strip(b" \t"):
            raise RequestError("the form is malformed: a part's headers have no begin or no end")
        return after, end

    def _delimited(self, form: bytearray) -> int | None:
        """The end of the next delimiter."""
        # The first one has no line before it.
        if not self._from and form.startswith(self._delimiter[2:]):
            return len(self._delimiter) - 2
        at = form.find(self._delimiter, self._from)
        self._from = at if at >= 0 else max(self._from, len(form) - len(self._delimiter))
        return at + len(self._delimiter) if at >= 0 else None

    def _value(self, form: bytearray, start: int) -> tuple[int, int] | None:
        end = form.find(self._delimiter, start)
        if max(end, len(form) if end < 0 else 0) > start + _NAME_BYTES:
            raise RequestError(
                f"the form's `model` is longer than {_NAME_BYTES} bytes", param="model"
            )
        return (start, end) if end >= 0 else None


def _names_model(head: bytearray) -> bool:
    headers = BytesHeaderParser().parsebytes(bytes(head).lstrip())
    return headers.get_param("name", header="content-disposition") == "model"
