"""Command lines to run, in this process or in one of their own, and a server to talk to."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reshore.cli.main import COMMANDS, load_command, run
from reshore.models.create import create_from
from reshore.models.store import Store
from tests.models.tiny import write_tiny_gguf

RESHORE = [sys.executable, "-c", "from reshore.cli.main import main; main()"]
_READY = "reshore answers at "


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Commands that run in this process say what is logged; that ends with the test."""
    root, ours = logging.getLogger(), logging.getLogger("reshore")
    handlers, levels = [*root.handlers], (root.level, ours.level)
    yield
    root.handlers = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def command_lines() -> list[tuple[str, ...]]:
    """Every command there is, those of groups included."""
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        inner = getattr(load_command(name), "commands", None)
        found += [(name, each) for each in inner] if inner else [tuple(name.split())]
    return found


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    home: Path
    url: str
    port: int
    process: subprocess.Popen[str]

    def read_until(self, text: str) -> str:
        """The next line of its log that holds `text`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if text in line:
                return line
        raise AssertionError(f"the server ended without a word about {text!r}")

    def stop(self, number: int = signal.SIGTERM) -> Ended:
        """Signal it, and wait for its end."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return Ended(self.process.returncode, out, err)


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The environment of a process: this one's without settings of ours, and a scripted engine."""
    ours = ("RESHORE_", "OLLAMA_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "RESHORE_HOME": str(home), "RESHORE_ENGINE_KIND": "echo", **settings}


def execute(home: Path, *arguments: str, stdin: str | None = None, **settings: str) -> Ended:
    """Run a command in a process of its own; without `stdin` it has none."""
    done = subprocess.run(
        [*RESHORE, *arguments],
        env=environment(home, **settings),
        text=True,
        capture_output=True,
        timeout=60,
        **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def install(home: Path, name: str = "tiny", **options: Any) -> None:
    """Put a model of a few kilobytes into the store of a home."""
    file = write_tiny_gguf(home.parent / f"{name}.gguf", **options)
    create_from(Store(home / "models"), name, file)


@contextmanager
def served(home: Path, *arguments: str, **settings: str) -> Iterator[Served]:
    """A server that is ready; it has ended when the block has."""
    port = free_port()
    process = subprocess.Popen(
        [*RESHORE, "serve", "--host", f"127.0.0.1:{port}", *arguments],
        env=environment(home, **settings),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        server = Served(home, f"http://127.0.0.1:{port}", port, process)
        try:
            server.read_until(_READY)
            yield server
        finally:
            process.kill()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty RESHORE_HOME, in force for commands that run in this process."""
    for name in os.environ:
        if name.startswith(("RESHORE_", "OLLAMA_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("RESHORE_HOME", str(home))
    return home


@pytest.fixture
def cli(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command in this process."""

    def call(*arguments: str) -> Ended:
        code = run(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return call


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., Served]]:
    """Starts a server for the test's home, with the model `tiny`."""
    install(home)
    with ExitStack() as stack:

        def start(*arguments: str, **settings: str) -> Served:
            return stack.enter_context(served(home, *arguments, **settings))

        yield start


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that leave it as it is; it has the model `tiny`."""
    home = tmp_path_factory.mktemp("cli") / "home"
    home.mkdir()
    install(home)
    with served(home, "--log-level", "error") as server:
        yield server
