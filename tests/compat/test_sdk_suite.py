"""The API tests that the official Python SDK brings with it, run against a scripted server.

They come out of the SDK's own source package, of the version that is installed here, and are kept
in a cache between runs; nothing of them is part of this repository.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.compat.running import Server, clean_environment, give_up, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CACHE = Path("~/.cache/reshore-tests").expanduser()

FILES = [
    "tests/api_resources/chat/test_completions.py",
    "tests/api_resources/test_completions.py",
    "tests/api_resources/test_embeddings.py",
    "tests/api_resources/test_models.py",
]

# What is left out, and why:
# - `all_params` of both completions sends one placeholder for every field there is, values that
#   OpenAI refuses too: `max_tokens: 0`, `best_of: 0`, `logit_bias: {"foo": 0}`, `stream_options`
#   without a stream. A lenient server refuses them as well: they are not unknown but wrong.
# - Strict validation of embeddings without `encoding_format`: the SDK then asks for base64, and its
#   raw responses are held against a schema that only knows floats.
# - Stored completions and deleting a model: there is nothing stored, and no such endpoint here.
SELECTION = (
    "(completions and create and not all_params)"
    " or (embeddings and (loose or all_params))"
    " or (models and (retrieve or list))"
)
# Of 3.54: 60 completions, 11 embeddings, 35 models. A selection that suddenly matches much less
# would say nothing.
AT_LEAST = 90

ALIASES = """
read_models = ["{models}"]
[aliases]
"gpt-*" = "tiny"
"model" = "tiny"
"text-embedding-3-small" = "team/embed"
"""


@pytest.fixture(scope="module")
def suite() -> Path:
    """The folder of the SDK's source package, fetched once per version and machine."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / f"openai-{openai.__version__}"
    with (CACHE / "sdk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _unpack(_download(), folder)
            (folder / "complete").touch()
    return folder


def _download() -> Path:
    version = openai.__version__
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--no-binary", "openai", "--dest", str(CACHE), f"openai=={version}"),
        ],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    if done.returncode:
        give_up(f"the source of openai {version} cannot be fetched: {done.stderr[-500:]}")
    return CACHE / f"openai-{version}.tar.gz"


def _unpack(archive: Path, folder: Path) -> None:
    """All but the SDK itself: the installed one is what is tried."""
    with tarfile.open(archive) as tar:
        members = [m for m in tar if not m.name.startswith(f"{folder.name}/src/")]
        tar.extractall(folder.parent, members, filter="data")


@pytest.fixture(scope="module")
def server(scripted_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Scripted engines under the model names that the suite asks for."""
    home = tmp_path_factory.mktemp("suite")
    (home / "reshore.toml").write_text(ALIASES.format(models=scripted_home / "models"))
    with serving(home, {"RESHORE_ENGINE_KIND": "echo"}) as server:
        yield server


def test_the_sdks_own_api_tests_pass(suite: Path, server: Server) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider"),
            *("-q", "--tb=short", "-k", SELECTION, *FILES),
        ],
        cwd=suite,
        env=clean_environment() | {"TEST_API_BASE_URL": server.base_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout
    assert int(passed[1]) >= AT_LEAST, done.stdout
