"""A legacy completion's chunks as OpenAI writes them: a stream of events, or one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reshore.types import Chunk, FinishReason, TokenLogprob, Usage
from reshore.wire.openai.collector import Collector
from reshore.wire.openai.encode import (
    DONE,
    Head,
    add_usage,
    encode_json,
    event,
    finite,
    unfinished,
    usage_body,
)

_KIND = "text_completion"


class CompletionStream:
    """The events of one streamed completion. Belongs to the task that writes the reply."""

    __slots__ = (
        "_end",
        "_head",
        "_include_usage",
        "_lengths",
        "_model",
        "_open",
        "_start",
        "_usage",
    )

    def __init__(self, head: Head, *, include_usage: bool = False) -> None:
        self._head = head.fields(_KIND)
        self._model = head.model
        self._include_usage = include_usage
        self._start = b'data: %b,"choices":[{"text":' % encode_json(self._head)[:-1]
        self._end = b'}],"usage":null}\n\n' if include_usage else b"}]}\n\n"
        self._lengths: dict[int, int] = {}  # characters sent so far, by choice
        self._open = 0
        self._usage: Usage | None = None

    def encode(self, batch: Sequence[Chunk]) -> bytes:
        """The events of what arrived together, as one write; maybe empty."""
        out: list[bytes] = []
        for chunk in batch:
            if chunk.usage is not None:
                self._usage = add_usage(self._usage, chunk.usage)
            index = chunk.index
            if index < 0:
                continue
            sent = self._lengths.get(index)
            if sent is None:
                self._open += 1
                sent = 0
            self._lengths[index] = sent + len(chunk.content)
            if chunk.content or chunk.logprobs:
                logprobs = b"null"
                if chunk.logprobs:
                    logprobs = encode_json(legacy_logprobs(chunk.logprobs, sent))
                around = b',"index":%d,"logprobs":%b,"finish_reason":null' % (index, logprobs)
                out += self._start, encode_json(chunk.content), around, self._end
            if chunk.finish_reason is not None:
                self._open -= 1
                reason = chunk.finish_reason.encode()
                around = b'"","index":%d,"logprobs":null,"finish_reason":"%b"' % (index, reason)
                out += self._start, around, self._end
        return b"".join(out)

    def done(self, **more: str) -> bytes:
        """The end of the stream: usage if it was asked for and is known, then `[DONE]`.

        Args:
            more: fields of the event with usage. It is the one without choices that a client asks
                for; others would stumble over such an event.

        Raises:
            BadReply: a choice has not finished; SDKs would take a silent end for a full answer.
        """
        if self._open or not self._lengths:
            raise unfinished(self._model)
        if not self._include_usage or self._usage is None:
            return DONE
        usage = usage_body(self._usage)
        return event({**self._head, "choices": [], "usage": usage, **more}) + DONE


class CompletionCollector(Collector["_Choice"]):
    """Gathers the chunks of one completion. Belongs to the task that writes the reply."""

    def __init__(self, head: Head) -> None:
        super().__init__(head, _KIND, _Choice)


class _Choice:
    """One choice, growing."""

    __slots__ = ("finish_reason", "length", "logprobs", "start", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.length = 0
        self.start = 0  # where the tokens that have logprobs begin: after an echoed prompt
        self.logprobs: list[TokenLogprob] = []
        self.finish_reason: FinishReason | None = None

    def add(self, chunk: Chunk) -> None:
        if chunk.logprobs:
            if not self.logprobs:
                self.start = self.length
            self.logprobs += chunk.logprobs
        self.text.append(chunk.content)
        self.length += len(chunk.content)
        if chunk.finish_reason is not None:
            self.finish_reason = chunk.finish_reason

    def body(self, index: int) -> dict[str, Any]:
        return {
            "text": "".join(self.text),
            "index": index,
            "logprobs": legacy_logprobs(self.logprobs, self.start) if self.logprobs else None,
            "finish_reason": self.finish_reason,
        }


def legacy_logprobs(tokens: Sequence[TokenLogprob], start: int) -> dict[str, Any]:
    """The old shape: parallel lists; `start` is the offset of the first token in the text.

    Beside the likeliest tokens stands the chosen one, as OpenAI documents ("up to `logprobs` + 1
    elements").
    """
    offsets = []
    for token in tokens:
        offsets.append(start)
        start += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [finite(token.logprob) for token in tokens],
        "top_logprobs": [
            {rival.token: finite(rival.logprob) for rival in token.top}
            | {token.token: finite(token.logprob)}
            for token in tokens
        ],
        "text_offset": offsets,
    }
