"""Every key of the tree by its dotted name, and the names it has elsewhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import inspect

from reshore.config.tree import Config

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


def keys(section: type[msgspec.Struct] = Config, prefix: str = "") -> dict[str, inspect.Field]:
    """Every settable key, dotted, with its msgspec field (type, default, description).

    A table whose names people choose (`aliases`) is one key.
    """
    found: dict[str, inspect.Field] = {}
    for entry in _fields(section):
        kind = bare(entry.type)
        if isinstance(kind, inspect.StructType):
            found |= keys(kind.cls, f"{prefix}{entry.name}.")
        elif prefix + entry.name != "home":
            found[prefix + entry.name] = entry
    return found


def bare(kind: inspect.Type) -> inspect.Type:
    """A type without the descriptions around it."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def is_table(entry: inspect.Field) -> bool:
    """Whether a key is a table whose names people choose: the file alone can set it."""
    return isinstance(bare(entry.type), inspect.DictType)


def is_list(entry: inspect.Field) -> bool:
    """Whether a key holds several texts: comma-separated in a variable."""
    return isinstance(bare(entry.type), inspect.VarTupleType)


def variable(dotted: str) -> str:
    """The environment variable of a dotted key."""
    return "RESHORE_" + dotted.upper().replace(".", "_")


def nearest(dotted: str) -> str:
    """A question that names the key or section nearest to an unknown one; "" if none is near.

    Args:
        dotted: as msgspec says it: in a table of structs, the name is `[...]`
            (`models[...].kind`).
    """
    known = keys()
    sections = {key.rpartition(".")[0] for key in known}
    return did_you_mean(dotted, sections.union(known, _in_tables(known)))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names the nearest of the known names; "" if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""


def _in_tables(known: dict[str, inspect.Field]) -> Iterator[str]:
    for key, entry in known.items():
        table = bare(entry.type)
        if isinstance(table, inspect.DictType):
            value = bare(table.value_type)
            rows = value.types if isinstance(value, inspect.UnionType) else (value,)
            for row in rows:
                if isinstance(row, inspect.StructType):
                    yield from (f"{key}[...].{field.name}" for field in row.fields)


def _fields(section: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(section)
    assert isinstance(info, inspect.StructType)
    return info.fields
