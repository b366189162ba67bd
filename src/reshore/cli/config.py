"""`reshore config`: the settings in force, and where each comes from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from reshore.cli.output import Json, print_json, print_table
from reshore.config import OLLAMA_NAMES, Config, keys, load, variable

TITLES = ("SETTING", "VALUE", "FROM")
_MASK = "(set)"
_SECRETS = frozenset({"api_key"})
_DEFAULT = "default"


class Setting(Struct, frozen=True, kw_only=True):
    """A key with the value in force. `source`: `default`, a file, or an environment variable."""

    key: str
    value: Any
    source: str


def command(as_json: Json = False) -> None:
    """Print every setting with its value and where it comes from; secrets are masked."""
    settings = effective(load(), os.environ)
    if as_json:
        print_json(settings)
        return
    print_table(TITLES, ((s.key, _shown(s.value), s.source) for s in settings))


def effective(config: Config, env: Mapping[str, str]) -> list[Setting]:
    """Every setting of a configuration that was loaded from `env` without flags."""
    file = config.home / "reshore.toml"
    written = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    by_ollama = {key: name for name, key in OLLAMA_NAMES.items() if env.get(name)}

    def source(key: str) -> str:
        if variable(key) in env:
            return variable(key)
        if key in by_ollama:
            return by_ollama[key]
        return str(file) if _has(written, key) else _DEFAULT

    home = "RESHORE_HOME" if env.get("RESHORE_HOME") else _DEFAULT
    return [
        Setting(key="home", value=str(config.home), source=home),
        *(
            Setting(key=key, value=_masked(key, _value(config, key)), source=source(key))
            for key in keys()
        ),
    ]


def _value(config: Config, key: str) -> Any:
    value: Any = config
    for step in key.split("."):
        value = getattr(value, step)
    return msgspec.to_builtins(value, enc_hook=float)  # of all types, only Seconds needs a hook


def _masked(key: str, value: Any) -> Any:
    return _MASK if key in _SECRETS and value else value


def _has(written: Mapping[str, Any], key: str) -> bool:
    table: Any = written
    for step in key.split("."):
        if not isinstance(table, Mapping) or step not in table:
            return False
        table = table[step]
    return True


def _shown(value: Any) -> str:
    """As TOML writes it, for what can be copied into the file."""
    return msgspec.json.encode(value).decode()
