"""From `[routes]` to routes."""

import pytest

from reshore.config import RouteConfig
from reshore.errors import ConfigError
from reshore.routing.policy import Cloud, Hybrid, Local, Route
from reshore.routing.routes import read_routes


def test_texts_and_tables_are_read() -> None:
    table = {
        "a": "cloud:openai",
        "b*": RouteConfig(
            policy="hybrid", local="m", cloud="openai/x", pins=False, mix_embeddings=True
        ),
    }
    assert read_routes(table) == (
        Route(pattern="a", policy=Cloud("openai")),
        Route(
            pattern="b*",
            policy=Hybrid(),
            local="m",
            cloud="openai/x",
            pins=False,
            mix_embeddings=True,
        ),
    )


def test_settings_and_routes_have_the_same_defaults() -> None:
    assert read_routes({"a": "local"}) == (Route(pattern="a", policy=Local()),)
    assert read_routes({"a": RouteConfig(policy="local")}) == read_routes({"a": "local"})


def test_what_is_wrong_is_named_by_its_key() -> None:
    with pytest.raises(ConfigError, match=r'routes\."gpt-4o": policy \'locl\', character 1: '):
        read_routes({"x": "local", "gpt-4o": "locl"})
