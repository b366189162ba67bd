"""A server inside this process, for commands that ask models when none is running.

It owns the RESHORE_HOME like `reshore serve` does, and answers on the Unix socket alone: there is
no TCP port, and other commands find it as they find any server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

import uvicorn
from msgspec import structs

from reshore.cli.admin import AdminClient
from reshore.config import Config, load
from reshore.models.store import Store
from reshore.server.app import create_app
from reshore.server.drain import Drain
from reshore.server.listen import bind_admin, home_lock
from reshore.telemetry.logs import configure


@contextlib.contextmanager
def served(config: Config, models: Iterable[str]) -> Iterator[AdminClient]:
    """The running server, or one that lives as long as the block if the models are installed.

    Raises:
        UnknownModel: there is no server, and no such model.
        And what `hosted` raises.
    """
    client = AdminClient(config.home)
    if client.running():
        yield client
        return
    # Before anything is started for them.
    store = Store.from_config(config)
    for model in models:
        store.get(model)
    configure("CRITICAL")  # what goes wrong is told in one line, not in the log as well
    alone = structs.replace(config, pool=structs.replace(config.pool, preload=()))
    with hosted(alone):
        yield client


@contextlib.contextmanager
def hosted(config: Config) -> Iterator[None]:
    """Serve `config.home` from a thread until the block ends; engines end with it.

    At the end, replies to other commands may finish within `drain_s`.

    Raises:
        AlreadyRunning: another server holds the home.
        ConfigError: the home cannot be written, or its path is too long for a socket.
    """
    with home_lock(config.home), contextlib.closing(bind_admin(config.home)) as listener:
        host = _Host(config, listener)
        # A daemon, so that a second Ctrl-C while it drains still ends the process.
        thread = threading.Thread(target=host.run, name="server", daemon=True)
        thread.start()
        try:
            host.started.result()
            yield
        finally:
            host.stop()
            thread.join()


class _Host:
    """The server's event loop. Everything but `stop` happens in the thread that calls `run`."""

    def __init__(self, config: Config, listener: socket.socket) -> None:
        self.started: Future[None] = Future()
        self._config = config
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._serve())
            except Exception as error:
                if self.started.done():
                    raise
                self.started.set_exception(error)

    def stop(self) -> None:
        """From any thread, also before `run` has begun or after it has ended."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self) -> None:
        async with create_app(self._config, reread=load) as app, asyncio.TaskGroup() as tasks:
            server = uvicorn.Server(
                uvicorn.Config(
                    app.admin,
                    http="httptools",
                    ws="none",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                )
            )
            tasks.create_task(server.serve(sockets=[self._listener]))
            self.started.set_result(None)
            await self._stopping.wait()
            await self._drain(app.services.drain)
            server.should_exit = True

    async def _drain(self, drain: Drain) -> None:
        drain.begin()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self._config.drain_s, 0)):
                await drain.idle()
