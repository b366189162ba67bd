"""All upstreams of the configuration, over one pool of connections."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from reshore.backends.remote.remote import Remote
from reshore.backends.remote.session import open_session
from reshore.clock import Clock
from reshore.config import Config, UpstreamConfig, read_keys
from reshore.errors import ConfigError


@asynccontextmanager
async def open_upstreams(
    config: Config, *, env: Mapping[str, str], clock: Clock, instance_id: str
) -> AsyncIterator[Mapping[str, Remote]]:
    """The upstreams by name, in the order of the file; leaving closes all connections.

    Args:
        env: where `RESHORE_UPSTREAM_<NAME>_KEY` are.
        instance_id: of this process, for `via`.

    Raises:
        ConfigError: a key or a certificate cannot be read.
    """
    async with open_session() as session:
        yield {
            name: Remote(
                name,
                upstream,
                read_keys(name, upstream, home=config.home, env=env),
                session,
                clock,
                instance_id,
                tls=_tls(name, upstream, config.home),
            )
            for name, upstream in config.upstreams.items()
        }


def _tls(name: str, upstream: UpstreamConfig, home: Path) -> ssl.SSLContext | None:
    """The system's authorities and the upstream's own; None where the system's are enough."""
    if not upstream.ca_file:
        return None
    path = home / Path(upstream.ca_file).expanduser()
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"upstreams.{name}: ca_file {path}: {error}") from None
    return context
