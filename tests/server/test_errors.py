"""Every exception of ours has a status, a type and a code."""

import json

import pytest

from reshore import errors
from reshore.server.errors import render


def instances() -> list[errors.ReshoreError]:
    special: dict[type, errors.ReshoreError] = {
        errors.UnknownModel: errors.UnknownModel("m"),
        errors.UnfitModel: errors.UnfitModel("m", state="unsupported", why="It is odd."),
        errors.ContextTooLong: errors.ContextTooLong(prompt_tokens=9, context_length=4),
        errors.LacksCapability: errors.LacksCapability("no", model="m", capability="vision"),
        errors.UnfitModel: errors.UnfitModel("m", state="unsupported", why="no"),
        errors.Overloaded: errors.Overloaded("full", retry_after_s=2.2),
        errors.RouteConflict: errors.RouteConflict(expected=3, version=4),
        errors.CircuitOpen: errors.CircuitOpen("open", backend="b", retry_after_s=3.4),
        errors.UpstreamStatus: errors.UpstreamStatus("no", backend="b", status=500),
        errors.DigestMismatch: errors.DigestMismatch("blob", want="a", got="b"),
        errors.UnfitSource: errors.UnfitSource("m", called="m", state="unsupported", why="no"),
        errors.ReadOnlyModel: errors.ReadOnlyModel("m", root="/far"),
        errors.LicenceNotAccepted: errors.LicenceNotAccepted("m", licence="l", text="t"),
    }
    found = []
    todo: list[type[errors.ReshoreError]] = [errors.ReshoreError]
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if kind in special:
            found.append(special[kind])
        elif issubclass(kind, errors.BackendError):
            found.append(kind("what", backend="b"))
        elif issubclass(kind, errors.EngineError):
            found.append(kind("what", model="m"))
        else:
            found.append(kind("what"))
    return found


@pytest.mark.parametrize("error", instances(), ids=lambda error: type(error).__name__)
def test_each_error_is_an_object_that_openais_clients_read(error: errors.ReshoreError) -> None:
    rendered = render(error)
    body = json.loads(rendered.body)["error"]
    assert set(body) == {"message", "type", "param", "code"}
    assert 400 <= rendered.status < 600
    assert rendered.event.startswith(b"data: {")
    event = json.loads(rendered.event.removeprefix(b"data: "))
    assert event["error"]["message"] == body["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UnknownModel("m"), 404),
        (errors.Unauthorized("x"), 401),
        (errors.BodyTooLarge("x"), 413),
        (errors.Overloaded("x", retry_after_s=1), 503),
        (errors.Stalled("x", model="m"), 504),
        (errors.Crashed("x", model="m"), 502),
        (errors.Unsupported("x"), 400),
        (errors.UnfitModel("m", state="needs a fix", why="x"), 400),
        (errors.ReadOnlyModel("m", root="/far"), 403),
    ],
)
def test_statuses(error: errors.ReshoreError, status: int) -> None:
    assert render(error).status == status


def test_overload_says_when_to_come_back_in_whole_seconds() -> None:
    headers = dict(render(errors.Overloaded("x", retry_after_s=2.2)).headers)
    assert headers[b"retry-after"] == b"3"


def test_what_a_retry_cannot_cure_says_so() -> None:
    headers = dict(render(errors.OutOfMemory("x", model="m")).headers)
    assert headers == {b"x-should-retry": b"false"}


def test_an_error_that_is_not_ours_keeps_its_text_to_itself() -> None:
    rendered = render(ValueError("/secret/path 0x7f0000000000"))
    assert rendered.status == 500
    assert b"secret" not in rendered.body
