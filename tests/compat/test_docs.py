"""What the documentation shows is run as it stands there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reshore.config import load
from tests.compat.markdown import Block, blocks
from tests.compat.node import run_node
from tests.compat.running import Server, clean_environment

ROOT = Path(__file__).parents[2]
WITH_PROGRAMS = [ROOT / "README.md", ROOT / "docs" / "migrate-from-openai.md"]
FILES = [
    *WITH_PROGRAMS,
    ROOT / "docs" / "migrate-from-ollama.md",
    ROOT / "docs" / "upstreams.md",
]
BLOCKS = [block for file in FILES for block in blocks(file)]
PROGRAMS = [block for block in BLOCKS if block.how == "real"]
SETTINGS = [block for block in BLOCKS if block.how == "config"]

# The address in the documentation; tests run their server on another port.
SHOWN = "http://127.0.0.1:11434"


def named(block: Block) -> str:
    return block.name


@pytest.mark.slow
@pytest.mark.timeout(300)  # the first slow test of a machine fetches the models
@pytest.mark.parametrize("block", PROGRAMS, ids=named)
def test_a_program_runs(block: Block, real_server: Server) -> None:
    code = block.code.replace(SHOWN, real_server.root)
    environment = {
        name: value.replace(SHOWN, real_server.root) for name, value in block.environment.items()
    }
    if block.language == "javascript":
        run_node("--input-type=module", "--eval", code, **environment)
    else:
        assert block.language == "python"
        _run_python(code, environment)


def _run_python(code: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment() | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", SETTINGS, ids=named)
def test_a_settings_file_is_accepted(block: Block, tmp_path: Path) -> None:
    (tmp_path / "reshore.toml").write_text(block.code)
    load(env={"RESHORE_HOME": str(tmp_path)})


@pytest.mark.parametrize("file", WITH_PROGRAMS, ids=lambda file: file.name)
def test_both_languages_are_shown(file: Path) -> None:
    shown = {block.language for block in PROGRAMS if block.file == file.name}
    assert shown == {"python", "javascript"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_program_is_shown_without_being_run(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    fences = text.count("```python\n") + text.count("```javascript\n")
    assert fences == sum(block.file == file.name for block in PROGRAMS)
