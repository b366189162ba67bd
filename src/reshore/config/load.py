"""Reads the layers, and knows of each setting where it came from."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from reshore.config.durations import Seconds, parse_duration
from reshore.config.keys import (
    OLLAMA_NAMES,
    did_you_mean,
    is_list,
    is_table,
    keys,
    nearest,
    variable,
)
from reshore.config.rollout import SECRET_VARIABLE
from reshore.config.tree import Config
from reshore.config.upstreams import check_names, is_key_variable, key_variable
from reshore.errors import ConfigError

DEFAULT = "default"
HOME_VARIABLE = "RESHORE_HOME"
# Variables that are ours but are no settings of the server.
_NOT_SETTINGS = frozenset({HOME_VARIABLE, SECRET_VARIABLE})
# What msgspec says for the name of an entry, and names that TOML takes without quotes.
_SOME = "[...]"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Layers(Struct, frozen=True, kw_only=True):
    """All layers, one over the other, not yet checked.

    Attributes:
        tree: the settings that were given, as `reshore.toml` nests them.
        file: where `reshore.toml` is, or would be.
        places: a dotted key to the variable or flag that set it; a key of `tree` that is not here
            comes from the file.
    """

    tree: Mapping[str, Any]
    file: Path
    places: Mapping[str, str]

    def source(self, key: str) -> str:
        """Where a dotted key came from: `default`, a file, a variable or a flag."""
        if key in self.places:
            return self.places[key]
        return str(self.file) if self._has(key) else DEFAULT

    def config(self) -> Config:
        """The settings.

        Raises:
            ConfigError: an unknown key, or a value of the wrong type.
        """
        try:
            config = msgspec.convert(self.tree, Config, strict=False, dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise ConfigError(self._explain(str(error))) from error
        check_names(config.upstreams, self.file)
        return config

    def _has(self, key: str) -> bool:
        table: Any = self.tree
        for step in key.split("."):
            if not isinstance(table, Mapping) or step not in table:
                return False
            table = table[step]
        return True

    def _explain(self, message: str) -> str:
        """msgspec's message, with where it was read and the key in front, and the nearest key."""
        text, _, path = message.partition(" - at `$")
        dotted = path.rstrip("`").lstrip(".")
        unknown = re.search(r"unknown field `([^`]*)`", text)
        if unknown:
            dotted = f"{dotted}.{unknown[1]}".lstrip(".")
            text = f"unknown key.{nearest(dotted)}"
        key = dotted.partition("[")[0]  # `origins[0]` was set with `origins`
        entry = self._entry(key, message) if dotted.startswith(f"{key}{_SOME}") else None
        if entry is not None:
            named = f"{key}.{entry if _BARE.fullmatch(entry) else json.dumps(entry)}"
            dotted, text = (each.replace(f"{key}{_SOME}", named) for each in (dotted, text))
        return f"{self.places.get(key, self.file)}: {dotted}: {text}"

    def _entry(self, table: str, message: str) -> str | None:
        """Which entry of a table is meant by what msgspec says of one; None if none alone is."""
        entries = self.tree.get(table)
        for name, value in entries.items() if isinstance(entries, Mapping) else ():
            try:
                msgspec.convert({table: {name: value}}, Config, strict=False, dec_hook=_decode)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    return str(name)
        return None


def load(
    *,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    flag_names: Mapping[str, str] | None = None,
) -> Config:
    """Read all layers; the arguments are those of `read_layers`.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, a file that is not TOML.
    """
    return read_layers(env=env, flags=flags, flag_names=flag_names).config()


def read_layers(
    *,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    flag_names: Mapping[str, str] | None = None,
) -> Layers:
    """Read all layers, for who wants to know where a setting came from.

    Args:
        env: the environment; the process's own if None.
        flags: dotted keys to values (`{"engine.kind": "echo"}`); None values are unset flags.
        flag_names: dotted keys to the flags as people write them (`{"engine.kind": "--engine"}`).

    Raises:
        ConfigError: an unknown variable, or a file that is not TOML.
    """
    env = os.environ if env is None else env
    home = find_home(env)
    file = home / "reshore.toml"
    tree = _read_file(file)
    places = {"home": HOME_VARIABLE if env.get(HOME_VARIABLE) else DEFAULT}
    for dotted, value, name in (*_from_env(env), *_from_flags(flags or {}, flag_names or {})):
        _put(tree, dotted, value)
        places[dotted] = name
    tree["home"] = home
    _check_key_variables(env, tree, file)
    return Layers(tree=tree, file=file, places=places)


def find_home(env: Mapping[str, str] | None = None) -> Path:
    """RESHORE_HOME, for who needs no more of the settings, or cannot have them.

    Args:
        env: the environment; the process's own if None.
    """
    env = os.environ if env is None else env
    return Path(env.get(HOME_VARIABLE) or "~/.reshore").expanduser()


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _from_env(env: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    """Dotted key, value and variable name of every setting in the environment."""
    entries = keys()
    known = {variable(dotted): dotted for dotted, entry in entries.items() if not is_table(entry)}
    theirs = [name for name in OLLAMA_NAMES if env.get(name)]
    ours = [name for name in env if name.startswith("RESHORE_") and not _is_no_setting(name)]
    for name in theirs + ours:  # in this order: ours win
        dotted = OLLAMA_NAMES.get(name) or known.get(name)
        if dotted is None:
            raise ConfigError(f"environment: unknown setting {name}.{did_you_mean(name, known)}")
        value = _ollama_value(name, env[name])
        yield dotted, _pieces(dotted, value) if is_list(entries[dotted]) else value, name


def _is_no_setting(name: str) -> bool:
    return name in _NOT_SETTINGS or is_key_variable(name)


def _check_key_variables(env: Mapping[str, str], tree: Mapping[str, Any], file: Path) -> None:
    """A key for an upstream that is not there is most likely a misspelt one."""
    upstreams = tree.get("upstreams")
    known = [key_variable(name) for name in upstreams] if isinstance(upstreams, Mapping) else []
    for name in env:
        if is_key_variable(name) and name not in known:
            raise ConfigError(
                f"environment: {name} is the key of an upstream that {file} does not have."
                f"{did_you_mean(name, known)}"
            )


def _ollama_value(name: str, value: str) -> str:
    """A value as we write it: Ollama's switch for flash attention is a boolean."""
    if name != "OLLAMA_FLASH_ATTENTION":
        return value
    return {"1": "on", "true": "on", "0": "off", "false": "off"}.get(value.lower(), value)


def _pieces(dotted: str, value: str) -> list[str]:
    if dotted in ("privacy.patterns", "ledger.redact"):
        return [value] if value else []  # commas belong to a regular expression
    return [piece.strip() for piece in value.split(",") if piece.strip()]


def _from_flags(
    flags: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[tuple[str, Any, str]]:
    for dotted, value in flags.items():
        if value is not None:
            yield dotted, value, names.get(dotted, "flags")


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for step in path:
        tree = tree.setdefault(step, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{dotted}: {step} must be a table")
    tree[last] = value


def _decode(kind: type, value: Any) -> Any:
    if kind is Seconds:
        return parse_duration(value)
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
