"""`GET /metrics` of a running server, read as Prometheus reads it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from reshore.server.metrics import PATHS
from reshore.server.paths import Paths
from reshore.telemetry.labels import Endpoints
from tests.server.harness import MODEL, Server, chat_body, echo_config, running
from tests.server.routed import CHAT, ask, routed

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5"


async def scrape(server: Server, **labels: str) -> dict[str, float]:
    """Every number whose labels are among `labels`, summed over the other ones, by its name."""
    found: dict[str, float] = {}
    for family in parser.text_string_to_metric_families(await page(server)):
        for sample in family.samples:
            if sample.labels.items() >= labels.items():
                found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def page(server: Server, accept: str = "*/*") -> str:
    async with server.session.get(server.url + "/metrics", headers={"accept": accept}) as response:
        assert response.status == 200
        return await response.text()


async def test_answers_of_this_machine_are_counted_and_measured(server: Server) -> None:
    await server.chat("Hi")
    await server.stream(CHAT, chat_body("Hi"))
    await server.recorded(2)
    counted = await scrape(server, endpoint=CHAT)
    assert counted["reshore_requests_total"] == 2
    assert counted["reshore_request_duration_seconds_count"] == 2
    local = await scrape(server, backend="local", model=MODEL)
    assert local["reshore_time_to_first_token_seconds_count"] == 2
    assert local["reshore_time_per_output_token_seconds_count"] == 2
    prompt = await scrape(server, kind="prompt", role="primary", model=MODEL)
    assert prompt["reshore_tokens_total"] > 0
    [kept, _, *_] = server.outcomes
    assert kept.usage is not None
    assert prompt["reshore_tokens_total"] == 2 * kept.usage.prompt_tokens


async def test_models_in_memory_are_shown_while_they_are(server: Server) -> None:
    assert (await scrape(server))["reshore_models_loaded"] == 0
    await server.chat("Hi")
    seen = await scrape(server, model=MODEL)
    assert seen["reshore_model_memory_bytes"] > 0
    assert seen["reshore_requests_running"] == 0
    await server.app.services.pool.unload(MODEL)
    assert (await scrape(server))["reshore_models_loaded"] == 0


async def test_a_request_under_way_is_in_flight(server: Server) -> None:
    body = chat_body({"tokens": 50, "gap_ms": 20}, stream=True)
    async with server.session.post(server.url + CHAT, json=body) as response:
        await response.content.readline()
        assert (await scrape(server))["reshore_requests_in_flight"] == 1
        assert (await scrape(server, model=MODEL))["reshore_requests_running"] == 1
    await server.recorded(3)
    assert (await scrape(server))["reshore_requests_in_flight"] == 0


async def test_answers_of_an_upstream_name_it(home: Path) -> None:
    async with routed(home, '[routes]\n"gpt-4o" = "cloud"') as it:
        await it.server.post(CHAT, ask())
        await it.server.recorded(1)
        cloud = await scrape(it.server, backend="cloud")
        assert cloud["reshore_requests_total"] == 1
        assert (await scrape(it.server, backend="cloud", model="gpt-4o"))[
            "reshore_request_duration_seconds_count"
        ] == 1
        routes = await scrape(it.server, route="gpt-4o", side="cloud")
        assert routes["reshore_decisions_total"] == 1
        assert (await scrape(it.server))["reshore_routing_version"] == 1


MIRRORED = f"""
[routes."gpt-4o"]
policy = "shadow(local:{MODEL}, cloud, share=100%)"
"""


async def test_a_mirrored_copy_counts_when_it_has_ended(home: Path) -> None:
    async with routed(home, MIRRORED) as it:
        await it.server.post(CHAT, ask())
        async with asyncio.timeout(10):
            while "reshore_attempts_total" not in (seen := await scrape(it.server, role="shadow")):
                pass
        assert seen["reshore_attempts_total"] == 1
        assert (await scrape(it.server, endpoint=CHAT))["reshore_requests_total"] == 1
        assert "reshore_shadow_drops_total" not in await scrape(it.server)


async def test_mirrored_copies_that_are_dropped_are_counted(home: Path) -> None:
    async with routed(home, f"{MIRRORED}[shadow]\nqueue_bytes = 0") as it:
        await it.server.post(CHAT, ask())
        drops = await scrape(it.server, reason="bytes")
        assert drops["reshore_shadow_drops_total"] == 1


async def test_names_that_clients_make_up_add_no_numbers(home: Path) -> None:
    async with routed(home, '[routes]\n"x-*" = "cloud"') as it:
        sizes = []
        for number in range(12):
            await it.server.post(CHAT, ask(f"x-{number}"))
            await it.server.post(CHAT, ask(f"junk-{number}"))
            async with it.server.session.get(f"{it.server.url}/junk/{number}"):
                pass
            text = await page(it.server)
            sizes.append(text.count("\n"))
        assert sizes[1:] == [sizes[1]] * 11
        assert "junk" not in text
        seen = await scrape(it.server, backend="cloud", model="other")
        assert seen["reshore_attempt_duration_seconds_count"] == 24


async def test_a_key_opens_it_as_prometheus_sends_it(home: Path) -> None:
    async with running(echo_config(home, api_key="for-clients,for-prometheus")) as server:
        url = server.url + "/metrics"
        async with server.session.get(url) as response:
            assert response.status == 401
        headers = {"authorization": "Bearer for-prometheus"}
        async with server.session.get(url, headers=headers) as response:
            assert response.status == 200


async def test_the_admin_socket_needs_no_key(home: Path) -> None:
    async with running(echo_config(home, api_key="k"), admin=True) as server:
        assert "reshore_build_info" in await page(server)


async def test_openmetrics_is_given_to_who_accepts_it(server: Server) -> None:
    text = await page(server, OPENMETRICS)
    families = {family.name for family in openmetrics.text_string_to_metric_families(text)}
    assert "reshore_requests" in families
    headers = {"accept": OPENMETRICS}
    async with server.session.get(server.url + "/metrics", headers=headers) as response:
        assert response.headers["content-type"].startswith("application/openmetrics-text")


async def test_pages_that_are_asked_for_at_once_are_all_answered(server: Server) -> None:
    pages = await asyncio.gather(*(page(server) for _ in range(10)))
    assert all("reshore_build_info" in text for text in pages)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_it_can_only_be_read(server: Server, method: str) -> None:
    async with server.session.request(method, server.url + "/metrics") as response:
        assert response.status == 405


async def test_it_can_be_switched_off(home: Path) -> None:
    async with running(echo_config(home, **{"metrics.enabled": False})) as server:
        await server.chat("Hi")
        async with server.session.get(server.url + "/metrics") as response:
            assert response.status == 404


async def test_every_endpoint_has_a_label_of_its_own(server: Server) -> None:
    label = Endpoints(PATHS)
    for app in (server.app.public, server.app.admin):
        while not isinstance(app, Paths):
            app = app._app  # type: ignore[attr-defined]
        for route in app.routes:
            if route.path.startswith("/admin/"):
                continue
            shown = label(route.path.replace("{", "x").replace("}", "x"))
            assert shown == route.path.partition("{")[0] + ("*" if "{" in route.path else "")
