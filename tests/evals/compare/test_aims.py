"""Who is asked."""

from __future__ import annotations

import pytest

from reshore.errors import CompareError, RouteError
from reshore.evals.compare.aims import aim, aims


def test_a_side_is_asked_past_the_routes_and_a_name_by_them() -> None:
    cloud, local, name = aims(("cloud:openai/gpt-4o", "local:qwen2.5:7b", "gpt-4o"))
    assert cloud.path == "/admin/ask?target=cloud%3Aopenai%2Fgpt-4o"
    assert (cloud.model, local.model, name.model) == ("gpt-4o", "qwen2.5:7b", "gpt-4o")
    assert name.path == "/v1/chat/completions"


def test_models_of_this_machine_take_turns_and_others_do_not_wait() -> None:
    lanes = [each.lane for each in aims(("local:a", "local:b", "cloud:u/c", "cloud:u/d", "e"))]
    assert lanes == ["local", "local", "cloud:u/c", "cloud:u/d", "e"]


@pytest.mark.parametrize("text", ["", "local", "cloud", "cloud:openai"])
def test_a_side_without_a_model_is_no_target(text: str) -> None:
    with pytest.raises(CompareError, match="names no model"):
        aim(text)


def test_what_looks_like_a_target_and_is_none_is_told() -> None:
    with pytest.raises(RouteError):
        aim("cloud:a b/c, d")


@pytest.mark.parametrize(
    ("texts", "says"), [(("a",), "two targets are needed"), (("a", "b", "a"), "given twice")]
)
def test_a_comparison_has_different_targets(texts: tuple[str, ...], says: str) -> None:
    with pytest.raises(CompareError, match=says):
        aims(texts)
