"""One tree of settings with one loader.

`load()` reads, each layer over the one before: the defaults written here, `reshore.toml` in
`RESHORE_HOME`, environment variables, flags. Every key has one environment variable,
`RESHORE_` + section + key in capitals (`RESHORE_ENGINE_THREADS`); top-level keys have no section
(`RESHORE_HOST`). People who come from Ollama keep their `OLLAMA_*` names where a counterpart
exists; a `RESHORE_*` name beside it wins. An unknown key is an error that names the nearest one.

`reshore.example.toml` and `docs/configuration.md` show every key; a test compares them with this.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from reshore.errors import ConfigError

# Go's duration grammar, which Ollama's clients write ("5m", "1h30m", "-1s").
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Seconds(float):
    """A span of time; written as a number of seconds or as `"5m"`; negative means forever."""


def parse_duration(value: object) -> Seconds:
    """Read a span of time: a number of seconds, or Go's grammar (`"90s"`, `"1h30m"`, `"-1m"`).

    Raises:
        ValueError: neither of the two.
    """
    if isinstance(value, bool):
        raise ValueError("expected a number of seconds or a duration such as '5m'")
    if isinstance(value, int | float):
        return Seconds(value)
    text = str(value).strip()
    try:
        return Seconds(text)
    except ValueError:
        pass
    sign, body = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    pieces = _DURATION.findall(body)
    if not pieces or "".join(number + unit for number, unit in pieces) != body:
        raise ValueError(f"{text!r} is not a duration; write seconds (300) or '5m', '1h30m', '-1'")
    return Seconds(sign * sum(float(number) * _UNIT_S[unit] for number, unit in pieces))


Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]


class EchoConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Knobs of the scripted engine (`engine.kind = "echo"`)."""

    tokens: Annotated[Count, Meta(description="tokens per answer when the request sets none")] = 16
    ttft_ms: Annotated[float, Meta(ge=0, description="pause before the first token")] = 0.0
    gap_ms: Annotated[float, Meta(ge=0, description="pause between tokens")] = 0.0
    load_ms: Annotated[float, Meta(ge=0, description="pause before the engine is ready")] = 0.0
    fault: Annotated[
        Literal["", "exit", "hang", "garbage", "cut", "error", "start"],
        Meta(
            description="what goes wrong: exit, hang, garbage, a cut connection or an error event "
            "mid-stream, or a failed start"
        ),
    ] = ""
    fault_after: Annotated[Count, Meta(description="tokens sent before the fault")] = 3


class EngineConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is run."""

    kind: Annotated[
        Literal["wheel", "llama-server", "echo"],
        Meta(
            description="wheel: llama.cpp from the xllamacpp wheel; llama-server: an executable of "
            "yours (GPU builds); echo: scripted answers for tests"
        ),
    ] = "wheel"
    path: Annotated[str, Meta(description="the llama-server executable, or its name on PATH")] = (
        "llama-server"
    )
    context_length: Annotated[
        Count, Meta(description="tokens per slot; 0: the trained length, at most 8192")
    ] = 0
    parallel: Annotated[Count, Meta(description="slots per engine; 0: 4, fewer if memory asks")] = 0
    threads: Annotated[Count, Meta(description="threads per engine; 0: physical cores")] = 0
    batch: Annotated[Count, Meta(description="tokens per prefill batch; 0: 2048")] = 0
    gpu_layers: Annotated[int, Meta(ge=-1, description="layers on GPUs; -1: as many as fit")] = -1
    flash_attention: Annotated[
        Literal["auto", "on", "off"], Meta(description="flash attention")
    ] = "auto"
    kv_cache_type: Annotated[
        Literal["f16", "q8_0", "q4_0"],
        Meta(description="precision of the KV cache; the quantised ones need flash attention"),
    ] = "f16"
    load_timeout_s: Annotated[Seconds, Meta(description="until an engine must be ready")] = Seconds(
        300
    )
    token_timeout_s: Annotated[
        Seconds,
        Meta(description="without a token or a batch of the prompt for this long, it is dead"),
    ] = Seconds(300)
    turn_ms: Annotated[
        float,
        Meta(ge=0, description="length of a turn when several engines generate; 0: no turns"),
    ] = 150.0
    echo: EchoConfig = EchoConfig()


class ModelConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one model, `[models."name"]`.

    The first ones are those of `[engine]`, from which comes what is unset.

    Attributes:
        chat_template: what makes its prompts: the name of a known format (`chatml`, `llama3`, …),
            or a path to a file with a Jinja template.
        force: have it answer although it was judged unfit; for engines that can do more.
        prompts: prefixes for embeddings by prompt name, over the known ones.
        prompt_name: the prefix for requests that name none.
    """

    kind: Literal["wheel", "llama-server", "echo"] | None = None
    path: str | None = None
    context_length: Count | None = None
    parallel: Count | None = None
    threads: Count | None = None
    batch: Count | None = None
    gpu_layers: int | None = None
    flash_attention: Literal["auto", "on", "off"] | None = None
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] | None = None
    load_timeout_s: Seconds | None = None
    token_timeout_s: Seconds | None = None
    chat_template: str | None = None
    force: bool = False
    prompts: dict[str, str] | None = None
    prompt_name: str | None = None


class PoolConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which models are in memory, and who waits."""

    keep_alive: Annotated[
        Seconds, Meta(description="how long an idle model stays loaded; -1: forever, 0: not at all")
    ] = Seconds(300)
    max_loaded_models: Annotated[Count, Meta(description="models in memory; 0: what fits")] = 0
    max_queue: Annotated[
        Count, Meta(description="requests that may wait per model; beyond it: 503")
    ] = 512
    memory_fraction: Annotated[
        float, Meta(gt=0, le=1, description="share of the free memory that models may take")
    ] = 0.9
    preload: Annotated[tuple[str, ...], Meta(description="models to load at start")] = ()


class LimitsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request may cost before it is refused."""

    body_bytes: Annotated[Positive, Meta(description="bytes of a request body")] = 8 * 1024 * 1024
    depth: Annotated[Positive, Meta(description="nesting of a JSON body")] = 64
    messages: Annotated[Positive, Meta(description="messages in a conversation")] = 4096
    tools: Annotated[Positive, Meta(description="tools in a request")] = 128
    schema_bytes: Annotated[Positive, Meta(description="bytes of one JSON Schema")] = 64 * 1024
    grammar_bytes: Annotated[Positive, Meta(description="bytes of a compiled grammar")] = 256 * 1024
    images: Annotated[Positive, Meta(description="images in a request")] = 16
    header_timeout_s: Annotated[
        Seconds, Meta(description="until a request's headers and body must have arrived")
    ] = Seconds(30)


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. `home` is where everything lives; it comes from `RESHORE_HOME` alone."""

    home: Path
    host: Annotated[str, Meta(description="address and port to listen on")] = "127.0.0.1:11434"
    api_key: Annotated[
        str, Meta(description="key that clients must send; comma-separated for several")
    ] = ""
    insecure: Annotated[
        bool, Meta(description="allow an address beyond loopback without an API key")
    ] = False
    tls_cert: Annotated[str, Meta(description="certificate chain, PEM file")] = ""
    tls_key: Annotated[str, Meta(description="private key of tls_cert, PEM file")] = ""
    origins: Annotated[
        tuple[str, ...], Meta(description="web origins allowed besides those of this machine")
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...], Meta(description="Host names allowed besides those of this machine")
    ] = ()
    lenient: Annotated[
        bool, Meta(description="accept and list fields that OpenAI does not know")
    ] = False
    image_urls: Annotated[bool, Meta(description="fetch http(s) image URLs")] = False
    drain_s: Annotated[Seconds, Meta(description="how long streams may end after SIGTERM")] = (
        Seconds(30)
    )
    read_models: Annotated[
        tuple[str, ...], Meta(description="further model stores, read-only (Ollama's, say)")
    ] = ()
    engine: EngineConfig = EngineConfig()
    pool: PoolConfig = PoolConfig()
    limits: LimitsConfig = LimitsConfig()
    models: dict[str, ModelConfig] = {}
    aliases: Annotated[
        dict[str, str], Meta(description="name or glob that clients send -> installed model")
    ] = {}

    def engine_for(self, model: str) -> EngineConfig:
        """The `[engine]` settings with `[models."model"]` over them."""
        own = msgspec.structs.asdict(self.model(model))
        changes = {
            key: own[key] for key in EngineConfig.__struct_fields__ if own.get(key) is not None
        }
        return msgspec.structs.replace(self.engine, **changes) if changes else self.engine

    def model(self, name: str) -> ModelConfig:
        """`[models."name"]`; the tag `latest` may be left out there. Nothing is set if missing."""
        return model_settings(self.models, name)


def model_settings(models: Mapping[str, ModelConfig], name: str) -> ModelConfig:
    """The settings of one model among `[models]`, as `Config.model`."""
    return models.get(name) or models.get(name.removesuffix(":latest")) or ModelConfig()


# Names people already have set. Value: the key it stands for.
OLLAMA_NAMES = {
    "OLLAMA_HOST": "host",
    "OLLAMA_ORIGINS": "origins",
    "OLLAMA_MODELS": "read_models",
    "OLLAMA_KEEP_ALIVE": "pool.keep_alive",
    "OLLAMA_NUM_PARALLEL": "engine.parallel",
    "OLLAMA_MAX_LOADED_MODELS": "pool.max_loaded_models",
    "OLLAMA_MAX_QUEUE": "pool.max_queue",
    "OLLAMA_CONTEXT_LENGTH": "engine.context_length",
    "OLLAMA_LOAD_TIMEOUT": "engine.load_timeout_s",
    "OLLAMA_FLASH_ATTENTION": "engine.flash_attention",
    "OLLAMA_KV_CACHE_TYPE": "engine.kv_cache_type",
}

_DEFAULT_PORT = 11434


def parse_host(value: str) -> tuple[str, int]:
    """Split `host`, `host:port`, `:port`, `[v6]:port` or a URL into address and port.

    As Ollama reads `OLLAMA_HOST`: no port means 11434, or 80 and 443 behind `http://` and
    `https://`; a port out of range means 11434; no address means loopback.

    Raises:
        ConfigError: the port is not a number.
    """
    text = value.strip().strip("\"'")
    scheme, separator, rest = text.partition("://")
    default = _DEFAULT_PORT
    if separator:
        default = {"http": 80, "https": 443}.get(scheme, _DEFAULT_PORT)
        text = rest
    text = text.split("/", 1)[0]
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*?)(?::([^:\]]*))?", text)
    if match is None or (match[2] and not match[2].isdigit()):
        raise ConfigError(f"host: {value!r} is not an address; write 127.0.0.1:11434")
    host = match[1].strip("[]") or "127.0.0.1"
    port = int(match[2]) if match[2] else default
    return host, port if 0 <= port <= 65535 else _DEFAULT_PORT


def load(
    *,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Read all layers.

    Args:
        env: the environment; the process's own if None.
        flags: dotted keys to values (`{"engine.kind": "echo"}`); None values are unset flags.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, a file that is not TOML.
    """
    env = os.environ if env is None else env
    home = Path(env.get("RESHORE_HOME") or "~/.reshore").expanduser()
    tree = _read_file(home / "reshore.toml")
    where = {"": str(home / "reshore.toml")}
    for dotted, value, name in _from_env(env):
        _put(tree, dotted, value)
        where[dotted] = name
    for dotted, value in (flags or {}).items():
        if value is not None:
            _put(tree, dotted, value)
            where[dotted] = "--" + dotted.rsplit(".", 1)[-1].replace("_", "-")
    tree["home"] = home
    return _convert(tree, where)


def keys(
    section: type[msgspec.Struct] = Config, prefix: str = ""
) -> dict[str, msgspec.inspect.Field]:
    """Every settable key, dotted, with its msgspec field (type, default, description)."""
    found: dict[str, msgspec.inspect.Field] = {}
    info = msgspec.inspect.type_info(section)
    assert isinstance(info, msgspec.inspect.StructType)
    for entry in info.fields:
        kind = entry.type
        while isinstance(kind, msgspec.inspect.Metadata):
            kind = kind.type
        if isinstance(kind, msgspec.inspect.StructType):
            found |= keys(kind.cls, f"{prefix}{entry.name}.")
        elif prefix + entry.name != "home":
            found[prefix + entry.name] = entry
    return found


def variable(dotted: str) -> str:
    """The environment variable of a dotted key."""
    return "RESHORE_" + dotted.upper().replace(".", "_")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


# Variables that are ours but are no settings of the server.
_NOT_SETTINGS = frozenset({"RESHORE_HOME"})


def _from_env(env: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    """Dotted key, value and variable name of every setting in the environment."""
    known = {variable(dotted): dotted for dotted in keys() if dotted not in ("models", "aliases")}
    found = [
        (dotted, _OLLAMA_VALUES.get(name, _same)(env[name]), name)
        for name, dotted in OLLAMA_NAMES.items()
        if env.get(name)
    ]
    for name, value in env.items():
        if not name.startswith("RESHORE_") or name in _NOT_SETTINGS:
            continue
        if name not in known:
            raise ConfigError(f"environment: unknown setting {name}.{_did_you_mean(name, known)}")
        found.append((known[name], value, name))
    return [(dotted, _split_lists(dotted, value), name) for dotted, value, name in found]


def _same(value: str) -> str:
    return value


def _flash(value: str) -> str:
    return {"1": "on", "true": "on", "0": "off", "false": "off"}.get(value.lower(), value)


_OLLAMA_VALUES = {"OLLAMA_FLASH_ATTENTION": _flash}
_LISTS = frozenset({"origins", "allowed_hosts", "read_models", "pool.preload"})


def _split_lists(dotted: str, value: str) -> Any:
    if dotted in _LISTS:
        return [piece.strip() for piece in value.split(",") if piece.strip()]
    return value


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for step in path:
        tree = tree.setdefault(step, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{dotted}: {step} must be a table")
    tree[last] = value


def _convert(tree: dict[str, Any], where: dict[str, str]) -> Config:
    try:
        return msgspec.convert(tree, Config, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), where)) from error


def _decode(kind: type, value: Any) -> Any:
    if kind is Seconds:
        return parse_duration(value)
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)


def _explain(message: str, where: dict[str, str]) -> str:
    """msgspec's message, with the key in front, where it was read, and the nearest known key."""
    text, _, path = message.partition(" - at `$")
    dotted = path.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `([^`]*)`", text)
    if unknown:
        prefix = f"{dotted}." if dotted else ""
        dotted = prefix + unknown[1]
        sections = {key.rpartition(".")[0] for key in keys()}
        text = f"unknown key.{_did_you_mean(dotted, sections | set(keys()))}"
    place = where.get(dotted) or where[""]
    return f"{place}: {dotted}: {text}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""
