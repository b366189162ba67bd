"""What the tests of upstreams share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from reshore.backends.remote import Remote, open_session
from reshore.config import Seconds, UpstreamConfig
from reshore.testing import MovableClock

Connect = Callable[..., Remote]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def connect(session: aiohttp.ClientSession, clock: MovableClock) -> Connect:
    """Makes a `Remote` for a URL; keyword arguments are settings, seconds as numbers."""

    def make(
        url: str, *, keys: tuple[str, ...] = ("sk-one",), tls: Any = None, **given: Any
    ) -> Remote:
        settings = {
            name: Seconds(value) if name.endswith("_s") else value for name, value in given.items()
        }
        config = UpstreamConfig(url=url, **settings)
        return Remote("cloud", config, keys, session, clock, "abc123", tls=tls)

    return make
