"""Child main of `engine.kind = "llama-server"`: becomes that program, but dies with its parent.

The program keeps this process's id, so that signals reach it. On Linux the order to the kernel to
kill us with our parent survives `exec`; elsewhere a small watcher is left beside it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

from reshore.engine.child import (
    Guarded,
    die_with_parent,
    exit_with_stdin,
    fail,
    private_stdout,
    read_launch,
)


def main() -> None:
    stdout = private_stdout()
    launch = read_launch(Guarded)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        if os.name == "nt":
            _supervise(launch.argv)
        if not die_with_parent():
            leave_watcher()
        os.execvp(launch.argv[0], launch.argv)
    except OSError as error:
        fail(stdout, f"cannot run {launch.argv[0]}: {error.strerror}. Set `engine.path`.")


def leave_watcher() -> None:
    """Fork a process that kills this one when standard input ends, and ends when this one does."""
    engine = os.getpid()
    alive, held = os.pipe()
    os.set_inheritable(held, True)  # the program that we become holds it open to its end
    if os.fork():
        os.close(alive)
        return
    os.close(held)
    os.setsid()
    while True:
        readable, _, _ = select.select([0, alive], [], [])
        if alive in readable:
            os._exit(0)
        if not os.read(0, 65536):
            os.kill(engine, signal.SIGKILL)
            os._exit(0)


def _supervise(argv: tuple[str, ...]) -> None:
    """Windows cannot exec in place: run the program as a child, and end with it or with stdin."""
    program = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    exit_with_stdin(before=program.kill)
    sys.exit(program.wait())


if __name__ == "__main__":
    main()
