"""`[upstreams.NAME]`: remote APIs that may answer, and where their keys are.

Keys are no settings: they come from a file of their own or from an environment variable, so that
neither `reshore config` nor a copied `reshore.toml` shows one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from reshore.config.durations import Seconds
from reshore.config.key_file import checked_keys, read_key_file
from reshore.config.numbers import Count
from reshore.errors import ConfigError

UpstreamKind = Literal[
    "openai", "azure", "vllm", "sglang", "llama-server", "ollama", "openrouter", "reshore"
]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_KEY_VARIABLE = re.compile(r"RESHORE_UPSTREAM_([A-Z0-9_]+)_KEY")
_WHERE_KEYS_GO = (
    "keys are not kept in reshore.toml; write them into a file of their own, one a line, and name "
    "it with `key_file`, or set RESHORE_UPSTREAM_<NAME>_KEY"
)


class Habits(Struct, frozen=True, kw_only=True):
    """What is usual for one kind of upstream; each can be set otherwise.

    Attributes:
        url: where everybody's is, "" where each has their own.
        base_path: of a URL that has no path.
        first_token_timeout_s: a prompt of some ten thousand tokens is minutes of prefill on one's
            own hardware, and a model may have to be loaded first; of a cloud, more than a minute
            of silence is as good as a failure where another side could answer.
        token_timeout_s: other requests' prefill holds up the tokens of an engine that batches.
        total_timeout_s: for clouds that of OpenAI's SDKs; one's own engine is slower, and nothing
            is saved by ending its generation.
    """

    url: str = ""
    base_path: str = "/v1"
    first_token_timeout_s: float = 60.0
    token_timeout_s: float = 30.0
    total_timeout_s: float = 600.0


_OWN = Habits(first_token_timeout_s=120.0, token_timeout_s=60.0, total_timeout_s=1800.0)
_HABITS: Mapping[UpstreamKind, Habits] = {
    "openai": Habits(url="https://api.openai.com/v1"),
    "azure": Habits(base_path="/openai/v1"),
    "openrouter": Habits(url="https://openrouter.ai/api/v1", base_path="/api/v1"),
    "vllm": _OWN,
    "sglang": _OWN,
    "llama-server": _OWN,
    "ollama": _OWN,
    "reshore": _OWN,
}


class UpstreamConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One remote API, `[upstreams.NAME]`. What is unset is as usual for its kind.

    Attributes:
        url: with or without the path of its API (`http://gpu-box:8000`); unset for OpenAI and
            OpenRouter.
        kind: what it is, which changes nothing but defaults.
        key_file: a file with one key a line; relative to RESHORE_HOME.
        ca_file: PEM file of the authority that signed its certificate, if the system's do not know
            it; relative to RESHORE_HOME.
        connect_timeout_s: until a connection stands, name resolution and TLS included. Two lost
            packets are made up for within 3 s.
        first_token_timeout_s: of a stream, until its first event.
        token_timeout_s: of a stream, between two events.
        total_timeout_s: of everything, from the request to the last byte.
        models: names as clients know them -> names as this upstream knows them.
        forward: whether it takes endpoints that reshore has no codec for.
        max_connections: at a time; 0: as many as there are requests.
        price_as: the provider whose prices it has, if its kind does not tell.
        usage: streams are asked for their token counts, which an old server may refuse.
        key: never; refused with a word on where keys go, and so is `keys`.
    """

    url: str = ""
    kind: UpstreamKind = "openai"
    key_file: str = ""
    ca_file: str = ""
    connect_timeout_s: Seconds = Seconds(5)
    first_token_timeout_s: Seconds | None = None
    token_timeout_s: Seconds | None = None
    total_timeout_s: Seconds | None = None
    models: dict[str, str] = {}
    forward: bool = True
    max_connections: Count = 0
    price_as: str = ""
    usage: bool = True
    key: str | None = None
    keys: list[str] | None = None

    def __post_init__(self) -> None:
        if self.key is not None or self.keys is not None:
            raise ValueError(_WHERE_KEYS_GO)
        parts = urlsplit(self.base_url())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must be that of an API, such as 'http://127.0.0.1:8000/v1'")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(f"url must end with its path; {_WHERE_KEYS_GO}")

    def base_url(self) -> str:
        """The URL to which `/chat/completions` is added."""
        url = (self.url or self.habits().url).rstrip("/")
        return url if urlsplit(url).path else url + self.habits().base_path

    def habits(self) -> Habits:
        """What is usual for an upstream of this kind."""
        return _HABITS[self.kind]

    def timeouts(self) -> Timeouts:
        """The time limits in force."""
        usual = self.habits()
        return Timeouts(
            connect_s=_limit(self.connect_timeout_s, 0.0),
            first_token_s=_limit(self.first_token_timeout_s, usual.first_token_timeout_s),
            token_s=_limit(self.token_timeout_s, usual.token_timeout_s),
            total_s=_limit(self.total_timeout_s, usual.total_timeout_s),
        )


class Timeouts(Struct, frozen=True, kw_only=True):
    """Seconds; 0 means no limit."""

    connect_s: float
    first_token_s: float
    token_s: float
    total_s: float


def _limit(value: Seconds | None, usual: float) -> float:
    return usual if value is None else max(float(value), 0.0)


def key_variable(name: str) -> str:
    """The environment variable with the keys of an upstream, comma-separated."""
    return f"RESHORE_UPSTREAM_{re.sub('[^A-Z0-9]', '_', name.upper())}_KEY"


def is_key_variable(name: str) -> bool:
    """Whether a variable is one that holds keys, of whatever upstream."""
    return _KEY_VARIABLE.fullmatch(name) is not None


def check_names(upstreams: Mapping[str, UpstreamConfig], source: object) -> None:
    """Names go into policies, headers and variables: they are short and plain.

    Raises:
        ConfigError: one cannot be used, or two share a variable.
    """
    variables: dict[str, str] = {}
    for name in upstreams:
        if name == "local" or not _NAME.fullmatch(name):
            raise ConfigError(
                f"{source}: upstreams.{name}: an upstream's name has up to 32 of a-z, 0-9, '_' and "
                "'-', and is not 'local', which is this machine"
            )
        other = variables.setdefault(key_variable(name), name)
        if other != name:
            raise ConfigError(
                f"{source}: upstreams.{name} and upstreams.{other} would share the variable "
                f"{key_variable(name)}; rename one"
            )


def read_keys(
    name: str, upstream: UpstreamConfig, *, home: Path, env: Mapping[str, str]
) -> tuple[str, ...]:
    """The API keys of an upstream: of its variable, or else of its file; none for one without.

    Raises:
        ConfigError: the file cannot be read, or a key holds what no header can carry. The message
            never shows a key.
    """
    variable = key_variable(name)
    if env.get(variable):
        return checked_keys(env[variable].split(","), variable)
    if not upstream.key_file:
        return ()
    path = home / Path(upstream.key_file).expanduser()
    return read_key_file(path, f"upstreams.{name}: key_file")
