"""`reshore config`: the settings in force, and where each comes from."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from reshore.cli.output import Json, print_json, print_table
from reshore.config import Config, Layers, keys, read_layers, without_password

TITLES = ("SETTING", "VALUE", "FROM")
_MASK = "(set)"
# The path of a webhook may be all the secret that there is.
_SECRETS = frozenset({"api_key", "admin_key", "rollout.webhook"})


class Setting(Struct, frozen=True, kw_only=True):
    """A key with the value in force. `source`: `default`, a file, or an environment variable."""

    key: str
    value: Any
    source: str


def command(as_json: Json = False) -> None:
    """Print every setting with its value and where it comes from; secrets are masked."""
    settings = effective(read_layers())
    if as_json:
        print_json(settings)
        return
    print_table(TITLES, ((s.key, _shown(s.value), s.source) for s in settings))


def effective(layers: Layers) -> list[Setting]:
    """Every setting.

    Raises:
        ConfigError: an unknown key, or a value of the wrong type.
    """
    config = layers.config()
    return [
        Setting(key=key, value=_masked(key, _value(config, key)), source=layers.source(key))
        for key in ("home", *keys())
    ]


def _value(config: Config, key: str) -> Any:
    value: Any = config
    for step in key.split("."):
        value = getattr(value, step)
    return msgspec.to_builtins(value, enc_hook=_builtin)


def _builtin(value: object) -> object:
    """What msgspec does not know: `Seconds` are numbers, a path is a text."""
    return float(value) if isinstance(value, float) else str(value)


def _masked(key: str, value: Any) -> Any:
    if key == "ledger.url":
        return without_password(value)
    return _MASK if key in _SECRETS and value else value


def _shown(value: Any) -> str:
    """As TOML writes it, for what can be copied into the file."""
    return msgspec.json.encode(value).decode()
