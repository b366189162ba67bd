"""From configuration to a running server and back: listen, serve, drain, stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from reshore.config import Config
from reshore.engine.base import Launcher
from reshore.server.app import App, create_app
from reshore.server.drain import Drain
from reshore.server.listen import (
    bind,
    bind_admin,
    check_exposure,
    home_lock,
    raise_file_limit,
)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# How long cut-off streams have for their error event.
_CUT_GRACE_S = 2.0


async def serve(
    config: Config,
    *,
    on_ready: Callable[[], None],
    launcher: Launcher | None = None,
    reread: Callable[[], Config] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends it at once.

    Args:
        on_ready: called when requests are accepted.
        launcher: makes engines; None detects this machine's hardware.
        reread: reads the settings again, for what follows `reshore.toml`.

    Raises:
        ConfigError: the address, certificate or home cannot be used.
        AlreadyRunning: another server holds the home.
    """
    check_exposure(config)
    raise_file_limit()
    with home_lock(config.home):
        listener = bind(config)
        with contextlib.closing(listener), contextlib.closing(bind_admin(config.home)) as local:
            async with create_app(config, launcher=launcher, reread=reread) as app:
                await _serve(config, app, listener, local, on_ready)


async def _serve(
    config: Config,
    app: App,
    listener: socket.socket,
    local: socket.socket,
    on_ready: Callable[[], None],
) -> None:
    drain = app.services.drain
    public = _Server(_settings(app.public, config.tls_cert, config.tls_key))
    admin = _Server(_settings(app.admin))
    async with asyncio.TaskGroup() as tasks, _signals(drain, (public, admin)) as stopping:
        tasks.create_task(public.serve(sockets=[listener]))
        tasks.create_task(admin.serve(sockets=[local]))
        on_ready()
        await stopping.wait()
        await _drain(drain, max(config.drain_s, 0))
        public.should_exit = admin.should_exit = True


async def _drain(drain: Drain, seconds: float) -> None:
    """Let streams end; after `seconds`, cut what is left with an error event."""
    try:
        async with asyncio.timeout(seconds):
            await drain.idle()
    except TimeoutError:
        drain.cut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CUT_GRACE_S):
                await drain.idle()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: two servers share one process, and we drain first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _settings(app: ASGIApp, cert: str = "", key: str = "") -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than the idle limit of the usual proxies (60 s)
        timeout_graceful_shutdown=2,
        ssl_certfile=cert or None,
        ssl_keyfile=key or None,
    )


@contextlib.asynccontextmanager
async def _signals(drain: Drain, servers: tuple[_Server, ...]) -> AsyncIterator[asyncio.Event]:
    """An event that the first signal sets; the second one ends the servers at once."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            drain.cut()
            for server in servers:
                server.force_exit = True
        drain.begin()
        stopping.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield stopping
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
