"""LiteLLM's complexity routers, from its wheel, in an environment of their own.

It has some fifty dependencies, of which none belongs in ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

VERSION = "1.106.2"  # what `pip install 'litellm[proxy]'` gave in spring 2026
ROUTERS = ("heuristic", "heuristic_v2")
_SCORER = Path(__file__).with_name("litellm_scores.py")
_PATIENCE_S = 900


def scores(folder: Path, prompts: Sequence[str]) -> dict[str, list[float]] | None:
    """The scores of all prompts by router; None where it cannot be installed or has changed.

    Args:
        folder: of the environment; it is made where it is not there.
    """
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            _install(folder, python)
        done = subprocess.run(
            [python, "-I", _SCORER],  # isolated: this folder has a litellm.py too
            input=json.dumps(list(prompts)),
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE_S,
            # Its price list would be fetched otherwise.
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )
        found: dict[str, list[float]] = json.loads(done.stdout.rpartition("\n")[2])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        print(f"LiteLLM could not be asked: {detail}", file=sys.stderr)
        return None
    return found


def _install(folder: Path, python: Path) -> None:
    print(f"installing litellm {VERSION} into {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True)
    command = [python, "-m", "pip", "install", "--quiet", f"litellm=={VERSION}"]
    subprocess.run(command, check=True, timeout=_PATIENCE_S, capture_output=True, text=True)
