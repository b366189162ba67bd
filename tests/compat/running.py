"""A `reshore serve` of its own process, started and ended by the tests."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from msgspec import Struct

# A machine whose cores are all busy still starts within this time.
_START_S = 60.0
_STOP_S = 40.0
_POLL_S = 0.02

# What servers that ask for a key ask for.
KEY = "sk-compat-0123456789"

# What would reach the server or a client from the environment of whoever runs the tests.
_OURS = ("RESHORE_", "OLLAMA_", "OPENAI_", "PYTEST_")


class Server(Struct, frozen=True, kw_only=True):
    """A running server.

    Attributes:
        root: `http://127.0.0.1:PORT`.
        home: its RESHORE_HOME.
    """

    root: str
    home: Path

    @property
    def base_url(self) -> str:
        """What OpenAI's SDKs call the base URL."""
        return f"{self.root}/v1"

    def loaded(self) -> list[dict[str, Any]]:
        """What `GET /admin/loaded` says: the models in memory."""
        connection = _UnixConnection(self.home / "run" / "admin.sock")
        try:
            connection.request("GET", "/admin/loaded")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def in_flight(self) -> int:
        """Requests that have slots or wait for some, over all models."""
        return sum(model["in_flight"] + model["queued"] for model in self.loaded())


def clean_environment() -> dict[str, str]:
    """This process's environment without the settings of reshore and of its clients."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


@contextmanager
def serving(home: Path, variables: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run `reshore serve` for `home`, with `RESHORE_*` variables, until the block ends.

    Raises:
        AssertionError: it does not become ready, or does not end well on SIGTERM; with its log.
    """
    port = _free_port()
    environment = clean_environment() | {
        "RESHORE_HOME": str(home),
        "RESHORE_HOST": f"127.0.0.1:{port}",
        **(variables or {}),
    }
    log_path = home / "serve.log"
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("reshore"), "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    server = Server(root=f"http://127.0.0.1:{port}", home=home)
    try:
        wait_until(lambda: _ready(server, process, log_path), "the server is ready", _START_S)
        yield server
    finally:
        _end(process, log_path)


def wait_until(condition: Callable[[], bool], what: str, within_s: float) -> float:
    """Poll until `condition` holds; the seconds that took.

    Raises:
        AssertionError: it does not hold in time.
    """
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s, f"not within {within_s} s: {what}"
        time.sleep(_POLL_S)
    return time.monotonic() - started


def give_up(reason: str) -> NoReturn:
    """End a test whose tools are not there: skipped on somebody's machine, failed in CI."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(reason)
    pytest.skip(reason)


def _ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"the server ended with {process.returncode}:\n{log.read_text()}"
    try:
        with urllib.request.urlopen(f"{server.root}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes], log: Path) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"SIGTERM did not end the server:\n{log.read_text()}") from None
    assert code == 0, f"the server ended with {code}:\n{log.read_text()}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the admin socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
