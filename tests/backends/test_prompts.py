"""Task prefixes are added when they are asked for, and never otherwise."""

from __future__ import annotations

import msgspec
import pytest

from reshore.backends.prompts import HEADER, with_prompt
from reshore.config import ModelConfig
from reshore.errors import RequestError
from reshore.models.facts import Servable
from reshore.types import EmbedRequest
from tests.engine.samples import encoder, servable

NOTHING = ModelConfig()


def nomic() -> Servable:
    model = servable(encoder(architecture="nomic-bert", name="nomic-embed-text-v1.5"))
    return msgspec.structs.replace(model, name="search:latest")


def ask(*inputs: str | tuple[int, ...], prompt_name: str | None = None) -> EmbedRequest:
    return EmbedRequest(model="search", inputs=inputs, prompt_name=prompt_name)


def test_nothing_is_added_silently() -> None:
    request = ask("a", (1, 2))
    assert with_prompt(request, nomic(), NOTHING) == (request, {})


def test_a_prompt_by_name_stands_before_every_input_and_is_told() -> None:
    found, notices = with_prompt(ask("a", "b", prompt_name="query"), nomic(), NOTHING)
    assert found.inputs == ("search_query: a", "search_query: b")
    assert notices == {HEADER: "query"}


def test_the_settings_may_name_one_for_requests_that_do_not() -> None:
    settings = ModelConfig(prompt_name="document")
    found, notices = with_prompt(ask("a"), nomic(), settings)
    assert found.inputs == ("search_document: a",)
    assert notices == {HEADER: "document"}
    found, _ = with_prompt(ask("a", prompt_name="query"), nomic(), settings)
    assert found.inputs == ("search_query: a",)


def test_prompts_of_the_settings_come_over_the_known_ones() -> None:
    settings = ModelConfig(prompts={"query": "Q: ", "mine": "M: "})
    found, _ = with_prompt(ask("a", prompt_name="query"), nomic(), settings)
    assert found.inputs == ("Q: a",)
    found, notices = with_prompt(ask("a", prompt_name="mine"), servable(encoder()), settings)
    assert found.inputs == ("M: a",)
    assert notices == {HEADER: "mine"}


def test_an_unknown_prompt_names_those_that_there_are() -> None:
    with pytest.raises(RequestError, match="it has: query, document, classification") as caught:
        with_prompt(ask("a", prompt_name="search"), nomic(), NOTHING)
    assert (caught.value.param, caught.value.code) == ("prompt_name", "invalid_value")
    with pytest.raises(RequestError, match="none is known for it"):
        with_prompt(ask("a", prompt_name="query"), servable(encoder()), NOTHING)


def test_no_text_can_be_put_before_token_ids() -> None:
    with pytest.raises(RequestError, match="input 1 is token ids"):
        with_prompt(ask("a", (1, 2), prompt_name="query"), nomic(), NOTHING)


def test_a_name_with_other_letters_is_safe_in_a_header() -> None:
    settings = ModelConfig(prompts={"frage\r\nx: ü": "F: "})
    _, notices = with_prompt(ask("a", prompt_name="frage\r\nx: ü"), nomic(), settings)
    assert notices[HEADER] == "frage  x: ?"
