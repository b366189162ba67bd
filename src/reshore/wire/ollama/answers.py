"""Answers of `/api/chat` and `/api/generate`: a line per piece, or one object.

Both endpoints say the same in another shape: a chat has a `message`, a completion a `response`.
Tool calls are given whole and at the end, as Ollama gives them: `arguments` is an object, written
exactly as the model wrote it. The last line, or the one object, has the counts; Ollama calls prompt
tokens `prompt_eval_count` and completion tokens `eval_count`, here and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from reshore.errors import BadReply
from reshore.types import Chunk, FinishReason, Timings, TokenLogprob, ToolCallDelta, Usage
from reshore.wire.ollama.encode import Stamps, encode_json, encode_line, nanoseconds, timestamp
from reshore.wire.openai.encode import finite, unfinished

Now = Callable[[], int]


class Shape:
    """How one endpoint writes a piece of an answer.

    Attributes:
        before, after: what stands around the text of a line that has nothing but text.
    """

    before: bytes
    after: bytes

    def fields(
        self, text: str, thinking: str = "", calls: Sequence[dict[str, Any]] = ()
    ) -> dict[str, Any]:
        """The fields that hold this piece."""
        raise NotImplementedError


class ChatShape(Shape):
    """`/api/chat`."""

    before = b'"message":{"role":"assistant","content":'
    after = b'},"done":false}\n'

    def fields(
        self, text: str, thinking: str = "", calls: Sequence[dict[str, Any]] = ()
    ) -> dict[str, Any]:
        return {"message": {"role": "assistant", **_piece("content", text, thinking, calls)}}


class GenerateShape(Shape):
    """`/api/generate`."""

    before = b'"response":'
    after = b',"done":false}\n'

    def fields(
        self, text: str, thinking: str = "", calls: Sequence[dict[str, Any]] = ()
    ) -> dict[str, Any]:
        return _piece("response", text, thinking, calls)


class Answer:
    """One answer while it arrives. Belongs to the task that writes the reply.

    Args:
        model: the model's name as the client wrote it.
        shape: of the endpoint.
        rivals: how many alternatives of each token are shown (`top_logprobs`).
        now: nanoseconds since the epoch.
    """

    def __init__(
        self, model: str, shape: Shape, *, rivals: int = 0, now: Now = time.time_ns
    ) -> None:
        self._model = model
        self._shape = shape
        self._rivals = rivals
        self._now = now
        self._stamps = Stamps()
        # Around a text everything but the time is the same in every line, so it is written once.
        self._start = b'{"model":%b,"created_at":"' % encode_json(model)
        self._before = b'",' + shape.before
        self._calls = _Calls(model)
        self._usage = Usage()
        self._timings = Timings()
        self._finish: FinishReason | None = None
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._whole_calls: list[dict[str, Any]] = []
        self._logprobs: list[dict[str, Any]] = []

    @property
    def text(self) -> str:
        """What was answered so far, if it is collected."""
        return "".join(self._text)

    def encode(self, batch: Sequence[Chunk]) -> bytes:
        """The lines of what arrived together, as one write; maybe empty.

        Raises:
            BadReply: a tool call is complete and its arguments are no JSON object.
        """
        out: list[bytes] = []
        created = self._stamps.stamp(self._now())
        for chunk in batch:
            calls = self._take(chunk)
            if chunk.content:
                self._text.append(chunk.content)
            if chunk.reasoning or calls or chunk.logprobs:
                fields = self._shape.fields(chunk.content, chunk.reasoning, calls)
                out.append(self._line(created, fields, _tokens(chunk.logprobs, self._rivals)))
            elif chunk.content:
                text = encode_json(chunk.content)
                out += self._start, created, self._before, text, self._shape.after
        return b"".join(out)

    def last(self, total_ms: float, **more: Any) -> bytes:
        """The line that ends the stream; `more` are further fields of it.

        Raises:
            BadReply: the generation has not finished; a silent end would pass for a full answer.
        """
        return encode_line(self._closing(self._shape.fields(""), total_ms, more))

    def add(self, batch: Sequence[Chunk]) -> None:
        """Keep what arrived for `body`. Raises as `encode`."""
        for chunk in batch:
            self._whole_calls += self._take(chunk)
            if chunk.content:
                self._text.append(chunk.content)
            if chunk.reasoning:
                self._thinking.append(chunk.reasoning)
            if chunk.logprobs:
                self._logprobs += _tokens(chunk.logprobs, self._rivals)

    def body(self, total_ms: float, **more: Any) -> bytes:
        """The one object of an answer that is not streamed. Raises as `last`."""
        fields = self._shape.fields(self.text, "".join(self._thinking), self._whole_calls)
        if self._logprobs:
            more["logprobs"] = self._logprobs
        return encode_json(self._closing(fields, total_ms, more))

    def _take(self, chunk: Chunk) -> list[dict[str, Any]]:
        """Note what is counted; with the last chunk, the calls."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.timings is not None:
            self._timings = chunk.timings
        self._calls.feed(chunk.tool_calls)
        if chunk.finish_reason is None:
            return []
        self._finish = chunk.finish_reason
        return self._calls.whole(cut=chunk.finish_reason == "length")

    def _line(
        self, created: bytes, fields: dict[str, Any], logprobs: list[dict[str, Any]]
    ) -> bytes:
        rest = {**fields, "done": False}
        if logprobs:
            rest["logprobs"] = logprobs
        return self._start + created + b'",' + encode_line(rest)[1:]

    def _closing(
        self, fields: dict[str, Any], total_ms: float, more: dict[str, Any]
    ) -> dict[str, Any]:
        if self._finish is None:
            raise unfinished(self._model)
        usage, timings = self._usage, self._timings
        cached = {"prompt_eval_cached_count": usage.cached_tokens} if usage.cached_tokens else {}
        return {
            "model": self._model,
            "created_at": timestamp(self._now()),
            **fields,
            "done": True,
            "done_reason": "length" if self._finish == "length" else "stop",
            **more,
            "total_duration": nanoseconds(total_ms),
            "load_duration": nanoseconds(timings.load_ms),
            "prompt_eval_count": usage.prompt_tokens,
            **cached,
            "prompt_eval_duration": nanoseconds(timings.prefill_ms),
            "eval_count": usage.completion_tokens,
            "eval_duration": nanoseconds(timings.decode_ms),
        }


def encode_loading(model: str, shape: Shape, *, unloads: bool, now: Now = time.time_ns) -> bytes:
    """The answer to a request that only loaded or unloaded a model."""
    return encode_line(
        {
            "model": model,
            "created_at": timestamp(now()),
            **shape.fields(""),
            "done": True,
            "done_reason": "unload" if unloads else "load",
        }
    )


class _Calls:
    """Puts the pieces of tool calls together; pieces of several calls may take turns."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._pieces: dict[int, list[ToolCallDelta]] = {}

    def feed(self, deltas: Iterable[ToolCallDelta]) -> None:
        for delta in deltas:
            self._pieces.setdefault(delta.index, []).append(delta)

    def whole(self, *, cut: bool) -> list[dict[str, Any]]:
        """All calls, the answer having ended.

        Args:
            cut: it ended at a limit. Then a call without its end is left out, since it has no
                arguments to give, and `done_reason` says that the answer was cut.
        """
        calls: list[dict[str, Any]] = []
        for deltas in self._pieces.values():
            text = "".join(delta.arguments for delta in deltas) or "{}"
            if not _is_object(text):
                if cut:
                    continue
                raise BadReply(
                    f"'{self._model}' called {deltas[0].name} with arguments that are no JSON "
                    f"object: {text[:200]}; send the request again",
                    backend=self._model,
                    retryable=True,
                )
            # Written as it is, so that neither order nor numbers change; a line break in JSON can
            # only be white space, and would end the line that the call stands in.
            arguments = msgspec.Raw(text.replace("\n", " ").replace("\r", " ").encode())
            function = {"index": len(calls), "name": deltas[0].name, "arguments": arguments}
            calls.append({"id": deltas[0].id, "function": function})
        return calls


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


def _piece(key: str, text: str, thinking: str, calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {key: text}
    if thinking:
        fields["thinking"] = thinking
    if calls:
        fields["tool_calls"] = calls
    return fields


def _tokens(tokens: Sequence[TokenLogprob], rivals: int) -> list[dict[str, Any]]:
    return [
        {**_token(token), "top_logprobs": [_token(top) for top in token.top[:rivals]]}
        if rivals
        else _token(token)
        for token in tokens
    ]


def _token(token: Any) -> dict[str, Any]:
    known = token.bytes if token.bytes is not None else token.token.encode()
    return {"token": token.token, "logprob": finite(token.logprob), "bytes": list(known)}
