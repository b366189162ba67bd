"""Engines die with their parent, however it goes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from reshore.config import EchoConfig
from reshore.engine.child import Guarded, Launch, Ready
from tests.engine.samples import GB, launcher, servable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches processes by pidfd")

# A parent that starts an engine, says its id, and never ends by itself.
PARENT = """
import asyncio, sys
from pathlib import Path
from tests.engine.samples import echo_engine
async def main():
    engine = echo_engine(Path(sys.argv[1]))
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def launch(**changes: object) -> Launch:
    model = servable()
    made = Launch(
        parent_pid=os.getpid(),
        key="k",
        name="tiny",
        model_path="tiny.gguf",
        projector_path=None,
        plan=launcher(Path("unused")).plan(model, GB),
        echo=EchoConfig(),
        embedding_length=8,
    )
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with process:
        yield process
        process.kill()


def ends(descriptor: int, within_s: float) -> bool:
    """Whether the process behind a pidfd ends in time."""
    readable, _, _ = select.select([descriptor], [], [], within_s)
    return bool(readable)


@pytest.mark.parametrize("stopped", [False, True])
def test_an_engine_dies_when_its_parent_is_killed(
    parent: subprocess.Popen[bytes], stopped: bool
) -> None:
    """Also one that the arbiter of turns has stopped, and that can do nothing itself."""
    assert parent.stdout is not None
    engine = os.pidfd_open(int(parent.stdout.readline()))
    try:
        if stopped:
            signal.pidfd_send_signal(engine, signal.SIGSTOP)
        parent.kill()
        assert ends(engine, 5)
    finally:
        os.close(engine)


def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    "module", ["reshore.engine.echo", "reshore.engine.worker", "reshore.engine.guard"]
)
def test_a_child_whose_input_ends_before_it_is_told_anything_leaves(module: str) -> None:
    with start(module) as child:
        out, _ = child.communicate(timeout=30)
    assert (child.returncode, out) == (0, b"")


def test_a_child_whose_parent_is_not_who_launched_it_leaves() -> None:
    """The parent died between starting it and the order to the kernel."""
    with start("reshore.engine.echo") as child:
        out, _ = child.communicate(msgspec.json.encode(launch(parent_pid=1)) + b"\n", timeout=30)
    assert (child.returncode, out) == (0, b"")


def test_a_child_ends_when_its_input_ends() -> None:
    """What makes it die with its parent where the kernel cannot."""
    with start("reshore.engine.echo") as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(msgspec.json.encode(launch()) + b"\n")
        child.stdin.flush()
        assert msgspec.json.decode(child.stdout.readline(), type=Ready).url
        child.stdin.close()
        assert child.wait(timeout=30) == 0


def test_a_guarded_program_gets_the_guards_id_and_leaves_no_core() -> None:
    code = (
        "import os, resource, sys; "
        "print(os.getpid(), resource.getrlimit(resource.RLIMIT_CORE), file=sys.stderr)"
    )
    guarded = Guarded(parent_pid=os.getpid(), argv=(sys.executable, "-c", code))
    with start("reshore.engine.guard") as child:
        _, log = child.communicate(msgspec.json.encode(guarded) + b"\n", timeout=30)
    assert log.decode().split() == [str(child.pid), "(0,", "0)"]


def test_a_program_that_cannot_be_run_is_told_in_the_ready_line() -> None:
    guarded = Guarded(parent_pid=os.getpid(), argv=("/no/such/llama-server",))
    with start("reshore.engine.guard") as child:
        out, _ = child.communicate(msgspec.json.encode(guarded) + b"\n", timeout=30)
    error = msgspec.json.decode(out, type=Ready).error
    assert (
        error == "cannot run /no/such/llama-server: No such file or directory. Set `engine.path`."
    )


# Becomes a program that reads nothing, with the watcher that other systems than Linux need.
WATCHED = """
import os, sys
from reshore.engine.guard import leave_watcher
leave_watcher()
program = 'import time; print(1, flush=True); time.sleep(60)'
os.execv(sys.executable, [sys.executable, '-c', program])
"""


@pytest.mark.parametrize("by", ["input", "kill"])
def test_the_watcher_ends_with_the_program_and_ends_it_with_the_input(by: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == b"1\n"
        if by == "input":
            program.stdin.close()
        else:
            program.kill()
        assert program.wait(timeout=30) == -signal.SIGKILL
        # The watcher holds the output too: its end says that the watcher is gone.
        assert program.stdout.read() == b""
