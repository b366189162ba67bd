"""The admin API of the routes, over HTTP and with its keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reshore.errors import ConfigError
from tests.server.harness import MODEL, Server, chat_body, echo_config, running

CLOUD = {"upstreams": {"openai": {"url": "http://127.0.0.1:9/v1"}}}


async def ask(
    server: Server, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    """Status and JSON of an admin request."""
    async with server.session.request(
        method, server.url + path, json=body, headers=headers
    ) as response:
        return response.status, await response.json()


async def told(server: Server, method: str, path: str, body: Any = None) -> Any:
    status, reply = await ask(server, method, path, body)
    assert status == 200, reply
    return reply


async def test_a_route_is_set_shown_compared_and_rolled_back(home: Path) -> None:
    async with running(echo_config(home, **CLOUD), admin=True) as server:
        wish = {"policy": "split(local=10, cloud=90)", "why": "a tenth", "author": "ada"}
        set_ = await told(server, "PUT", "/admin/routes/gpt-4o-mini", wish)
        assert set_["changes"] == ["+ gpt-4o-mini: split(local=10, cloud=90)"]
        assert (set_["before"], set_["version"]) == (0, 1)
        await told(server, "PUT", "/admin/routes/gpt-4o-mini", {"policy": "local", "local": MODEL})
        shown = await told(server, "GET", "/admin/routes")
        assert shown["version"]["routes"]["gpt-4o-mini"]["policy"] == "local"
        assert shown["version"]["number"] == 2
        assert shown["breakers"] == []
        [latest, first] = await told(server, "GET", "/admin/routes/history")
        assert (latest["number"], latest["in_force"], latest["parent"]) == (2, True, 1)
        assert (first["author"], first["reason"]) == ("ada", "a tenth")
        assert (await told(server, "GET", "/admin/routes/history?limit=1&before=2")) == [first]
        diff = await told(server, "GET", "/admin/routes/diff?from=1&to=2")
        assert diff["changes"] == [
            f"~ gpt-4o-mini: split(local=10, cloud=90) -> local [local {MODEL}]"
        ]
        assert (await server.chat("hi", model="gpt-4o-mini"))["model"] == MODEL
        back = await told(server, "POST", "/admin/rollback", {"author": "bob"})
        assert (back["before"], back["version"]) == (2, 3)
        assert (await told(server, "GET", "/admin/routes/1"))["routes"] == (
            await told(server, "GET", "/admin/routes/3")
        )["routes"]


async def test_a_route_keeps_what_a_change_of_its_policy_does_not_name(home: Path) -> None:
    async with running(echo_config(home, **CLOUD), admin=True) as server:
        path = "/admin/routes/ft:gpt-4o-mini:*"
        await told(server, "PUT", path, {"policy": "cloud", "cloud": "openai/x", "pins": False})
        await told(server, "PUT", path, {"policy": "local", "local": MODEL})
        shown = await told(server, "GET", "/admin/routes")
        assert shown["version"]["routes"]["ft:gpt-4o-mini:*"] == {
            "policy": "local",
            "local": MODEL,
            "cloud": "openai/x",
            "pins": False,
            "mix_embeddings": False,
        }


async def test_names_with_slashes_and_marks_are_routes_too(home: Path) -> None:
    async with running(echo_config(home), admin=True) as server:
        path = "/admin/routes/hf.co%2Fowner%2Frepo%3AQ4%3F"
        await told(server, "PUT", path, {"policy": f"local:{MODEL}"})
        shown = await told(server, "GET", "/admin/routes")
        assert list(shown["version"]["routes"]) == ["hf.co/owner/repo:Q4?"]
        await told(server, "DELETE", path)
        assert (await told(server, "GET", "/admin/routes"))["version"]["routes"] == {}


async def test_the_panic_switch_turns_everything_to_one_side_and_back(home: Path) -> None:
    async with running(echo_config(home, **CLOUD), admin=True) as server:
        await told(server, "PUT", "/admin/routes/gpt-4o", {"policy": "cloud", "local": MODEL})
        changed = await told(server, "POST", "/admin/panic", {"side": "local", "why": "outage"})
        assert changed["changes"] == ["~ panic switch: off -> all local"]
        response, _ = await server.post("/v1/chat/completions", chat_body("hi", model="gpt-4o"))
        assert response.status == 200
        assert "panic switch: all local" in response.headers["x-reshore-decision"]
        await told(server, "POST", "/admin/panic", {"side": None})
        assert (await told(server, "GET", "/admin/routes"))["version"]["override"] is None


async def test_a_request_is_explained_as_it_would_be_decided(home: Path) -> None:
    async with running(echo_config(home, **CLOUD), admin=True) as server:
        wish = {"policy": "hybrid(threshold=0.5)", "local": MODEL}
        await told(server, "PUT", "/admin/routes/gpt-4o", wish)
        said = await told(server, "POST", "/admin/explain", chat_body("hi", model="gpt-4o"))
        assert (said["route"], said["decision"]["side"]) == ("gpt-4o", "local")
        assert said["complexity"]["score"] < 0.5
        _, pinned = await ask(
            server,
            "POST",
            "/admin/explain",
            chat_body("hi", model="gpt-4o"),
            **{"x-reshore-route": "cloud"},
        )
        assert pinned["plan"] == "cloud:openai/gpt-4o"
        embedded = await told(server, "POST", "/admin/explain", {"model": MODEL, "input": "x"})
        assert embedded["complexity"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("PUT", "/admin/routes/x", {"policy": "splitt(local=1)"}, 400, "Did you mean split?"),
        ("PUT", "/admin/routes/x", {"policy": "cloud:azure"}, 400, "no upstream 'azure'"),
        ("PUT", "/admin/routes/x", {"polcy": "local"}, 400, "polcy"),
        ("PUT", "/admin/routes/x", {"policy": 3}, 400, "Expected `str`"),
        ("PUT", "/admin/routes/x", {"policy": "local", "if_version": 7}, 409, "version 0"),
        ("DELETE", "/admin/routes/x", None, 404, "there is no route 'x'"),
        ("GET", "/admin/routes/9", None, 404, "no version 9"),
        ("GET", "/admin/routes/nine", None, 400, "number of a version, not 'nine'"),
        ("GET", f"/admin/routes/{'9' * 5000}", None, 400, "number must be"),
        ("GET", "/admin/routes/diff?from=1", None, 400, "?from=12&to=15"),
        ("GET", "/admin/routes/history?limit=many", None, 400, "limit must be"),
        ("GET", f"/admin/routes/history?limit={'9' * 5000}", None, 400, "limit must be"),
        ("POST", "/admin/rollback", None, 400, "no version before"),
        ("POST", "/admin/rollback", {"to": 4}, 404, "no version 4"),
        ("POST", "/admin/panic", {}, 400, "side"),
        ("POST", "/admin/explain?kind=poem", {"model": "x"}, 400, "kind is one of chat"),
        (
            "PUT",
            "/admin/routes/text-embedding-3-small",
            {"policy": "split(local:nomic-embed-text=1, cloud=1)"},
            400,
            "cannot be compared",
        ),
    ],
)
async def test_what_cannot_be_done_says_why_and_changes_nothing(
    home: Path, method: str, path: str, body: Any, status: int, says: str
) -> None:
    async with running(echo_config(home, **CLOUD), admin=True) as server:
        found, reply = await ask(server, method, path, body)
        assert (found, says in reply["error"]["message"]) == (status, True), reply
        assert (await told(server, "GET", "/admin/routes"))["version"]["number"] == 0
        assert not (home / "routes").exists()


async def test_embeddings_of_several_models_can_be_forced(home: Path) -> None:
    async with running(echo_config(home, **CLOUD), admin=True) as server:
        policy = "split(local:nomic-embed-text=1, cloud=1)"
        path = "/admin/routes/text-embedding-3-small"
        changed = await told(server, "PUT", path, {"policy": policy, "force": True})
        assert changed["changes"][0].endswith("[mixed embeddings]")


async def test_of_changes_for_one_version_only_the_first_is_made(home: Path) -> None:
    async with running(echo_config(home), admin=True) as server:
        wishes = [
            ask(server, "PUT", f"/admin/routes/m{i}", {"policy": "local", "if_version": 0})
            for i in range(5)
        ]
        statuses = sorted([status for status, _ in await asyncio.gather(*wishes)])
        assert statuses == [200, 409, 409, 409, 409]
        assert len(await told(server, "GET", "/admin/routes/history")) == 1


# Keys


async def test_without_an_admin_key_nobody_finds_the_admin_api_on_the_public_address(
    home: Path,
) -> None:
    async with running(echo_config(home, api_key="client")) as server:
        for headers in ({}, {"authorization": "Bearer client"}):
            status, reply = await ask(server, "GET", "/admin/routes", **headers)
            assert (status, reply["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize("client_keys", ["", "client"])
async def test_an_admin_key_opens_the_admin_api_and_a_client_key_does_not(
    home: Path, client_keys: str
) -> None:
    (home / "admin.key").write_text("# who operates\nsecret-1\nsecret-2\n")
    config = echo_config(home, api_key=client_keys, admin_key_file="admin.key")
    async with running(config) as server:
        for headers in ({}, {"authorization": "Bearer client"}):
            status, _ = await ask(server, "POST", "/admin/panic", {"side": "local"}, **headers)
            assert status == 401
        for key in ("secret-1", "secret-2"):
            status, _ = await ask(server, "GET", "/admin/routes", authorization=f"Bearer {key}")
            assert status == 200
        status, _ = await ask(server, "GET", "/admin/else", authorization="Bearer secret-1")
        assert status == 404


async def test_who_gives_no_name_is_known_by_the_key(home: Path) -> None:
    async with running(echo_config(home, admin_key="secret")) as server:
        for body in ({"policy": "local:a"}, {"policy": "local:b", "author": "ada"}):
            status, _ = await ask(
                server, "PUT", "/admin/routes/gpt-4o", body, authorization="Bearer secret"
            )
            assert status == 200
        _, past = await ask(server, "GET", "/admin/routes/history", authorization="Bearer secret")
        assert [each["author"] for each in past] == ["ada", "key 2bb80d53"]


async def test_an_admin_key_is_no_client_key(home: Path) -> None:
    config = echo_config(home, api_key="client", admin_key="secret")
    async with running(config) as server:
        status, _ = await ask(server, "GET", "/v1/models", authorization="Bearer secret")
        assert status == 401


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"api_key": "a,b", "admin_key": "b"}, "both among the admin keys and in api_key"),
        ({"admin_key_file": "nowhere"}, "admin_key_file"),
    ],
)
async def test_admin_keys_that_protect_nothing_keep_the_server_from_starting(
    home: Path, flags: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        async with running(echo_config(home, **flags)):
            pass
