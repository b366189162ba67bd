"""An engine in a process of its own, and its life from `stopped` to `stopped` or `failed`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from reshore.engine.base import Address, LaunchPlan, State
from reshore.engine.child import Ready
from reshore.engine.probe import wait_until_answering
from reshore.engine.spawn import Child, Command, LogTail, spawn
from reshore.errors import Crashed, EngineError, StartFailed
from reshore.models.facts import Servable

E = TypeVar("E", bound=EngineError)

STOP_GRACE_S = 5.0
# Between choosing a free port and binding it another process may take it.
_PORT_TRIES = 5
_PORT_TAKEN = "couldn't bind HTTP server socket"  # llama-server's words

# The only moves there are; `failed` is final.
_NEXT = {
    State.STOPPED: {State.STARTING},
    State.STARTING: {State.READY, State.FAILED, State.STOPPING},
    State.READY: {State.STOPPING, State.FAILED},
    State.STOPPING: {State.STOPPED},
    State.FAILED: set[State](),
}


class ProcessEngine:
    """One engine process; implements `Engine`.

    All state belongs to the event loop it is used in: `start` and `stop` change it, and the
    callback for the exit of the process, which nobody needs to wait for.

    Args:
        command: makes the command line, with a fresh key (and port), for each start.
        load_timeout_s: until it must be ready; negative: no limit.
        stop_grace_s: from SIGTERM to SIGKILL.
    """

    def __init__(
        self,
        model: Servable,
        plan: LaunchPlan,
        command: Callable[[], Command],
        *,
        load_timeout_s: float,
        stop_grace_s: float = STOP_GRACE_S,
    ) -> None:
        self._model = model
        self._plan = plan
        self._command = command
        self._load_timeout_s = load_timeout_s
        self._stop_grace_s = stop_grace_s
        self._state = State.STOPPED
        self._child: Child | None = None
        self._address: Address | None = None
        self._log = LogTail(hide="\0")
        self._starting = asyncio.Event()  # set while no `start` is under way
        self._starting.set()

    @property
    def model(self) -> Servable:
        return self._model

    @property
    def plan(self) -> LaunchPlan:
        return self._plan

    @property
    def state(self) -> State:
        return self._state

    @property
    def address(self) -> Address:
        """Where it listens.

        Raises:
            EngineError: it has not been ready yet.
        """
        if self._address is None:
            raise self._error(EngineError, "is not ready, it has no address yet")
        return self._address

    @property
    def slots(self) -> int:
        return self._plan.slots

    @property
    def context_length(self) -> int:
        return self._plan.context_length

    @property
    def memory_bytes(self) -> int:
        return self._plan.memory_bytes

    @property
    def pid(self) -> int | None:
        """Of the last process, also once it has ended: look at `state` before you signal it."""
        return self._child.pid if self._child else None

    @property
    def log_tail(self) -> tuple[str, ...]:
        return self._log.lines

    async def start(self) -> None:
        """Start and wait until ready.

        Raises:
            StartFailed: it is not stopped, exited, was not ready in time, or was stopped
                meanwhile; carries the last log lines.
        Cancellation kills the process and leaves the engine stopped.
        """
        if self._state is not State.STOPPED:
            raise self._error(StartFailed, f"is {self._state}: only a stopped one can be started")
        self._move(State.STARTING)
        self._child, self._address = None, None
        self._starting = asyncio.Event()
        try:
            async with asyncio.timeout(self._load_timeout_s if self._load_timeout_s >= 0 else None):
                address = await self._boot()
        except TimeoutError:
            raise await self._give_up(
                f"was not ready within {self._load_timeout_s:g} s. If the model is large or the "
                "disk slow, raise `engine.load_timeout_s`"
            ) from None
        except EngineError:
            self._settle()
            raise
        except BaseException:
            await self._abandon()
            raise
        else:
            self._address = address
            self._move(State.READY)
        finally:
            self._starting.set()

    async def stop(self) -> None:
        """End the process and wait for it; from any state, more than once if need be.

        Cancellation kills the process at once instead of asking it.
        """
        if self._state in (State.STARTING, State.READY):
            self._move(State.STOPPING)
        try:
            if self._child is not None:
                await self._end(self._child)
            # If `start` was about to have a process, it sees the state and ends it.
            await self._starting.wait()
        except asyncio.CancelledError:
            if self._child is not None:
                self._child.kill()
            raise

    async def wait_exit(self) -> int:
        """Wait until the process has ended; its exit code (negative: signal).

        Raises:
            EngineError: no process has been started.
        """
        if self._child is None:
            raise self._error(EngineError, "has not been started")
        return await self._child.wait()

    def crashed(self) -> Crashed:
        """The error that tells how the process ended, with its last log lines."""
        return self._error(Crashed, f"ended while it was needed ({self._ending()})")

    async def _boot(self) -> Address:
        for _ in range(_PORT_TRIES):
            command = self._command()
            try:
                address = await self._boot_once(command)
            finally:
                command.discard_secrets()
            if address is not None:
                return address
        raise self._error(StartFailed, f"found no free port in {_PORT_TRIES} tries")

    async def _boot_once(self, command: Command) -> Address | None:
        """Its address when it is ready; None if its port was taken from it."""
        self._log = LogTail(hide=command.key)
        try:
            child = self._child = await spawn(command, self._log, self._exited)
        except OSError as error:
            raise self._error(StartFailed, f"could not be started: {error}") from error
        if self._state is State.STOPPING:
            child.kill()
        waiting = asyncio.create_task(self._ready_url(child, command))
        try:
            either: set[asyncio.Future[Any]] = {waiting, child.exited}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done() and not child.exited.done() and self._state is State.STARTING:
                return Address(url=waiting.result(), key=command.key)
        finally:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError, EngineError):
                await waiting
        await child.wait()
        if self._state is State.STARTING and any(_PORT_TAKEN in line for line in self.log_tail):
            return None
        raise self._error(StartFailed, self._why_not_ready(child))

    async def _ready_url(self, child: Child, command: Command) -> str:
        if command.url is not None:
            await wait_until_answering(command.url, command.key)
            return command.url
        ready = _parse_ready(await asyncio.shield(child.ready))
        if ready.url is None:
            child.kill()
            await child.wait()
            raise self._error(StartFailed, f"did not start. {ready.error}")
        return ready.url

    def _why_not_ready(self, child: Child) -> str:
        if self._state is not State.STARTING:
            return "was stopped while it started"
        if child.ready.done():
            error = _parse_ready(child.ready.result()).error
            if error:
                return f"did not start. {error}"
        last = next(reversed(self.log_tail), "it logged nothing")
        return f"ended before it was ready ({self._ending()}); last log line: {last}"

    async def _give_up(self, why: str) -> StartFailed:
        if self._child:
            self._child.kill()
            await self._child.wait()
        self._settle()
        return self._error(StartFailed, why)

    async def _abandon(self) -> None:
        """`start` was cancelled: leave nothing behind."""
        if self._state is State.STARTING:
            self._move(State.STOPPING)
        if self._child is not None:
            self._child.kill()
            await self._child.wait()
        self._settle()

    async def _end(self, child: Child) -> None:
        child.terminate()
        await asyncio.wait({child.exited}, timeout=self._stop_grace_s)
        child.kill()
        await child.wait()

    def _exited(self, child: Child) -> None:
        """Called by the event loop when the process has ended, by itself or by our doing.

        While starting, `start` decides what the end means.
        """
        if self._state is State.READY:
            self._move(State.FAILED)
        elif self._state is State.STOPPING:
            self._move(State.STOPPED)

    def _settle(self) -> None:
        """A start has come to nothing and no process is left."""
        if self._state is State.STARTING:
            self._move(State.FAILED)
        elif self._state is State.STOPPING:
            self._move(State.STOPPED)

    def _move(self, state: State) -> None:
        assert state in _NEXT[self._state], f"{self._state} -> {state}"
        self._state = state

    def _ending(self) -> str:
        if self._child is None or not self._child.exited.done():
            return "still running"
        return describe_exit(self._child.exited.result())

    def _error(self, kind: type[E], what: str) -> E:
        message = f"The engine of {self._model.name} {what.rstrip('.')}."
        return kind(message, model=self._model.name, log_tail=self.log_tail)


def describe_exit(code: int) -> str:
    """Words for an exit code: `exit code 3`, `killed by SIGKILL, perhaps for lack of memory`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (", perhaps for lack of memory" if name == "SIGKILL" else "")


def _parse_ready(line: bytes) -> Ready:
    with contextlib.suppress(msgspec.DecodeError):
        ready = msgspec.json.decode(line, type=Ready)
        if ready.url or ready.error:
            return ready
    return Ready(error=f"Its first line is not a ready line: {line[:200]!r}")
