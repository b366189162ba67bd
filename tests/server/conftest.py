"""A server over the scripted engine for every test of the edge."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.harness import MODEL, Server, echo_config, install, running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A RESHORE_HOME with one tiny model."""
    install(tmp_path, MODEL, context_length=2048)
    return tmp_path


@pytest.fixture
async def server(home: Path) -> AsyncIterator[Server]:
    async with running(echo_config(home)) as server:
        yield server
