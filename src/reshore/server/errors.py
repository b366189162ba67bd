"""The one table from exception to HTTP: status, OpenAI's `type`, `code`, and retry advice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from reshore import errors
from reshore.wire.openai.encode import encode_error, error_event

# First match along the class's ancestors wins. The code here is the one used when the exception
# has none of its own.
_TABLE: dict[type[BaseException], tuple[int, str, str | None]] = {
    errors.UnknownModel: (404, "invalid_request_error", "model_not_found"),
    errors.BodyTooLarge: (413, "invalid_request_error", "request_too_large"),
    errors.Unauthorized: (401, "authentication_error", "invalid_api_key"),
    errors.Forbidden: (403, "permission_error", "forbidden"),
    errors.UnknownEndpoint: (404, "invalid_request_error", "unknown_url"),
    errors.WrongMethod: (405, "invalid_request_error", "method_not_supported"),
    errors.NoWebSocket: (501, "invalid_request_error", "websocket_not_supported"),
    errors.UnsupportedMedia: (415, "invalid_request_error", "unsupported_media_type"),
    errors.RequestTimeout: (408, "invalid_request_error", "request_timeout"),
    errors.LoopDetected: (508, "invalid_request_error", "loop_detected"),
    errors.RequestError: (400, "invalid_request_error", None),
    errors.Overloaded: (503, "server_error", "overloaded"),
    errors.ShuttingDown: (503, "server_error", "server_shutting_down"),
    errors.Stalled: (504, "server_error", "engine_stalled"),
    errors.Crashed: (502, "server_error", "engine_crashed"),
    errors.OutOfMemory: (503, "server_error", "out_of_memory"),
    errors.StartFailed: (503, "server_error", "engine_start_failed"),
    errors.EngineError: (500, "server_error", "engine_error"),
    errors.CircuitOpen: (503, "server_error", "circuit_open"),
    errors.BackendTimeout: (504, "server_error", "backend_timeout"),
    errors.BackendError: (502, "server_error", "backend_error"),
    errors.BadName: (400, "invalid_request_error", "invalid_model_name"),
    errors.ReadOnlyModel: (403, "permission_error", "model_read_only"),
    errors.BadRecipe: (400, "invalid_request_error", "invalid_recipe"),
    errors.UnfitSource: (400, "invalid_request_error", "model_unfit"),
    errors.RouteNotFound: (404, "invalid_request_error", "route_not_found"),
    errors.RouteConflict: (409, "invalid_request_error", "route_conflict"),
    errors.RouteError: (400, "invalid_request_error", "invalid_route"),
    errors.HistoryError: (500, "server_error", "routing_history_error"),
    errors.LedgerError: (500, "server_error", "ledger_error"),
    errors.JudgeError: (500, "server_error", "judge_error"),
    errors.CompareError: (400, "invalid_request_error", "compare_error"),
    errors.LearnError: (400, "invalid_request_error", "learn_error"),
    errors.StoreError: (500, "server_error", "model_store_error"),
}

# Sent with what a retry cannot cure: OpenAI's SDKs retry every 408, 409, 429 and 5xx otherwise.
_PERMANENT = frozenset(
    {
        "out_of_memory",
        "model_store_error",
        "loop_detected",
        "websocket_not_supported",
        "route_conflict",
        "routing_history_error",
    }
)

# What OpenAI's SDKs send again besides 5xx, unless `x-should-retry` says otherwise.
_RETRIED = frozenset({408, 409, 429})
# Said to us, not to the client.
_OUR_KEY = frozenset({401, 403})


@dataclass(frozen=True)
class Rendered:
    """An exception as the clients of one dialect read it."""

    status: int
    message: str
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    event: bytes


def render(error: BaseException) -> Rendered:
    """What the client is told of `error`.

    An exception that is none of ours gets a 500 without its text, which may hold anything.
    """
    if isinstance(error, errors.UpstreamStatus):
        return _passed_on(error)
    for kind in type(error).__mro__:
        if kind in _TABLE:
            status, type_, code = _TABLE[kind]
            break
    else:
        return _build(500, "internal error; the log has the details", "server_error", None, None)
    param = error.param if isinstance(error, errors.RequestError) else None
    if isinstance(error, errors.RequestError) and error.code:
        code = error.code
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, errors.Overloaded | errors.CircuitOpen):
        headers.append((b"retry-after", str(math.ceil(error.retry_after_s)).encode()))
    elif status == 503 and code not in _PERMANENT:
        headers.append((b"retry-after", b"1"))
    if code in _PERMANENT:
        headers.append((b"x-should-retry", b"false"))
    return _build(status, str(error), type_, param, code, tuple(headers))


def _passed_on(error: errors.UpstreamStatus) -> Rendered:
    """What an upstream said, as it said it.

    But for what it said about our key: that is no business of the client, whose own key is fine.
    """
    if error.status in _OUR_KEY:
        return _build(502, str(error), "server_error", None, "upstream_rejected_key")
    headers = _advice(error)
    if not _is_fault(error.body):
        code = error.code or "upstream_error"
        return _build(error.status, str(error), _type_of(error.status), None, code, headers)
    return Rendered(
        status=error.status,
        message=str(error),
        body=error.body,
        headers=headers,
        event=b"data: %b\n\n" % error.body.replace(b"\r", b" ").replace(b"\n", b" "),
    )


def _advice(error: errors.UpstreamStatus) -> tuple[tuple[bytes, bytes], ...]:
    """Whether and when to send the request again, where the status does not say it."""
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(math.ceil(error.retry_after_s)).encode()))
        headers.append((b"retry-after-ms", str(round(error.retry_after_s * 1000)).encode()))
    if error.retryable != (error.status in _RETRIED or error.status >= 500):
        headers.append((b"x-should-retry", b"true" if error.retryable else b"false"))
    return tuple(headers)


def _is_fault(body: bytes) -> bool:
    """Whether it is an error as OpenAI's clients read it."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(found, dict) and isinstance(found.get("error"), dict)


def _type_of(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def _build(
    status: int,
    message: str,
    type_: str,
    param: str | None,
    code: str | None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Rendered:
    return Rendered(
        status=status,
        message=message,
        body=encode_error(message, type_, param, code),
        headers=headers,
        event=error_event(message, type_, param, code),
    )
