"""What every engine process written in Python does first: read its launch, die with its parent.

The parent writes one line of JSON to the child's standard input and keeps the pipe open. The line
holds the key, which therefore stands neither in the process list nor in the environment. When the
pipe closes, the parent is gone, however it went, and so does the child. On Linux the kernel also
kills it directly, which works even while C code holds the interpreter or the child is stopped.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

import msgspec
from msgspec import Struct

from reshore.config import EchoConfig
from reshore.engine.base import LaunchPlan

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_READ_BYTES = 65536

START_FAILED = 3  # exit code after `fail`


class Launch(Struct, frozen=True, kw_only=True):
    """What an engine process is told.

    Attributes:
        parent_pid: who started it.
        key: the bearer token it must ask for.
        name: the model's name, for its replies.
        echo: knobs of the scripted engine, which alone reads them.
        embedding_length: elements of an embedding.
        adapter_paths: LoRA adapters to apply to the model.
        chat_template: a built-in's name or a Jinja text; None for the one in the file.
    """

    parent_pid: int
    key: str
    name: str
    model_path: str
    projector_path: str | None
    plan: LaunchPlan
    echo: EchoConfig
    embedding_length: int
    adapter_paths: tuple[str, ...] = ()
    chat_template: str | None = None


class Guarded(Struct, frozen=True, kw_only=True):
    """A foreign program to run as an engine."""

    parent_pid: int
    argv: tuple[str, ...]


class Ready(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The one line that a child writes: its address, or why there is none."""

    url: str | None = None
    error: str | None = None


T = TypeVar("T", Launch, Guarded)


def read_launch(kind: type[T]) -> T:
    """Read the launch from standard input, after making sure that this process will not outlive
    its parent. Exits silently if the parent is gone already."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which drains first
    leave_group()
    die_with_parent()
    no_core_dump()
    received = b""
    while not received.endswith(b"\n"):
        block = os.read(0, _READ_BYTES)
        if not block:
            os._exit(0)
        received += block
    launch = msgspec.json.decode(received, type=kind)
    # Parent gone before the kernel was told to watch it. (Elsewhere launchers may stand between.)
    if sys.platform == "linux" and os.getppid() != launch.parent_pid:
        os._exit(0)
    return launch


def leave_group() -> None:
    """Be a process group of its own, in the parent's session.

    Where no kernel kills an engine with its parent (macOS), this ends one that was paused when the
    gateway was killed: POSIX has stopped members of an orphaned group hung up and continued.
    """
    if sys.platform != "win32":
        os.setpgid(0, 0)


def die_with_parent() -> bool:
    """Have the kernel kill this process when its parent ends; whether this kernel can."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0)


def no_core_dump() -> None:
    """A crash must not write gigabytes of weights, and prompts with them, to the disk."""
    if sys.platform != "win32":
        import resource  # POSIX only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def exit_with_stdin(before: Callable[[], object] = lambda: None) -> None:
    """From now on, call `before` and end this process at once when its standard input ends."""

    def wait_for_eof() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, _READ_BYTES):
                pass
        before()
        os._exit(0)

    threading.Thread(target=wait_for_eof, name="parent-watch", daemon=True).start()


def private_stdout() -> int:
    """A descriptor for the ready line; what C code prints from now on goes to the log."""
    own = os.dup(1)
    os.dup2(2, 1)
    return own


def report(descriptor: int, ready: Ready) -> None:
    """Write the ready line and close the descriptor; a parent that has gone is no error."""
    with contextlib.suppress(OSError):
        os.write(descriptor, msgspec.json.encode(ready) + b"\n")
        os.close(descriptor)


def fail(descriptor: int, error: str) -> NoReturn:
    """Say why there is no engine, and end."""
    report(descriptor, Ready(error=error))
    os._exit(START_FAILED)
