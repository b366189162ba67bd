from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from reshore.errors import SourceError
from reshore.models.sources.connect import Connector, redirect_target
from tests.models.sources.scripted_registry import Reply, listening

PUBLIC = URL("https://8.8.8.8/v2/a/b/blobs/c")  # a number: nothing is looked up


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://0.0.0.0/x",
        "https://10.0.0.1/x",
        "https://169.254.169.254/latest",
        "https://[::ffff:127.0.0.1]/x",
        "http://1.1.1.1/x",
        "//127.0.0.1/x",
    ],
)
async def test_a_public_registry_cannot_lead_to_private_addresses(location: str) -> None:
    with pytest.raises(SourceError):
        await redirect_target(PUBLIC, location)


async def test_a_public_registry_may_lead_to_public_addresses_only() -> None:
    assert await redirect_target(PUBLIC, "https://1.1.1.1/x") == (URL("https://1.1.1.1/x"), True)
    assert (await redirect_target(PUBLIC, "https://name.example/x"))[1]


async def test_a_path_stays_on_the_host() -> None:
    target, public_only = await redirect_target(PUBLIC, "/elsewhere?x=1")
    assert target == URL("https://8.8.8.8/elsewhere?x=1")
    assert not public_only


async def test_a_private_registry_may_lead_to_its_neighbours() -> None:
    origin = URL("http://127.0.0.1:5000/v2")
    assert await redirect_target(origin, "http://127.0.0.1:6000/x") == (
        URL("http://127.0.0.1:6000/x"),
        False,
    )


@pytest.mark.parametrize("host", ["localhost", "2130706433", "127.1", "0x7f000001"])
async def test_names_and_odd_numbers_of_private_addresses_are_not_connected_to(host: str) -> None:
    hits: list[str] = []

    async def canary(request: web.Request) -> Reply:
        hits.append(request.path)
        return web.Response()

    async with listening(canary) as address:
        connector = Connector(2.0, 2.0)
        await connector.open()
        try:
            url = URL(address).with_host(host)
            with pytest.raises((aiohttp.ClientError, ValueError)):
                async with connector.get(url, {}, public_only=True):
                    pass
        finally:
            await connector.aclose()
    assert hits == []
