"""Every exception of ours has a status and a text on the native API, too."""

import json

import pytest

from reshore import errors
from reshore.server.ollama_errors import render_native, speaks_native
from tests.server.test_errors import instances


@pytest.mark.parametrize("error", instances(), ids=lambda error: type(error).__name__)
def test_each_error_is_a_text_and_nothing_else(error: errors.ReshoreError) -> None:
    rendered = render_native(error, path="/api/chat", asked="m")
    body = json.loads(rendered.body)
    assert body == {"error": rendered.message}
    assert rendered.message
    assert 400 <= rendered.status < 600
    assert rendered.event == rendered.body + b"\n"


def lacks(capability: str) -> errors.LacksCapability:
    return errors.LacksCapability("no", model="team/x:latest", capability=capability)


@pytest.mark.parametrize(
    ("error", "path", "status", "text"),
    [
        (errors.UnknownModel("x"), "/api/chat", 404, "model 'X' not found"),
        (errors.UnknownModel("x"), "/api/show", 404, "model 'X' not found"),
        (errors.UnknownModel("x"), "/api/delete", 404, "model 'X' not found"),
        (errors.UnknownModel("x"), "/api/copy", 404, 'model "X" not found'),
        (
            errors.UnknownModel("x"),
            "/api/embed",
            404,
            'model "X" not found, try pulling it first',
        ),
        (lacks("completion"), "/api/chat", 400, '"X" does not support chat'),
        (lacks("completion"), "/api/generate", 400, '"X" does not support generate'),
        (lacks("thinking"), "/api/chat", 400, '"X" does not support thinking'),
        (
            lacks("vision"),
            "/api/chat",
            400,
            "registry.ollama.ai/team/x:latest does not support vision",
        ),
        (errors.EmptyBody(""), "/api/chat", 400, "missing request body"),
        (
            errors.Overloaded("full", retry_after_s=1),
            "/api/chat",
            503,
            "server busy, please try again.  maximum pending requests exceeded",
        ),
        (
            errors.ContextTooLong(prompt_tokens=9, context_length=4),
            "/api/embed",
            400,
            "the input length exceeds the context length",
        ),
        (
            errors.ContextTooLong(prompt_tokens=9, context_length=4, setting="num_ctx"),
            "/api/chat",
            400,
            "the prompt is longer than the context length currently available to the model; "
            "shorten the prompt (9 tokens, the context has 4) or raise `num_ctx`",
        ),
        (errors.WrongOptionType('option "x"'), "/api/chat", 500, 'option "x"'),
        (errors.Stalled("slow", model="m"), "/api/chat", 500, "slow"),
    ],
)
def test_texts_and_statuses_are_ollamas(
    error: errors.ReshoreError, path: str, status: int, text: str
) -> None:
    rendered = render_native(error, path=path, asked="X")
    assert (rendered.status, rendered.message) == (status, text)


def test_advice_to_retry_is_kept() -> None:
    busy = errors.Overloaded("full", retry_after_s=2.2)
    rendered = render_native(busy, path="/api/chat", asked="m")
    assert dict(rendered.headers)[b"retry-after"] == b"3"


def test_an_error_that_is_not_ours_keeps_its_text_to_itself() -> None:
    rendered = render_native(ValueError("/secret/path"), path="/api/chat", asked="m")
    assert rendered.status == 500
    assert b"secret" not in rendered.body


def test_only_the_native_api_is_answered_this_way() -> None:
    assert speaks_native("/api/chat")
    assert not speaks_native("/v1/chat/completions")
    assert not speaks_native("/apis")
