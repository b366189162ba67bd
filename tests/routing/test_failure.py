"""Errors are reasons to ask another target, or the request's own fault."""

from __future__ import annotations

import itertools

import pytest

from reshore import errors
from reshore.routing.failure import blames_backend, most_useful, named, reason_for, told
from reshore.routing.plan import Reason
from tests.server.test_errors import instances


def status(code: int, *, name: str | None = None, body: bytes = b"", again: bool = False):
    return errors.UpstreamStatus(
        "no", backend="b", status=code, code=name, body=body, retryable=again
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.ContextTooLong(prompt_tokens=9, context_length=4), "context"),
        (errors.UnknownModel("m"), "capability"),
        (errors.UnfitModel("m", state="unsupported", why="no"), "capability"),
        (errors.LacksCapability("no", model="m", capability="vision"), "capability"),
        (errors.Unsupported("no"), "capability"),
        (errors.BackendTimeout("slow", backend="b"), "timeout"),
        (errors.Stalled("slow", model="m"), "timeout"),
        (errors.Overloaded("full", retry_after_s=1), "overload"),
        (errors.OutOfMemory("full", model="m"), "overload"),
        (errors.Unreachable("gone", backend="b"), "error"),
        (errors.CircuitOpen("rests", backend="b", retry_after_s=1), "error"),
        (errors.BadReply("odd", backend="b"), "error"),
        (errors.Crashed("died", model="m"), "error"),
        (errors.StartFailed("died", model="m"), "error"),
        (errors.BadModelFile("damaged"), "error"),
        (errors.RequestError("bad"), None),
        (errors.LoopDetected("again"), None),
        (errors.ShuttingDown("bye"), None),
        (errors.ConfigError("odd"), None),
        (KeyError("bug"), None),
        (status(400), None),
        (status(422), None),
        (status(409), None),
        (status(409, again=True), "error"),
        (status(400, name="context_length_exceeded"), "context"),
        (status(400, name="exceed_context_size_error"), "context"),
        (status(400, body=b"This model's maximum context length is 4096"), "context"),
        (status(413), "context"),
        (status(404, name="model_not_found"), "capability"),
        (status(404), "capability"),
        (status(501), "capability"),
        (status(408), "timeout"),
        (status(504), "timeout"),
        (status(429), "overload"),
        (status(503), "overload"),
        (status(529), "overload"),
        (status(500), "error"),
        (status(502, body=b"maximum context length"), "error"),
        (status(401), "error"),
        (status(403), "error"),
        (status(402), "error"),
    ],
    ids=lambda value: told(value) if isinstance(value, Exception) else str(value),
)
def test_reasons(error: Exception, reason: Reason | None) -> None:
    assert reason_for(error) == reason


@pytest.mark.parametrize("error", instances(), ids=lambda error: type(error).__name__)
def test_no_error_of_ours_is_forgotten(error: errors.ReshoreError) -> None:
    """Whatever fails on a backend's side is a reason; what the client sent is none."""
    backends = errors.BackendError | errors.EngineError | errors.Overloaded | errors.StoreError
    if isinstance(error, backends):
        assert reason_for(error) is not None
    assert most_useful([error]) is error


def test_a_refusal_of_the_request_does_not_speak_against_the_upstream() -> None:
    for code in (400, 401, 403, 404, 409, 422):
        assert not blames_backend(status(code))
    assert not blames_backend(errors.Unsupported("no"))
    assert not blames_backend(errors.Overloaded("keys rest", retry_after_s=1))


def test_trouble_speaks_against_the_upstream() -> None:
    for code in (408, 429, 500, 503, 529):
        assert blames_backend(status(code))
    assert blames_backend(errors.Unreachable("gone", backend="b"))
    assert blames_backend(errors.BackendTimeout("slow", backend="b"))


def test_the_most_useful_error_says_what_the_client_can_do() -> None:
    """From most to least useful, in whatever order the targets were asked."""
    ranked: list[Exception] = [
        status(400),
        errors.Overloaded("full", retry_after_s=2),
        status(429),
        errors.BackendTimeout("slow", backend="b"),
        status(500, again=True),
        errors.CircuitOpen("rests", backend="b", retry_after_s=1),
        status(401),
        errors.ContextTooLong(prompt_tokens=9, context_length=4),
        KeyError("bug"),
    ]
    for better, worse in itertools.combinations(ranked, 2):
        assert most_useful([better, worse]) is better
        assert most_useful([worse, better]) is better


def test_of_two_overloads_the_shorter_wait_is_told() -> None:
    long = errors.Overloaded("full", retry_after_s=20)
    short = errors.UpstreamStatus("no", backend="b", status=429, retry_after_s=3)
    assert most_useful([long, short]) is short


def test_among_equals_the_first_target_is_heard() -> None:
    first, second = errors.BadReply("one", backend="a"), errors.BadReply("two", backend="b")
    assert most_useful([first, second]) is first


def test_log_lines_hold_nothing_that_could_come_from_a_prompt() -> None:
    secret = errors.UpstreamStatus("you said: secret", backend="b", status=400, code="invalid")
    assert told(secret) == "UpstreamStatus 400 (invalid)"
    assert told(errors.RequestError("secret is no tool")) == "RequestError"
    assert told(KeyError("secret")) == "KeyError"
    assert told(errors.Unreachable("no route", backend="b")) == "Unreachable: no route"


def test_a_client_is_told_no_more_of_it_than_what_it_was() -> None:
    """Addresses of upstreams are no business of who was answered by another one."""
    refused = errors.UpstreamStatus("slow down", backend="b", status=429, code="rate")
    assert named(refused) == "UpstreamStatus 429"
    assert named(errors.Unreachable("no route to 10.0.0.7", backend="b")) == "Unreachable"
