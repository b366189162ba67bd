"""LlamaIndex, in an environment of its own: it wants an older version of OpenAI's SDK."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from openai import OpenAI

from tests.compat.conftest import CONTEXT_LENGTH
from tests.compat.running import Server, clean_environment, give_up
from tests.compat.scripts import scripted_turn

FOLDER = Path(__file__).parent / "llama_index"


def test_llama_index_works_and_reloads_nothing(scripted_server: Server, scripted: OpenAI) -> None:
    """Its tests pass, among them clients that ask for other contexts at the same time."""
    scripted.chat.completions.create(model="tiny", messages=scripted_turn(text="loaded"))
    before = _process(scripted_server, "tiny:latest")
    done = subprocess.run(
        [_python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(FOLDER)],
        cwd=FOLDER,
        env=clean_environment()
        | {"SERVER_ROOT": scripted_server.root, "CONTEXT_LENGTH": str(CONTEXT_LENGTH)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert _process(scripted_server, "tiny:latest") == before


def _process(server: Server, name: str) -> int:
    [pid] = [
        model["pid"]
        for model in server.loaded()
        if model["name"] == name and not model["embedding"]
    ]
    return int(pid)


def _python() -> str:
    """The interpreter with LlamaIndex; skips the test without one, fails it in CI."""
    beside = Path(f"{sys.prefix}-llama-index") / "bin" / "python"
    if not beside.is_file():
        give_up(f"there is no {beside}; `make test` makes it")
    return os.fspath(beside)
