"""Replies with an error status, as exceptions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from reshore.errors import BackendError, BadReply, UpstreamStatus
from reshore.wire.openai.faults import Fault, decode_fault

# What OpenAI's SDKs retry, and 425 (too early).
_PASSING = frozenset({408, 409, 425, 429})
_OUR_KEY = (401, 403)
# Who asks for a longer wait may have meant anything; clients would wait for years.
_LONGEST_WAIT_S = 86_400.0


def refusal(
    backend: str, status: int, headers: Mapping[str, str], body: bytes, *, wall_s: float
) -> BackendError:
    """What a reply that is no success means.

    Args:
        body: without keys.
        wall_s: now, seconds since the epoch, for a `Retry-After` that names a date.
    """
    if status < 400:
        where = "; put the address it leads to into `url`" if 300 <= status < 400 else ""
        return BadReply(
            f"{backend} answered {status}, which is neither an answer nor an error{where}",
            backend=backend,
        )
    fault = decode_fault(body)
    return UpstreamStatus(
        _message(backend, status, fault),
        backend=backend,
        status=status,
        retryable=_is_retryable(status, headers),
        code=fault.code,
        body=b"" if status in _OUR_KEY else body,
        content_type=headers.get("content-type", "application/json"),
        retry_after_s=retry_after_s(headers, wall_s=wall_s),
    )


def event_refusal(backend: str, payload: bytes) -> UpstreamStatus:
    """What an error inside a reply of status 200 means; `payload` is without keys."""
    fault = decode_fault(payload)
    return UpstreamStatus(
        _message(backend, fault.status, fault),
        backend=backend,
        status=fault.status,
        retryable=_is_retryable(fault.status, {}),
        code=fault.code,
        body=b"" if fault.status in _OUR_KEY else payload,
    )


def retry_after_s(headers: Mapping[str, str], *, wall_s: float) -> float | None:
    """How long a reply asks to wait, a day at most: `retry-after-ms`, or `retry-after` in either
    form."""
    exact = _number(headers.get("retry-after-ms", ""))
    if exact is not None:
        return min(exact / 1000, _LONGEST_WAIT_S)
    text = headers.get("retry-after", "")
    seconds = _number(text)
    if seconds is None and text:
        seconds = _until(text, wall_s)
    return None if seconds is None else min(seconds, _LONGEST_WAIT_S)


def _until(date: str, wall_s: float) -> float | None:
    try:
        return max(parsedate_to_datetime(date).timestamp() - wall_s, 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _is_retryable(status: int, headers: Mapping[str, str]) -> bool:
    told = headers.get("x-should-retry", "").lower()
    if told in ("true", "false"):
        return told == "true"
    return status in _PASSING or status >= 500


def _message(backend: str, status: int, fault: Fault) -> str:
    # Texts about keys tend to hold parts of them.
    if status == 401:
        return f"{backend} rejects the API key that is configured for it; see `[upstreams]`"
    if status == 403:
        return f"{backend} forbids this to the API key that is configured for it (403)"
    return f"{backend}: {fault.message or status}"
