"""`create_app(config)` builds the whole server; its lifespan closes it. No globals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp

from reshore.backends.library import Library
from reshore.backends.local import LocalBackend
from reshore.backends.remote.upstreams import open_upstreams
from reshore.clock import Clock, SystemClock
from reshore.config import Config, parse_host
from reshore.engine.base import Launcher
from reshore.engine.client import EngineClient
from reshore.engine.hardware import Hardware, detect, detect_gpus
from reshore.engine.launch import EngineLauncher
from reshore.engine.pool import Pool
from reshore.engine.turns import Turns
from reshore.errors import ReshoreError
from reshore.models.inventory import Inventory
from reshore.models.store import Store
from reshore.routing.cascade import open_cascade
from reshore.routing.dispatch import Dispatcher
from reshore.routing.reload import Follower, open_routes
from reshore.routing.shadow import ShadowWorker
from reshore.server import admin, health, openai, openai_models
from reshore.server.admin_door import AdminDoor, admin_keys
from reshore.server.admin_evaluation import evaluation_endpoints
from reshore.server.admin_rollouts import rollout_endpoints
from reshore.server.admin_routes import route_endpoints
from reshore.server.calls.origin import Backends
from reshore.server.deciders import open_decider
from reshore.server.drain import Drain
from reshore.server.elsewhere import Elsewhere
from reshore.server.evaluating import running_evaluation
from reshore.server.guard import HostGuard, KeyGuard, OriginGuard
from reshore.server.metrics import MetricsPage, make_meter
from reshore.server.middleware import Admit, Authenticate, Guard, Observe
from reshore.server.ollama import native_routes
from reshore.server.ollama_models import management_routes
from reshore.server.paths import Paths
from reshore.server.recording import Recorder, running_ledger
from reshore.server.rollouts import open_rollouts
from reshore.server.services import Services
from reshore.server.world import make_world
from reshore.telemetry.logs import record_outcome
from reshore.telemetry.meter import Meter
from reshore.types import Attempt, Outcome

log = logging.getLogger("reshore.server")


@dataclass(frozen=True)
class App:
    """A built server: two ASGI apps over the same services.

    Attributes:
        public: what clients reach over TCP.
        admin: what the command line reaches over the Unix socket: the public endpoints without
            keys and Host checks (the socket's file mode is the key), and the admin API, which
            takes an admin key in `public`.
        services: for whoever runs it (signals, tests).
    """

    public: ASGIApp
    admin: ASGIApp
    services: Services


@contextlib.asynccontextmanager
async def create_app(
    config: Config,
    *,
    launcher: Launcher | None = None,
    clock: Clock | None = None,
    record: Callable[[Outcome], None] = record_outcome,
    env: Mapping[str, str] = os.environ,
    reread: Callable[[], Config] | None = None,
) -> AsyncIterator[App]:
    """Build everything, keep it running inside the context, close it on the way out.

    Engines are stopped last, after the caller has drained its requests.

    Args:
        launcher: makes engines; None detects this machine's hardware.
        record: gets the Outcome of each request, beside ledger and metrics.
        env: where the keys of upstreams are.
        reread: reads the settings again, when `reshore.toml` has changed; None: nobody looks.

    Raises:
        ConfigError: a key, a certificate, a route or a privacy rule cannot be read.
        HistoryError: the history of the routes cannot be read.
    """
    clock = clock or SystemClock()
    here = await _this_machine(config, launcher, clock)
    world = make_world(config, here.inventory, here.hardware)
    routes = await asyncio.to_thread(open_routes, config, world, clock)
    instance_id = secrets.token_hex(6)

    def record_late(request_id: str, attempt: Attempt) -> None:
        recorder.late(request_id, attempt)  # it is there before anything is asked

    async with (
        running_ledger(config, clock) as ledger,
        _engine_session() as session,
        open_upstreams(config, env=env, clock=clock, instance_id=instance_id) as remotes,
        _working(here.pool),
    ):
        local = LocalBackend(here.library, here.pool, EngineClient(session), config)
        backends = Backends(local, remotes)
        decider = await open_decider(
            config.evaluation,
            remotes,
            reach=lambda target, request, request_id: backends.chat(
                target, request, request_id=request_id
            ),
            local=here.pool,
            clock=clock,
            record_late=record_late,
        )
        async with (
            running_evaluation(config, clock, ledger, decider) as evaluation,
            open_rollouts(config, routes, evaluation, clock=clock, env=env) as rollouts,
            ShadowWorker(
                config.shadow,
                clock=clock,
                local=here.pool,
                record_late=record_late,
                on_result=evaluation.offer if evaluation else None,
            ) as shadows,
        ):
            services = Services(
                config=config,
                store=here.store,
                library=here.library,
                inventory=here.inventory,
                pool=here.pool,
                backend=local,
                backends=backends,
                routes=routes,
                dispatcher=Dispatcher(
                    config.routing,
                    cascade=open_cascade,
                    clock=clock,
                    keys=lambda name: remotes[name].key_count,
                    shadows=shadows,
                ),
                shadows=shadows,
                evaluation=evaluation,
                rollouts=rollouts,
                drain=Drain(),
                ledger=ledger,
                clock=clock,
                instance_id=instance_id,
            )
            meter = make_meter(services, ledger) if config.metrics.enabled else None
            recorder = Recorder(record, ledger, meter, evaluation, rollouts.inbox)
            async with _attended(services, reread):
                yield App(
                    public=_public(services, meter, recorder),
                    admin=_admin(services, meter, recorder),
                    services=services,
                )


class _ThisMachine(NamedTuple):
    """What answers locally, nothing of it at work yet."""

    hardware: Hardware
    store: Store
    library: Library
    inventory: Inventory
    pool: Pool


async def _this_machine(config: Config, launcher: Launcher | None, clock: Clock) -> _ThisMachine:
    store = Store.from_config(config)
    run_dir = config.home / "run"
    run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A launcher that is given knows its GPUs; asking for them costs a process.
    gpus = () if launcher else await asyncio.to_thread(detect_gpus, config.engine)
    hardware = detect(gpus=gpus)
    launcher = launcher or EngineLauncher(config, hardware, run_dir)
    turns = Turns(config.engine.turn_ms / 1000, clock, cores=hardware.cores)
    return _ThisMachine(
        hardware=hardware,
        store=store,
        library=Library(store),
        inventory=Inventory(store, clock, describes=bool(config.upstreams)),
        pool=Pool(launcher, config.pool, clock=clock, turns=turns),
    )


@contextlib.asynccontextmanager
async def _attended(services: Services, reread: Callable[[], Config] | None) -> AsyncIterator[None]:
    """What runs beside the requests: the work of a start, and a look at the settings' file."""
    tasks = [asyncio.create_task(_start(services))]
    if reread is not None:
        file = services.config.home / "reshore.toml"
        follower = Follower(services.routes, reread, file, services.clock)
        tasks.append(asyncio.create_task(follower.run()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await services.inventory.aclose()


@contextlib.asynccontextmanager
async def _working(pool: Pool) -> AsyncIterator[None]:
    """The pool at work; leaving stops its engines."""
    runner = asyncio.create_task(pool.run())
    try:
        yield
    finally:
        await pool.aclose()
        await runner


def _engine_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, use_dns_cache=False, keepalive_timeout=4),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,  # a proxy variable must not carry prompts off this machine
        read_bufsize=2**18,
    )


async def _start(services: Services) -> None:
    """What is done once, beside the first requests: load what is to be there, tidy the store."""
    try:
        await services.inventory.refresh()
        await _preload(services)
        freed = await asyncio.to_thread(services.store.prune)
        if freed:
            log.info("removed what no model uses from the store", extra={"freed_bytes": freed})
    except ReshoreError as error:
        log.warning("the model store was not tidied: %s", error)


async def _preload(services: Services) -> None:
    """Load models; one that cannot be loaded is a log line, no more."""
    failed: dict[str, ReshoreError] = {}
    models = []
    for name in services.config.pool.preload:
        try:
            models.append(await services.library.find(services.aliases.resolve(name)))
        except ReshoreError as error:
            failed[name] = error
    failed |= await services.pool.preload(models)
    for name, reason in failed.items():
        log.error("cannot preload %s: %s", name, reason)


def _public(services: Services, meter: Meter | None, record: Callable[[Outcome], None]) -> ASGIApp:
    config = services.config
    host, _ = parse_host(config.host)
    return _build(
        services,
        [
            Middleware(Observe, record=record),
            Middleware(
                Guard,
                host=HostGuard(bound_to=host, allowed=config.allowed_hosts),
                origin=OriginGuard(config.origins),
            ),
            Middleware(
                AdminDoor,
                admin=_build(services, [], _admin_routes(services)),
                keys=admin_keys(config),
            ),
            Middleware(Authenticate, keys=KeyGuard(config.api_key)),
            Middleware(Admit, drain=services.drain),
        ],
        _routes(services, meter),
    )


def _admin(services: Services, meter: Meter | None, record: Callable[[Outcome], None]) -> ASGIApp:
    return _build(
        services,
        [Middleware(Observe, record=record), Middleware(Admit, drain=services.drain)],
        [*_routes(services, meter), *_admin_routes(services)],
    )


def _admin_routes(services: Services) -> list[Route]:
    return [
        Route("/admin/loaded", admin.Loaded(services), methods=["GET"]),
        Route("/admin/stop", admin.Stop(services), methods=["POST"]),
        Route("/admin/forget", admin.Forget(services), methods=["POST"]),
        Route("/admin/where", admin.Where(services), methods=["GET"]),
        Route("/admin/ask", openai.AskTarget(services), methods=["POST"]),
        *route_endpoints(services),
        *rollout_endpoints(services),
        *evaluation_endpoints(services),
    ]


def _build(services: Services, middleware: list[Middleware], routes: list[Route]) -> ASGIApp:
    app: ASGIApp = Paths(routes, Elsewhere(services, routes))
    for layer in reversed(middleware):
        app = layer.cls(app, *layer.args, **layer.kwargs)
    return app


def _routes(services: Services, meter: Meter | None) -> list[Route]:
    alive = health.Alive(services)
    ready = health.Ready(services)
    metrics = [MetricsPage(services, meter)] if meter else []
    return [
        Route("/v1/chat/completions", openai.chat_completions(services), methods=["POST"]),
        Route("/v1/completions", openai.completions(services), methods=["POST"]),
        Route("/v1/embeddings", openai.embeddings(services), methods=["POST"]),
        Route("/v1/models", openai_models.Models(services), methods=["GET"]),
        Route("/v1/models/{model:path}", openai_models.OneModel(services), methods=["GET"]),
        *native_routes(services),
        *management_routes(services),
        Route("/", health.Banner(services), methods=["GET"]),
        *(Route(path, alive, methods=["GET"]) for path in ("/health", "/healthz", "/livez")),
        Route("/health/liveliness", alive, methods=["GET"]),
        *(Route(path, ready, methods=["GET"]) for path in ("/readyz", "/health/readiness")),
        *(Route("/metrics", page, methods=["GET"]) for page in metrics),
    ]
