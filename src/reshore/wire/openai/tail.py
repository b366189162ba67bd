"""Token counts of replies that go by unread: of endpoints whose shapes are not known here.

Responses, images and transcriptions say what they cost in a field `usage` near their end, as a chat
does, by one of two sets of names.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any

import msgspec
from msgspec import Struct

from reshore.types import Usage
from reshore.wire.openai.glance import Details, TokenCount, usage_of

# What may stand behind the counts: the tools of a response, say, which it repeats.
_KEPT_BYTES = 64 * 1024
# Inside a text the quotes are escaped, so that a match is a field.
_USAGE = re.compile(rb'"usage"\s*:\s*(?=\{)')
_MODEL = re.compile(rb'"model"\s*:\s*"((?:[^"\\]|\\.){1,256})"')
_decoder = json.JSONDecoder()


class _Usage(Struct, gc=False):
    """Of `/v1/responses` and what came after it, or of what came before.

    Transcriptions write `token_details` where all others write `tokens_details`.
    """

    input_tokens: TokenCount | None = None
    output_tokens: TokenCount | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None
    input_token_details: Details | None = None
    output_token_details: Details | None = None
    prompt_tokens: TokenCount | None = None
    completion_tokens: TokenCount | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None

    def taken(self) -> Details | None:
        newer = self.input_tokens_details or self.input_token_details
        return newer or self.prompt_tokens_details

    def given(self) -> Details | None:
        newer = self.output_tokens_details or self.output_token_details
        return newer or self.completion_tokens_details


class Tail:
    """The end of a reply. Belongs to the task that passes it on.

    Attributes:
        model: the name that whoever answers gives itself, None until it has said it.
    """

    __slots__ = ("_bytes", "_kept", "model")

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque()
        self._bytes = 0
        self.model: str | None = None

    def feed(self, data: bytes) -> None:
        """Take what goes by."""
        if self.model is None and (found := _MODEL.search(data)):
            self.model = found[1].decode("utf-8", "replace")
        self._kept.append(data)
        self._bytes += len(data)
        while self._bytes - len(self._kept[0]) >= _KEPT_BYTES:
            self._bytes -= len(self._kept.popleft())

    def usage(self) -> Usage | None:
        """The last token counts in it, None without any."""
        data = b"".join(self._kept)[-_KEPT_BYTES:]
        for found in reversed([match.end() for match in _USAGE.finditer(data)]):
            if usage := _read(data[found:]):
                return usage
        return None


def _read(data: bytes) -> Usage | None:
    try:
        value: Any = _decoder.raw_decode(data.decode("utf-8", "replace"))[0]
        counts = msgspec.convert(value, _Usage)
    except (ValueError, RecursionError):  # msgspec's are ValueErrors
        return None
    prompt, completion = (
        (counts.prompt_tokens, counts.completion_tokens)
        if counts.input_tokens is None
        else (counts.input_tokens, counts.output_tokens)
    )
    if prompt is None and completion is None:
        return None
    return usage_of(prompt, completion, counts.taken(), counts.given())
