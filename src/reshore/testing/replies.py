"""OpenAI's replies as bytes, ready to be sent: chats, completions, embeddings, errors. Pure.

A reply is made once for equal requests. Where its number stands is `NUMBER`, of the same length as
the number that replaces it, so that no two answers have one id and mixed ones would show.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from itertools import cycle, islice
from typing import Any

import msgspec
from msgspec import Struct

from reshore.engine.echo.http import LAST_CHUNK, chunk
from reshore.engine.echo.script import split
from reshore.engine.echo.tokens import content_of, embed, text_of, tokenize
from reshore.testing.script import Script

NUMBER = b"{request-number}"
DONE = b"data: [DONE]\n\n"
MALFORMED = b'data: {"id":"chatcmpl-half","choices":[{"delta":{"content":"\n\n'
GARBAGE = b"\x16\x03\x01\x02\x00\x01\xff\xfe this is no HTTP\r\n\r\n"

FAILURE = "rehearsed failure"

_JSON = "application/json"
_EVENT_STREAM = "text/event-stream; charset=utf-8"
_ARGUMENT_LENGTH = 8
# Status -> type and code of OpenAI's error bodies.
_ERRORS: dict[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
_BODILESS = frozenset({204, 304})

_encode = msgspec.json.encode


class StreamOptions(Struct):
    include_usage: bool | None = None


class Asked(Struct):
    """What of a request a reply depends on."""

    model: str = "gpt-4o-mini"
    stream: bool | None = None
    messages: list[Any] = []
    prompt: Any = ""
    input: Any = ""
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream_options: StreamOptions | None = None
    encoding_format: str | None = None

    def said(self) -> str:
        """What the user said last, or the prompt."""
        for message in reversed(self.messages):
            if isinstance(message, dict) and message.get("role") == "user":
                return content_of(message)
        return text_of(self.prompt)

    def limit(self) -> int | None:
        """How many tokens the answer may have."""
        return self.max_completion_tokens or self.max_tokens


class Reply(Struct, frozen=True, kw_only=True):
    """A reply before it is sent.

    Attributes:
        head: status line and headers, with the blank line.
        body: of a whole reply.
        tokens: of a stream, its events, framed; the first of them opens the answer.
        closing: of a stream, what comes after its last token.
        stream: whether it is one.
        count: tokens of a whole reply, for its pace.
    """

    head: bytes
    body: bytes = b""
    tokens: tuple[bytes, ...] = ()
    closing: bytes = b""
    stream: bool = False
    count: int = 0


def answer(script: Script, asked: Asked, path: str, body_bytes: int) -> Reply:
    """The reply to a chat, completion or embeddings request.

    Raises:
        ValueError: what is to be embedded is neither text nor tokens.
    """
    if script.body is not None or script.status != 200:
        return plain(script)
    if path.endswith("/embeddings"):
        return _embeddings(script, asked, body_bytes)
    said = _Said(script, asked, chat=path.endswith("/chat/completions"), body_bytes=body_bytes)
    if asked.stream:
        return said.stream()
    return said.whole()


def plain(script: Script) -> Reply:
    """A status with its error body, or whatever body the script has."""
    if script.body is not None:
        return _reply(script, script.body.encode())
    if script.status < 400:
        return _reply(script, b"{}" if script.status not in _BODILESS else b"")
    return _reply(script, error_body(script.status, script.code))


def error_body(status: int, code: str | None = None, message: str | None = None) -> bytes:
    """An error as OpenAI words it."""
    kind, usual = _ERRORS.get(
        status, ("server_error" if status >= 500 else "invalid_request_error", None)
    )
    error = {
        "message": message or f"rehearsed: {status}",
        "type": kind,
        "param": None,
        "code": code or usual,
    }
    return _encode({"error": error})


def listed(models: Iterable[str]) -> Reply:
    """`GET /v1/models`."""
    entries = [
        {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "rehearsal"}
        for name in models
    ]
    return _reply(Script(), _encode({"object": "list", "data": entries}))


def echoed(script: Script, method: str, target: str, content_type: str, body: bytes) -> Reply:
    """For endpoints without a codec: the request's own body, or else a word on what it asked."""
    if script.body is not None or script.status != 200:
        return plain(script)
    if not body:
        body, content_type = _encode({"method": method, "path": target}), _JSON
    return _reply(script, body, content_type or "application/octet-stream")


class _Said:
    """One answer in the words of a chat or of a completion."""

    def __init__(self, script: Script, asked: Asked, *, chat: bool, body_bytes: int) -> None:
        self._script = script
        self._chat = chat
        self._include_usage = bool(
            script.usage and asked.stream_options and asked.stream_options.include_usage
        )
        self._pieces, self._finish = _pieces(script, asked)
        self._usage = _usage(script, body_bytes, len(self._pieces))
        self._shared = {
            "id": ("chatcmpl-" if chat else "cmpl-") + NUMBER.decode(),
            "created": 1_700_000_000,
            "model": script.model or asked.model,
            "system_fingerprint": "fp_rehearsal",
        }

    def whole(self) -> Reply:
        text = "".join(self._pieces)
        kind = "chat.completion" if self._chat else "text_completion"
        choice = {"index": 0, **self._message(text), "logprobs": None}
        body = {**self._shared, "object": kind, "choices": [choice | self._reason()]}
        if self._script.usage:
            body["usage"] = self._usage
        return _reply(self._script, _encode(body), count=len(self._pieces))

    def stream(self) -> Reply:
        tokens = tuple(self._tokens())
        closing = [self._event({} if self._chat else {"text": ""}, **self._reason())]
        if self._include_usage:
            closing.append(self._wrapped([], usage=self._usage))
        return Reply(
            head=_head(self._script, _EVENT_STREAM, "transfer-encoding: chunked"),
            tokens=tokens,
            closing=b"".join(closing) + chunk(DONE) + LAST_CHUNK,
            stream=True,
        )

    def _tokens(self) -> Iterator[bytes]:
        opening = b""
        if self._chat:
            opening = self._event({"role": "assistant", "content": "", "refusal": None})
        for piece in self._pieces:
            yield opening + self._event({"content" if self._chat else "text": piece})
            opening = b""
        for index, call in enumerate(self._script.tool_calls if self._chat else ()):
            start = {"index": index, **_tool_call(index, call.name, "")}
            yield opening + self._event({"tool_calls": [start]})
            opening = b""
            for piece in _split_arguments(call.text):
                more = {"index": index, "function": {"arguments": piece}}
                yield self._event({"tool_calls": [more]})
        if opening:
            yield opening

    def _message(self, text: str) -> dict[str, Any]:
        if not self._chat:
            return {"text": text}
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self._script.tool_calls:
            message["content"] = text or None
            message["tool_calls"] = [
                _tool_call(index, call.name, call.text)
                for index, call in enumerate(self._script.tool_calls)
            ]
        return {"message": message}

    def _reason(self) -> dict[str, str]:
        return {"finish_reason": self._finish}

    def _event(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        said = {"delta": delta} if self._chat else delta
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish_reason}
        # OpenAI writes `"usage":null` into every event of a stream whose usage was asked for.
        return self._wrapped([choice], **({"usage": None} if self._include_usage else {}))

    def _wrapped(self, choices: list[Any], **more: Any) -> bytes:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        value = {**self._shared, "object": kind, "choices": choices, **more}
        return chunk(b"data: " + _encode(value) + b"\n\n")


def _pieces(script: Script, asked: Asked) -> tuple[Sequence[str], str]:
    """The tokens of an answer and why it ended."""
    text = asked.said() if script.text is None and not script.tool_calls else script.text or ""
    pieces: Sequence[str] = split(text)
    if script.tokens is not None:
        pieces = tuple(islice(cycle(pieces or (" word",)), script.tokens))
    limit = asked.limit()
    finish = "tool_calls" if script.tool_calls else "stop"
    if limit is not None and len(pieces) > limit:
        pieces, finish = pieces[:limit], "length"
    return pieces, script.finish or finish


def _usage(script: Script, body_bytes: int, completion_tokens: int) -> dict[str, Any]:
    prompt_tokens = script.prompt_tokens
    if prompt_tokens is None:
        prompt_tokens = max(1, body_bytes // 4)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens + script.reasoning_tokens,
        "total_tokens": prompt_tokens + completion_tokens + script.reasoning_tokens,
        "prompt_tokens_details": {"cached_tokens": script.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": script.reasoning_tokens},
    }


def _embeddings(script: Script, asked: Asked, body_bytes: int) -> Reply:
    given = asked.input
    several = isinstance(given, list) and not (given and isinstance(given[0], int))
    texts = [text_of(one) for one in (given if several else [given])]
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(script, asked, text)}
        for index, text in enumerate(texts)
    ]
    tokens = _usage(script, body_bytes, 0)["prompt_tokens"]
    body: dict[str, Any] = {"object": "list", "data": data, "model": script.model or asked.model}
    if script.usage:
        body["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _reply(script, _encode(body))


def _vector(script: Script, asked: Asked, text: str) -> Any:
    values = embed(tokenize(text), script.dimensions)
    if asked.encoding_format == "base64":
        return base64.b64encode(values.tobytes()).decode()
    return values.tolist()


def _tool_call(index: int, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{index}_{NUMBER.decode()}", "type": "function", "function": function}


def _split_arguments(text: str) -> Iterator[str]:
    for start in range(0, len(text), _ARGUMENT_LENGTH):
        yield text[start : start + _ARGUMENT_LENGTH]


def _reply(script: Script, body: bytes, content_type: str = _JSON, count: int = 0) -> Reply:
    if script.fault == "error":
        body = error_body(500, message=FAILURE)
    elif script.fault == "malformed":
        body = body[: len(body) // 2]
    length = "" if script.status in _BODILESS else f"content-length: {len(body)}"
    return Reply(head=_head(script, content_type, length), body=body, count=count)


def _head(script: Script, content_type: str, length: str) -> bytes:
    """Status line and headers. Underneath is HTTP: whatever a script says is sent."""
    try:
        phrase = HTTPStatus(script.status).phrase
    except ValueError:
        phrase = "Rehearsed"
    lines = [
        f"HTTP/1.1 {script.status} {phrase}",
        f"content-type: {script.content_type or content_type}",
        f"x-request-id: req_{NUMBER.decode()}",
        *_advice(script),
        *(f"{name}: {value}" for name, value in script.headers),
    ]
    if length:
        lines.append(length)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _advice(script: Script) -> Iterator[str]:
    if script.retry_after_s is not None:
        yield f"retry-after: {script.retry_after_s:g}"
    if script.retry_after_ms is not None:
        yield f"retry-after-ms: {script.retry_after_ms:g}"
    if script.should_retry is not None:
        yield f"x-should-retry: {str(script.should_retry).lower()}"
