"""What servers that speak OpenAI's dialect say when they cannot."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

# OpenAI's types where a stream fails after its status was sent, and what they are as statuses.
_STATUS_BY_TYPE = {
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "overloaded_error": 503,
}
_UNKNOWN_STATUS = 502
_SHOWN_BYTES = 300


class Fault(Struct, frozen=True, kw_only=True):
    """An error of an upstream, whatever shape it had.

    `status` is the HTTP status that it amounts to where it came inside a 200.
    """

    message: str
    type: str = ""
    code: str | None = None
    status: int = _UNKNOWN_STATUS


def decode_fault(body: bytes) -> Fault:
    """The error in a body or an event; of one without any JSON the beginning is the message.

    Read are `{"error": {…}}`, `{"error": "…"}` (Ollama), `{"message": …}` (vLLM until 0.9) and
    `{"detail": …}` (what FastAPI's own errors look like).
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Fault(message=body[:_SHOWN_BYTES].decode(errors="replace").strip())
    return _fault(found.get("error") or found if isinstance(found, dict) else found)


def _fault(error: Any) -> Fault:
    if not isinstance(error, dict):
        return Fault(message=_text(error))
    message = error.get("message") or error.get("detail") or error
    kind, code = _text(error.get("type") or ""), error.get("code")
    return Fault(
        message=_text(message),
        type=kind,
        code=code if isinstance(code, str) else None,
        status=_status(code, kind),
    )


def _status(code: object, kind: str) -> int:
    """vLLM, llama.cpp and OpenRouter write an HTTP status into `code`."""
    if isinstance(code, int) and 400 <= code <= 599:
        return code
    return _STATUS_BY_TYPE.get(kind) or _STATUS_BY_TYPE.get(str(code), _UNKNOWN_STATUS)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()[:_SHOWN_BYTES]
