"""Servers that clients are tried against: one with real models, one with scripted engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from reshore.models.create import create_from
from reshore.models.store import Store
from tests.compat import responder
from tests.compat.running import KEY, Server, serving
from tests.models.tiny import CHATML, write_tiny_gguf

# A template with a tool section, so that the engine itself reads and writes tool calls.
TOOL_TEMPLATE = "{% if tools %}{{ tools | tojson }}{% endif %}" + CHATML
THINKING_TEMPLATE = "{% if enable_thinking %}{% endif %}" + CHATML

# Run by `test_llama_index.py`, in an environment of their own.
collect_ignore = ["llama_index"]

# Of the models that are made for tests, per slot.
CONTEXT_LENGTH = 4096

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
    """A home with `tiny` (chat), `tools` and `thinker` (by their templates) and `team/embed`."""
    home = tmp_path_factory.mktemp("scripted")
    _install_models(Store(home / "models"), tmp_path_factory.mktemp("gguf"))
    (home / "reshore.toml").write_text(_ALIASES.format(chat="tiny", embedding="team/embed"))
    return home


def _install_models(store: Store, files: Path) -> None:
    for name, template in (
        ("tiny", CHATML),
        ("tools", TOOL_TEMPLATE),
        ("thinker", THINKING_TEMPLATE),
    ):
        file = write_tiny_gguf(
            files / f"{name}.gguf", context_length=CONTEXT_LENGTH, chat_template=template
        )
        create_from(store, name, file)
    create_from(
        store,
        "team/embed",
        write_tiny_gguf(
            files / "embed.gguf",
            architecture="bert",
            chat_template=None,
            extra={"bert.pooling_type": 1, "bert.attention.causal": False},
        ),
    )


@pytest.fixture(scope="session")
def scripted_server(scripted_home: Path) -> Iterator[Server]:
    """Scripted engines: what they answer is up to the `/echo {json}` of the last message."""
    with serving(scripted_home, {"RESHORE_ENGINE_KIND": "echo"}) as server:
        yield server


@pytest.fixture(scope="session")
def responder_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same models on engines that know what LangChain's standard tests ask."""
    home = tmp_path_factory.mktemp("responder")
    _install_models(Store(home / "models"), tmp_path_factory.mktemp("gguf"))
    variables = {
        "RESHORE_ENGINE_KIND": "llama-server",
        "RESHORE_ENGINE_PATH": str(responder.install(home)),
    }
    with serving(home, variables) as server:
        yield server


@pytest.fixture(scope="session")
def narrow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a key, has one slot, and lets nobody wait for it."""
    home = tmp_path_factory.mktemp("narrow")
    create_from(Store(home / "models"), "tiny", write_tiny_gguf(home / "tiny.gguf"))
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
