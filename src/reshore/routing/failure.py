"""What an error says about who is asked next, and about the health of who was asked. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from reshore.errors import (
    BackendError,
    BackendTimeout,
    CircuitOpen,
    ContextTooLong,
    EngineError,
    OutOfMemory,
    Overloaded,
    RequestError,
    ReshoreError,
    Stalled,
    StoreError,
    UnfitModel,
    UnknownModel,
    Unsupported,
    UpstreamStatus,
)
from reshore.routing.plan import Reason

_TOO_LONG_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
# Servers that have no code for it say so in words: vLLM and SGLang; llama.cpp's server.
_TOO_LONG_TEXTS = (b"maximum context length", b"exceed_context_size_error")
# 405 and 501: the upstream does not have the endpoint. It does not have the model: 404, with
# whatever code its maker chose.
_MISSING = frozenset({404, 405, 501})
_TIMEOUTS = frozenset({408, 504, 524})  # 524: Cloudflare's, for an origin that is too slow
_OVERLOADS = frozenset({429, 503, 529})  # 529: Anthropic's, for a service under too much load
_OUR_ACCOUNT = frozenset({401, 402, 403})


def reason_for(error: BaseException) -> Reason | None:
    """Why another target may be asked after `error`; None: it is the request's own fault.

    What a damaged or missing file of the store comes to is an `error` like a dead engine: the
    local side cannot answer, another one can.
    """
    match error:
        case UpstreamStatus():
            return _reason_for_status(error)
        case ContextTooLong():
            return "context"
        case UnknownModel() | UnfitModel() | Unsupported():
            return "capability"
        case BackendTimeout() | Stalled():
            return "timeout"
        case Overloaded() | OutOfMemory():
            return "overload"
        case BackendError() | EngineError() | StoreError():
            return "error"
        case _:
            return None


def _reason_for_status(error: UpstreamStatus) -> Reason | None:
    status = error.status
    if error.code in _TOO_LONG_CODES or status == 413 or _complains_of_length(error):
        return "context"
    if error.code == "model_not_found" or status in _MISSING:
        return "capability"
    if status in _TIMEOUTS:
        return "timeout"
    if status in _OVERLOADS:
        return "overload"
    if status >= 500 or status in _OUR_ACCOUNT or error.retryable:
        return "error"
    return None


def _complains_of_length(error: UpstreamStatus) -> bool:
    return error.status in (400, 422) and any(text in error.body for text in _TOO_LONG_TEXTS)


def blames_backend(error: BaseException) -> bool:
    """Whether `error` speaks against the health of the backend that was asked.

    A 4xx is the answer of a healthy one, except 408 and 429.
    """
    if isinstance(error, UpstreamStatus):
        return error.status >= 500 or error.status in (408, 429)
    return isinstance(error, BackendError)


def most_useful(failures: Sequence[Exception]) -> Exception:
    """The error that the client gets when every target has failed, in the order they were asked.

    The one that tells most about what to do next. A target that understood the request and
    refused it: it must be changed. Then what may pass, with the shortest wait first: sent again,
    the request can succeed, whatever the other targets lack. Then what the operator must see to.
    Last what this target can never do, as it only counts when no other target could have helped.
    Among equals the first, which is the one that the policy prefers.
    """
    return min(failures, key=_rank)


def _rank(error: Exception) -> tuple[int, float]:
    if not isinstance(error, ReshoreError):
        return 7, 0.0  # a fault of ours, about which a client can learn nothing
    wait_s: float | None = getattr(error, "retry_after_s", None)
    match reason_for(error):
        case None:
            return 0, 0.0
        case "overload":
            return 1, float("inf") if wait_s is None else wait_s
        case "timeout":
            return 2, 0.0
        case "error":
            if isinstance(error, CircuitOpen):
                return 4, 0.0  # it only repeats what went wrong before
            may_pass = isinstance(error, EngineError) or getattr(error, "retryable", False)
            return (3 if may_pass else 5), 0.0
        case "context" | "capability":
            return 6, 0.0


def told(error: BaseException) -> str:
    """`error` for a log line, without anything that could come from a prompt or from a key."""
    name = named(error)
    if isinstance(error, UpstreamStatus):
        return f"{name} ({error.code})" if error.code else name
    if isinstance(error, RequestError) or not isinstance(error, ReshoreError):
        return name
    return f"{name}: {error}"


def named(error: BaseException) -> str:
    """`error` for a client that was answered by somebody else: `UpstreamStatus 429`."""
    name = type(error).__name__
    return f"{name} {error.status}" if isinstance(error, UpstreamStatus) else name
