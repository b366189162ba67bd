"""Who answers: pins, privacy, keys, loops, and what a reply tells of it."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, chat_body, echo_config, install, running
from tests.server.routed import CHAT, REPLY, ask, decided, routed

BOTH = f'[routes]\n"gpt-4o" = {{ policy = "cloud", local = "{MODEL}" }}'


async def test_a_pin_sends_a_request_to_its_side(home: Path) -> None:
    async with routed(home, BOTH) as it:
        for side, asked in (("local", 0), ("cloud", 1)):
            response, _ = await it.server.post(CHAT, ask(), headers={"x-reshore-route": side})
            header = decided(response.headers)
            assert header["side"] == side
            assert f"pinned to {side}" in header["why"]
            assert len(it.cloud.seen) == asked


async def test_a_pin_must_name_a_side(home: Path) -> None:
    async with routed(home, BOTH) as it:
        response, reply = await it.server.post(CHAT, ask(), headers={"x-reshore-route": "moon"})
        assert response.status == 400
        assert reply["error"]["param"] == "x-reshore-route"


async def test_a_route_may_allow_no_pins(home: Path) -> None:
    toml = '[routes]\n"gpt-4o" = { policy = "cloud", pins = false }'
    async with routed(home, toml) as it:
        response, reply = await it.server.post(CHAT, ask(), headers={"x-reshore-route": "cloud"})
        assert response.status == 400
        assert reply["error"]["code"] == "pin_not_allowed"


async def test_what_is_private_stays_here_whatever_is_pinned(home: Path) -> None:
    toml = f"{BOTH}\n[privacy]\npatterns = ['IBAN']"
    async with routed(home, toml) as it:
        body = ask(messages=[{"role": "user", "content": "my IBAN"}])
        response, _ = await it.server.post(CHAT, body, headers={"x-reshore-route": "cloud"})
        assert decided(response.headers)["side"] == "local"
        assert it.cloud.seen == []
        response, _ = await it.server.post(CHAT, ask())
        assert decided(response.headers)["side"] == "cloud"
    [first, _] = it.server.outcomes
    assert first.decision is not None
    assert first.decision.private


async def test_what_is_private_and_not_answered_here_is_refused(home: Path) -> None:
    async with routed(home, '[privacy]\nnames = ["secret*"]') as it:
        response, reply = await it.server.post(CHAT, ask("secret-1"))
        assert response.status == 403
        assert reply["error"]["code"] == "local_only"
        assert it.cloud.seen == []
    [outcome] = it.server.outcomes
    assert (outcome.status, outcome.error, outcome.asked_model) == (403, "Forbidden", "secret-1")
    assert outcome.attempts == ()


async def test_a_key_can_be_kept_here_and_is_remembered_by_its_id(home: Path) -> None:
    key = "key-of-the-bank"
    key_id = hashlib.sha256(key.encode()).hexdigest()[:8]
    toml = f'api_key = "{key},other"\n{BOTH}\n[privacy]\nkeys = ["{key_id}"]'
    async with routed(home, toml) as it:
        sides = []
        for one in (key, "other"):
            headers = {"authorization": f"Bearer {one}"}
            response, _ = await it.server.post(CHAT, ask(), headers=headers)
            sides.append(decided(response.headers)["side"])
        assert sides == ["local", "cloud"]
    assert it.server.outcomes[0].key == key_id
    assert len({outcome.key for outcome in it.server.outcomes}) == 2


async def test_the_header_is_told_to_web_pages(home: Path) -> None:
    async with routed(home) as it:
        headers = {"origin": "http://localhost:3000"}
        response, _ = await it.server.post(CHAT, ask(), headers=headers)
        assert "x-reshore-decision" in response.headers["access-control-expose-headers"]


async def test_what_a_client_sends_cannot_break_the_header(home: Path) -> None:
    name = 'é"\\;\r\nset-cookie: x' + "y" * 1000
    async with routed(home) as it:
        response, _ = await it.server.post(CHAT, ask(name))
        header = response.headers["x-reshore-decision"]
        assert header.isascii()
        assert header.isprintable()
        assert len(header) < 1500
        assert "set-cookie" not in response.headers
        assert 'model="?\\"\\\\;??set-cookie: xyyy' in header


async def test_a_request_that_comes_back_is_a_loop(home: Path) -> None:
    """The upstream is the server itself, seen through a gateway that keeps `via`."""
    async with running(echo_config(home)) as server:
        via = f"1.1 reshore-{server.app.services.instance_id}"
        for headers in ({"via": via}, {"via": f"1.0 other, {via}"}):
            response, reply = await server.post(CHAT, chat_body("Hi"), headers=headers)
            assert response.status == 508
            assert reply["error"]["code"] == "loop_detected"
            assert response.headers["x-should-retry"] == "false"


async def test_other_reshores_may_stand_before_this_one(server: Server) -> None:
    headers = {"via": ", ".join(f"1.1 reshore-{i:012x}" for i in range(3))}
    response, _ = await server.post(CHAT, chat_body("Hi"), headers=headers)
    assert response.status == 200
    headers = {"via": ", ".join(f"1.1 reshore-{i:012x}" for i in range(6))}
    response, _ = await server.post(CHAT, chat_body("Hi"), headers=headers)
    assert response.status == 508


async def test_a_server_that_is_its_own_upstream_answers_with_a_loop(home: Path) -> None:
    async with routed(home) as it:

        async def back(peer: Any, seen: Any) -> None:
            async with it.server.session.post(
                it.server.url + seen.path, data=seen.body, headers={"via": seen.headers["via"]}
            ) as response:
                await peer.reply(await response.read(), status=response.status)

        it.cloud.script = back
        error = await it.server.refusal(CHAT, ask(), status=508)
        assert error["code"] == "loop_detected"


async def test_a_model_that_is_installed_while_serving_answers_next(home: Path) -> None:
    async with routed(home) as it:
        response, _ = await it.server.post(CHAT, ask("new:latest"))
        assert decided(response.headers)["side"] == "cloud"
        copy = {"source": MODEL, "destination": "new"}
        async with it.server.session.post(it.server.url + "/api/copy", json=copy) as copied:
            assert copied.status == 200
        response, _ = await it.server.post(CHAT, ask("new"))
        assert decided(response.headers)["side"] == "local"


async def test_a_model_that_others_installed_is_found_before_it_is_denied(
    home: Path, server: Server
) -> None:
    await server.refusal(CHAT, ask("new"), status=404)
    install(home, "new:latest", context_length=2048)
    response, _ = await server.post(CHAT, ask("new"))
    assert response.status == 200


async def test_an_unknown_name_gets_the_nearest_ones(server: Server) -> None:
    error = await server.refusal(CHAT, ask("tinny"), status=404)
    assert MODEL in error["message"]


async def test_openais_names_have_a_default_where_it_is_installed(home: Path) -> None:
    async with running(echo_config(home)) as server:
        error = await server.refusal(CHAT, ask("gpt-4o-mini"), status=404)
        stand_in = error["message"].split("'")[3]
        install(home, stand_in, context_length=2048)
        response, reply = await server.post(CHAT, ask("gpt-4o-mini"))
        assert response.status == 200
        assert reply["model"].split(":")[0] == stand_in.split(":")[0]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_route_can_name_a_local_model_for_a_cloud_name(home: Path, stream: bool) -> None:
    async with routed(home, f'[routes]\n"gpt-*" = "local:{MODEL}"') as it:
        body = ask(stream=stream)
        async with it.server.session.post(it.server.url + CHAT, json=body) as response:
            assert response.status == 200
            assert await response.read() != REPLY
        assert it.cloud.seen == []
    assert it.server.outcomes[0].model == MODEL


async def test_models_are_listed_once_each(home: Path) -> None:
    toml = f'[aliases]\nmine = "{MODEL}"\n[routes]\n"routed" = "cloud"\n"gpt-*" = "cloud"'
    async with routed(home, toml, models={"ours": "theirs"}) as it:
        async with it.server.session.get(it.server.url + "/v1/models") as response:
            found = (await response.json())["data"]
        by_name = {model["id"]: model["owned_by"] for model in found}
        assert len(by_name) == len(found)
        assert list(by_name) == [MODEL, "mine", "routed", "gpt-4o", "ours"]
        assert (by_name["routed"], by_name["gpt-4o"]) == ("reshore", "x")
        for name, status in (("gpt-4o", 200), ("gpt-4-anything", 200), ("nothing", 404)):
            async with it.server.session.get(f"{it.server.url}/v1/models/{name}") as response:
                assert response.status == status
