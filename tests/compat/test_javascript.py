"""OpenAI's and Ollama's JavaScript libraries, against the servers of their Python sisters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openai import OpenAI

from tests.compat.node import run_node
from tests.compat.running import Server

TEXTS = ["The quick brown fox", "A fast auburn fox", "Quarterly revenue fell sharply", "naïve 🦊"]


def run_tests(server: Server, client: OpenAI, folder: Path, *files: str, **more: str) -> None:
    """Run Node's test runner with the server's address and what Python got for `TEXTS`."""
    vectors = client.embeddings.create(
        model="text-embedding-3-small", input=TEXTS, encoding_format="float"
    )
    expected = folder / "embeddings.json"
    expected.write_text(
        json.dumps(
            [
                {"text": text, "embedding": item.embedding}
                for text, item in zip(TEXTS, vectors.data, strict=True)
            ]
        )
    )
    for file in files:  # one after the other: each looks at the slots of the whole server
        run_node(
            "--test",
            "--test-reporter=spec",
            file,
            SERVER_BASE_URL=server.base_url,
            SERVER_ADMIN_SOCKET=str(server.home / "run" / "admin.sock"),
            EMBEDDINGS=str(expected),
            **more,
        )


def test_the_javascript_clients_against_scripted_engines(
    scripted_server: Server, narrow_server: Server, scripted: OpenAI, tmp_path: Path
) -> None:
    run_tests(
        scripted_server,
        scripted,
        tmp_path,
        "chat.test.mjs",
        "other.test.mjs",
        "ollama.test.mjs",
        KEYED_BASE_URL=narrow_server.base_url,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)  # the first slow test of a machine fetches the models
def test_the_javascript_sdk_against_the_starter_models(
    real_server: Server, real: OpenAI, tmp_path: Path
) -> None:
    run_tests(real_server, real, tmp_path, "starter.test.mjs", KEYED_BASE_URL=real_server.base_url)
