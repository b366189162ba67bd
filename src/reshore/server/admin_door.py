"""The admin API on the public address: shut, unless an admin key is configured and sent.

A client's API key never opens it: an application that may ask models may not change who answers.
"""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from reshore.config import Config
from reshore.config.key_file import checked_keys, read_key_file
from reshore.errors import ConfigError, UnknownEndpoint
from reshore.server.exchange import SCOPE_KEY, Exchange
from reshore.server.guard import KeyGuard

PREFIX = "/admin"


class AdminDoor:
    """Middleware: what is under `/admin` goes to the admin API, everything else further in.

    Args:
        app: everything else.
        admin: the admin API.
        keys: who may pass; without any, nobody knows that there is something.
    """

    def __init__(self, app: ASGIApp, admin: ASGIApp, keys: KeyGuard) -> None:
        self._app = app
        self._admin = admin
        self._keys = keys

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or not _is_admin(scope["path"]):
            return self._app(scope, receive, send)
        if not self._keys.active:
            raise UnknownEndpoint(
                f"there is no {scope['path']} here; the admin API is on run/admin.sock, and on "
                "this address if `admin_key_file` is set"
            )
        exchange: Exchange = scope[SCOPE_KEY]
        exchange.key = self._keys.check(scope["headers"])
        return self._admin(scope, receive, send)


def _is_admin(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def admin_keys(config: Config) -> KeyGuard:
    """Those of the settings.

    Raises:
        ConfigError: the file cannot be read, or a key is an API key as well.
    """
    keys = set(checked_keys(config.admin_key.split(","), "admin_key"))
    if config.admin_key_file:
        path = config.home / Path(config.admin_key_file).expanduser()
        keys |= set(read_key_file(path, "admin_key_file"))
    if keys & {key.strip() for key in config.api_key.split(",")}:
        raise ConfigError(
            "a key is both among the admin keys and in api_key: whoever may ask models could "
            "change who answers; make another one for the admin API"
        )
    return KeyGuard(keys, setting="admin_key or admin_key_file")
