"""Lives of engine processes: what starts, what fails, what is left behind (nothing)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop

from reshore.config import EchoConfig
from reshore.engine.base import State
from reshore.engine.process import ProcessEngine, describe_exit
from reshore.engine.spawn import Command, LogTail
from reshore.errors import Crashed, EngineError, StartFailed
from tests.engine.samples import GB, alive, echo_engine, launcher, running, servable

READY = 'print(\'{"url":"http://127.0.0.1:1"}\', flush=True)'
DEAF = f"""
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
{READY}
sys.stdin.read()
"""


def scripted(
    home: Path, code: str, *, load_timeout_s: float = 30, grace_s: float = 5
) -> ProcessEngine:
    """An engine whose process runs a piece of Python."""
    model = servable()
    return ProcessEngine(
        model,
        launcher(home).plan(model, GB),
        lambda: Command(
            argv=(sys.executable, "-c", code), env=dict(os.environ), stdin=b"{}\n", key="secret"
        ),
        load_timeout_s=load_timeout_s,
        stop_grace_s=grace_s,
    )


async def has_process(engine: ProcessEngine) -> None:
    async with asyncio.timeout(10):
        while engine.pid is None:  # noqa: ASYNC110 nothing tells of it: nobody needs to know
            await asyncio.sleep(0)


async def health(engine: ProcessEngine) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{engine.address.url}/health") as reply,
    ):
        return reply.status


async def test_an_engine_starts_answers_and_stops(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path)
    assert engine.state is State.STOPPED
    await engine.start()
    assert engine.state is State.READY
    assert await health(engine) == 200
    assert engine.pid is not None
    pid = engine.pid
    await engine.stop()
    assert engine.state is State.STOPPED
    assert not alive(pid)
    assert await engine.wait_exit() == -signal.SIGTERM


async def test_a_stopped_engine_starts_again_with_another_key(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path)
    async with running(engine):
        key = engine.address.key
    async with running(engine):
        assert engine.address.key != key


async def test_an_engine_that_is_ready_is_not_started_again(tmp_path: Path) -> None:
    async with running(echo_engine(tmp_path)) as engine:
        with pytest.raises(StartFailed, match="is ready: only a stopped one"):
            await engine.start()
        assert engine.state is State.READY


async def test_an_engine_without_a_process_has_no_address_and_no_exit(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path)
    with pytest.raises(EngineError, match="no address"):
        _ = engine.address
    with pytest.raises(EngineError, match="has not been started"):
        await engine.wait_exit()
    await engine.stop()
    assert engine.state is State.STOPPED


async def test_stopping_twice_at_once_is_stopping_once(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path)
    await engine.start()
    await asyncio.gather(engine.stop(), engine.stop())
    await engine.stop()
    assert engine.state is State.STOPPED


async def test_a_killed_engine_is_failed_at_once_and_stays_so(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path)
    await engine.start()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    assert await engine.wait_exit() == -signal.SIGKILL
    assert engine.state is State.FAILED
    assert "killed by SIGKILL" in str(engine.crashed())
    assert isinstance(engine.crashed(), Crashed)
    await engine.stop()
    with pytest.raises(StartFailed, match="is failed"):
        await engine.start()


async def test_a_failed_load_carries_the_engines_last_words(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path, EchoConfig(fault="start"))
    with pytest.raises(StartFailed, match="scripted failure to start") as failed:
        await engine.start()
    assert failed.value.log_tail == ("scripted failure to start",)
    assert failed.value.model == "tiny:latest"
    assert engine.state is State.FAILED


async def test_an_engine_killed_while_it_loads_has_failed(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    engine = scripted(tmp_path, code)
    with pytest.raises(StartFailed, match="killed by SIGKILL, perhaps for lack of memory"):
        await engine.start()
    assert engine.state is State.FAILED


async def test_an_engine_that_is_not_ready_in_time_is_killed(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path, EchoConfig(load_ms=60_000), load_timeout_s=0.2)
    with pytest.raises(StartFailed, match=r"not ready within 0\.2 s.*engine\.load_timeout_s"):
        await engine.start()
    assert engine.state is State.FAILED
    assert engine.pid is not None
    assert not alive(engine.pid)


@pytest.mark.parametrize("line", ["garbage", "{}", "[1]", '{"url": 5}', '{"error": "no luck"}'])
async def test_a_first_line_that_is_no_address_is_a_failed_start(tmp_path: Path, line: str) -> None:
    engine = scripted(tmp_path, f"print({line!r}, flush=True)")
    with pytest.raises(StartFailed, match="did not start"):
        await engine.start()
    assert engine.state is State.FAILED


async def test_an_endless_first_line_is_a_failed_start(tmp_path: Path) -> None:
    code = "import sys\nfor _ in range(100): sys.stdout.write('x' * 65536)"
    with pytest.raises(StartFailed, match="not a ready line"):
        await scripted(tmp_path, code).start()


async def test_a_bad_first_line_of_a_process_that_lives_on_leaves_no_process(
    tmp_path: Path,
) -> None:
    code = "import sys, time\nprint('garbage', flush=True)\nsys.stdin.read()"
    engine = scripted(tmp_path, code)
    with pytest.raises(StartFailed, match="not a ready line"):
        await engine.start()
    assert engine.state is State.FAILED
    assert engine.pid is not None
    assert not alive(engine.pid)


async def test_a_program_that_is_not_there_is_a_failed_start(tmp_path: Path) -> None:
    model = servable()
    engine = ProcessEngine(
        model,
        launcher(tmp_path).plan(model, GB),
        lambda: Command(argv=("/no/such/program",), env={}, stdin=b"", key="k"),
        load_timeout_s=5,
    )
    with pytest.raises(StartFailed, match="could not be started"):
        await engine.start()
    assert engine.state is State.FAILED


async def test_cancelling_a_start_kills_the_process(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path, EchoConfig(load_ms=60_000))
    starting = asyncio.create_task(engine.start())
    await has_process(engine)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert engine.state is State.STOPPED
    assert not alive(engine.pid)


async def test_stopping_an_engine_that_starts_ends_both(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path, EchoConfig(load_ms=60_000))
    starting = asyncio.create_task(engine.start())
    await has_process(engine)
    await engine.stop()
    with pytest.raises(StartFailed, match="was stopped while it started"):
        await starting
    assert engine.state is State.STOPPED
    assert not alive(engine.pid)


async def test_stopping_before_there_is_a_process_ends_the_start(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path, EchoConfig(load_ms=60_000))
    starting = asyncio.create_task(engine.start())
    await asyncio.sleep(0)  # one turn: the process is being made
    await engine.stop()
    with pytest.raises(StartFailed, match="was stopped"):
        await starting
    assert engine.state is State.STOPPED


async def test_an_engine_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    engine = scripted(tmp_path, DEAF, grace_s=0.05)
    async with running(engine):
        pass
    assert await engine.wait_exit() == -signal.SIGKILL
    assert engine.state is State.STOPPED


async def test_an_engine_whose_turn_it_is_not_can_be_stopped(tmp_path: Path) -> None:
    engine = echo_engine(tmp_path)
    await engine.start()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    await asyncio.wait_for(engine.stop(), 4)
    assert await engine.wait_exit() == -signal.SIGTERM


async def test_cancelling_a_stop_kills(tmp_path: Path) -> None:
    engine = scripted(tmp_path, DEAF, grace_s=60)
    await engine.start()
    stopping = asyncio.create_task(engine.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert await engine.wait_exit() == -signal.SIGKILL
    assert engine.state is State.STOPPED


async def test_a_process_that_leaves_its_log_to_a_child_does_not_hold_us_up(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'])\n"
        "print(child.pid, file=sys.stderr, flush=True)\n"
        f"{READY}\nsys.stdin.read()"
    )
    engine = scripted(tmp_path, code)
    await engine.start()
    await asyncio.wait_for(engine.stop(), 10)
    assert engine.state is State.STOPPED


@pytest.fixture
async def noisy(tmp_path: Path) -> AsyncIterator[ProcessEngine]:
    code = (
        "import sys\n"
        "print('the secret is out', file=sys.stderr)\n"
        "for n in range(1000): print(n, 'x' * 5000, file=sys.stderr)\n"
        f"print('last', file=sys.stderr, flush=True)\n{READY}\nsys.stdin.read()"
    )
    async with running(scripted(tmp_path, code)) as engine:
        yield engine


async def test_a_flood_of_log_lines_neither_blocks_the_engine_nor_fills_memory(
    noisy: ProcessEngine,
) -> None:
    await noisy.stop()
    tail = noisy.log_tail
    assert tail[-1] == "last"
    assert len(tail) == 200
    assert max(map(len, tail)) <= 2000


def test_the_key_is_not_in_the_log_tail() -> None:
    log = LogTail(hide="secret")
    log.feed(b"the sec")
    log.feed(b"ret is out\n\nno end: secret")
    assert log.lines == ("the [key] is out", "no end: [key]")


def test_exit_codes_have_words() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-signal.SIGSEGV) == "killed by SIGSEGV"
    assert describe_exit(-250) == "killed by signal 250"


@pytest.mark.parametrize(
    "scenario",
    [
        test_an_engine_starts_answers_and_stops,
        test_a_stopped_engine_starts_again_with_another_key,
        test_a_killed_engine_is_failed_at_once_and_stays_so,
        test_a_failed_load_carries_the_engines_last_words,
        test_an_engine_that_is_not_ready_in_time_is_killed,
        test_a_bad_first_line_of_a_process_that_lives_on_leaves_no_process,
        test_a_program_that_is_not_there_is_a_failed_start,
        test_cancelling_a_start_kills_the_process,
        test_stopping_an_engine_that_starts_ends_both,
        test_stopping_before_there_is_a_process_ends_the_start,
        test_an_engine_that_ignores_the_polite_signal_is_killed,
        test_cancelling_a_stop_kills,
        test_a_process_that_leaves_its_log_to_a_child_does_not_hold_us_up,
    ],
)
def test_it_is_the_same_on_uvloop(
    scenario: Callable[[Path], Coroutine[Any, Any, None]], tmp_path: Path
) -> None:
    """The server runs on it, and it watches children in its own way."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario(tmp_path))
