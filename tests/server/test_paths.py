"""Which endpoint answers a path."""

from __future__ import annotations

import pytest
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from reshore.server.paths import Paths


class Answered:
    """An endpoint that leaves its name and what the path said in the scope."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["answered"] = (self._name, scope.get("path_params", {}).get("model"))


@pytest.fixture
def paths() -> ASGIApp:
    return Paths(
        [
            Route("/v1/models", Answered("list"), methods=["GET"]),
            Route("/v1/models/{model:path}", Answered("one"), methods=["GET"]),
            Route("/v1/models/first", Answered("never"), methods=["POST"]),
            Route("/v1/models", Answered("never"), methods=["GET"]),
        ],
        Answered("otherwise"),
    )


@pytest.mark.parametrize(
    ("method", "path", "answered"),
    [
        ("GET", "/v1/models", ("list", None)),
        ("HEAD", "/v1/models", ("list", None)),
        ("GET", "/v1/models/a/b", ("one", "a/b")),
        ("GET", "/v1/models/", ("one", "")),
        ("GET", "/v1/else", ("otherwise", None)),
    ],
)
async def test_the_first_route_that_fits_answers(
    paths: ASGIApp, method: str, path: str, answered: tuple[str, str | None]
) -> None:
    scope: Scope = {"type": "http", "method": method, "path": path}
    await paths(scope, _never, _never)
    assert scope["answered"] == answered


async def _never(*_: object) -> None:
    raise AssertionError("endpoints of this test neither read nor write")
