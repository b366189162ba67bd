"""The model list through the official Python SDK."""

from __future__ import annotations

import openai
import pytest
from openai import OpenAI


def test_installed_models_and_exact_aliases_are_listed(scripted: OpenAI) -> None:
    models = {model.id: model for model in scripted.models.list()}
    assert models.keys() >= {
        "tiny:latest",
        "tools:latest",
        "team/embed:latest",
        "gpt-4o-mini",
        "text-embedding-3-small",
    }
    assert not any("*" in name for name in models)
    assert {model.object for model in models.values()} == {"model"}
    assert all(model.created > 1_700_000_000 for model in models.values())


@pytest.mark.parametrize(
    "name", ["tiny", "tiny:latest", "team/embed", "team/embed:latest", "gpt-4o-mini"]
)
def test_a_model_is_found_under_each_of_its_names(scripted: OpenAI, name: str) -> None:
    """The SDK writes the slash of `team/embed` as %2F."""
    assert scripted.models.retrieve(name).id == name


def test_an_unknown_model_is_not_found(scripted: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        scripted.models.retrieve("team/nothing")
    assert caught.value.code == "model_not_found"
