"""Servers that clients are tried against: one with real models, one with scripted engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from reshore.models.pull import create
from reshore.models.store import Store
from tests.compat.running import KEY, Server, serving
from tests.models.tiny import CHATML, write_tiny_gguf

# A template with a tool section, so that the engine itself reads and writes tool calls.
TOOL_TEMPLATE = "{% if tools %}{{ tools | tojson }}{% endif %}" + CHATML

_ALIASES = """
[aliases]
"gpt-4o-mini" = "{chat}"
"ft:gpt-4o-mini:*" = "{chat}"
"text-embedding-3-small" = "{embedding}"
"""


@pytest.fixture(scope="session")
def real_server(starter_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The starter models on llama.cpp. The cached store is only read: other runs share it."""
    home = tmp_path_factory.mktemp("real")
    (home / "reshore.toml").write_text(
        f'read_models = ["{starter_home / "models"}"]\n'
        + _ALIASES.format(chat="smollm2:135m", embedding="all-minilm")
    )
    with serving(home) as server:
        yield server


@pytest.fixture(scope="session")
def scripted_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with `tiny` (chat), `tools` (with a tool template) and `team/embed`."""
    home = tmp_path_factory.mktemp("scripted")
    store = Store(home / "models")
    files = tmp_path_factory.mktemp("gguf")
    create(store, "tiny", write_tiny_gguf(files / "tiny.gguf", context_length=4096))
    create(
        store,
        "tools",
        write_tiny_gguf(files / "tools.gguf", context_length=4096, chat_template=TOOL_TEMPLATE),
    )
    create(
        store,
        "team/embed",
        write_tiny_gguf(
            files / "embed.gguf",
            architecture="bert",
            chat_template=None,
            extra={"bert.pooling_type": 1, "bert.attention.causal": False},
        ),
    )
    (home / "reshore.toml").write_text(_ALIASES.format(chat="tiny", embedding="team/embed"))
    return home


@pytest.fixture(scope="session")
def scripted_server(scripted_home: Path) -> Iterator[Server]:
    """Scripted engines: what they answer is up to the `/echo {json}` of the last message."""
    with serving(scripted_home, {"RESHORE_ENGINE_KIND": "echo"}) as server:
        yield server


@pytest.fixture(scope="session")
def narrow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a key, has one slot, and lets nobody wait for it."""
    home = tmp_path_factory.mktemp("narrow")
    create(Store(home / "models"), "tiny", write_tiny_gguf(home / "tiny.gguf"))
    variables = {
        "RESHORE_ENGINE_KIND": "echo",
        "RESHORE_API_KEY": KEY,
        "RESHORE_ENGINE_PARALLEL": "1",
        "RESHORE_POOL_MAX_QUEUE": "0",
    }
    with serving(home, variables) as server:
        yield server


@pytest.fixture
def scripted(scripted_server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=scripted_server.base_url, api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
async def scripted_async(scripted_server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=scripted_server.base_url, api_key="unused", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def real(real_server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=real_server.base_url, api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
async def real_async(real_server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=real_server.base_url, api_key="unused", max_retries=0
    ) as client:
        yield client
