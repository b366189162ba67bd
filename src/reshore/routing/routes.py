"""From the settings to routes. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reshore.config.routes import RouteConfig
from reshore.errors import ConfigError, RouteError
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Route


def read_routes(table: Mapping[str, str | RouteConfig]) -> tuple[Route, ...]:
    """The routes of a `[routes]` table, in its order.

    Raises:
        ConfigError: a policy cannot be read; names its key.
    """
    return tuple(_read(pattern, entry) for pattern, entry in table.items())


def _read(pattern: str, entry: str | RouteConfig) -> Route:
    given = RouteConfig(policy=entry) if isinstance(entry, str) else entry
    try:
        policy = parse_policy(given.policy)
    except RouteError as error:
        raise ConfigError(f'routes."{pattern}": {error}') from error
    return Route(
        pattern=pattern,
        policy=policy,
        local=given.local,
        cloud=given.cloud,
        pins=given.pins,
        mix_embeddings=given.mix_embeddings,
    )
