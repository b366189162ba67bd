"""Structured logs: one JSON line per event on stderr, one per request, never any prompt text."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import msgspec

from reshore.types import Outcome

_encode = msgspec.json.Encoder(enc_hook=str).encode

# Attributes every LogRecord has; whatever else a record carries was given as `extra`.
_PLAIN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
}

_API_PREFIXES = ("/v1/", "/api/")

_LONGEST = 256  # characters of one field

_requests = logging.getLogger("reshore.request")


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message and its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line).decode()


def configure(level: str = "INFO") -> None:
    """Send the logs of reshore, and warnings of everything else, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("reshore").setLevel(level)


def record_outcome(outcome: Outcome) -> None:
    """The line of one request. Fields without a value are left out.

    Probes and the command line's own questions that went well are for debugging only.
    """
    quiet = outcome.status < 400 and not outcome.path.startswith(_API_PREFIXES)
    level = logging.DEBUG if quiet else logging.INFO
    if not _requests.isEnabledFor(level):
        return
    fields = {
        "request_id": outcome.request_id,
        "method": outcome.method,
        "path": _cut(outcome.path),
        "status": outcome.status,
        "total_ms": round(outcome.total_ms, 2),
        "stream": outcome.stream,
        "asked_model": _cut(outcome.asked_model),
        "model": outcome.model,
        "ttft_ms": None if outcome.ttft_ms is None else round(outcome.ttft_ms, 2),
        "error": outcome.error,
    }
    if outcome.decision is not None:
        fields["side"] = outcome.side
        fields["route"] = outcome.decision.route or None
        fields["version"] = outcome.decision.version or None
        fields["attempts"] = len(outcome.attempts)
    if outcome.usage is not None:
        fields["prompt_tokens"] = outcome.usage.prompt_tokens
        fields["completion_tokens"] = outcome.usage.completion_tokens
        fields["cached_tokens"] = outcome.usage.cached_tokens
    if outcome.timings is not None and outcome.timings.load_ms:
        fields["load_ms"] = round(outcome.timings.load_ms, 1)
    _requests.log(level, "request", extra={k: v for k, v in fields.items() if v is not None})


def _cut(text: str | None) -> str | None:
    """What comes from a client has an end."""
    return text if text is None or len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
