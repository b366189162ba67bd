"""Writes `docs/configuration.md` and `reshore.example.toml` from `reshore.config`.

python scripts/configuration.py          write both
python scripts/configuration.py --check  exit 1 if one of them is out of date
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect

from reshore.config import OLLAMA_NAMES, UpstreamKind, is_table, keys, variable
from reshore.models.templates import NAMES

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    wanted = {
        ROOT / "docs" / "configuration.md": documentation(),
        ROOT / "reshore.example.toml": example(),
    }
    if "--check" in sys.argv[1:]:
        stale = [path.name for path, text in wanted.items() if _read(path) != text]
        if stale:
            print(f"out of date: {', '.join(stale)}; run python scripts/configuration.py")
        return 1 if stale else 0
    for path, text in wanted.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def documentation() -> str:
    lines = [
        "# Configuration",
        "",
        "<!-- written by scripts/configuration.py: change src/reshore/config/ instead -->",
        "",
        "Settings are read in this order, each over the one before: the defaults below, "
        "`$RESHORE_HOME/reshore.toml`, environment variables, flags. `RESHORE_HOME` "
        "(default `~/.reshore`) is where everything lives. An unknown key is an error that names "
        "the nearest known one. `reshore config` prints what is in force and where it came from.",
        "",
        'Spans of time are seconds (`300`) or Go\'s durations (`"5m"`, `"1h30m"`); negative '
        "means forever. Lists are comma-separated in environment variables.",
        "",
        "| key | default | variable | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{key}` | `{_toml(_default(entry))}` | `{variable(key)}` | {_description(entry)} |"
        for key, entry in keys().items()
        if not is_table(entry)
    ]
    lines += [
        "",
        "## Tables",
        "",
        '- `[models."NAME"]` sets any key of `[engine]` (except `turn_ms` and `echo`) for one '
        "model, and what follows. The tag `latest` may be left out of the name.",
        "    - `chat_template`: what makes its prompts: the name of a known format "
        f"({', '.join(f'`{name}`' for name in sorted(NAMES))}), or a path to a file with a Jinja "
        "template.",
        "    - `force = true`: have it answer although it was judged unfit; for an engine of yours "
        "that can do more than the one reshore brings.",
        "    - `prompt_name`: the task prefix of an embedding model for requests that name none; "
        "`prompts`: a table of prefixes by name, over the known ones (`reshore show` lists them).",
        '- `[aliases]` maps the names that clients send to installed models: `"gpt-4o-mini" = '
        '"smollm2:135m"`. Globs are allowed (`"ft:gpt-4o-mini:*"`); an exact name wins, then the '
        "glob with the longest literal beginning.",
        '- `[routes]` maps names or globs to policies: `"gpt-4o-mini" = "split(local=10, '
        'cloud=90)"`, or to a table, `[routes."gpt-4o-mini"]`. Patterns are found as in '
        "`[aliases]`; policies are in [routing](routing.md).",
        "    - `policy`: who answers, as text.",
        "    - `local`: the model of a bare `local` in it; without one, what the name is an alias "
        "of, the name itself if it is installed, or what stands for it on this machine.",
        "    - `cloud`: the `upstream`, or `upstream/model`, of a bare `cloud` in it; without one, "
        "the first upstream and the name that the client sent.",
        "    - `pins = false`: clients may not choose the side with the header `x-reshore-route`.",
        "    - `mix_embeddings = true`: embeddings of different models may share the name, "
        "although their vectors cannot be compared.",
        *_upstreams(),
        *_prices(),
        "",
        "## Names from Ollama",
        "",
        "Honoured where they are set and no `RESHORE_*` name says otherwise:",
        "",
        "| variable | key |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | `{key}` |" for name, key in OLLAMA_NAMES.items()]
    return "\n".join(lines) + "\n"


def example() -> str:
    lines = [
        "# Every setting of reshore with its default. Copy what you change to",
        "# $RESHORE_HOME/reshore.toml (default ~/.reshore/reshore.toml).",
    ]
    section = ""
    for key, entry in keys().items():
        if is_table(entry):
            continue
        table, _, name = key.rpartition(".")
        if table != section:
            section = table
            lines += ["", f"[{table}]"]
        lines += [f"# {_description(entry)}", f"# {name} = {_toml(_default(entry))}"]
    lines += [
        "",
        "# Names that clients send, and the installed model that answers.",
        "[aliases]",
        '# "gpt-4o-mini" = "smollm2:135m"',
        '# "ft:gpt-4o-mini:*" = "smollm2:135m"',
        '# "text-embedding-3-small" = "all-minilm"',
        "",
        "# Names that clients send, and who answers.",
        "[routes]",
        '# "gpt-4o-mini" = "split(local=10, cloud=90, sticky=user)"',
        '# "ft:gpt-4o-mini:*" = "cloud"',
        "",
        '# [routes."gpt-4o"]',
        '# policy = "hybrid(threshold=0.5)"',
        '# local = "qwen2.5:7b"',
        '# cloud = "openai/gpt-4o"',
        "",
        "# Settings of one model: the keys of [engine], and chat_template, force, prompt_name.",
        '# [models."smollm2:135m"]',
        "# context_length = 4096",
        '# chat_template = "chatml"',
        "",
        '# [models."nomic-embed-text"]',
        '# prompt_name = "document"',
        "",
        "# Remote APIs that may answer. Keys: RESHORE_UPSTREAM_<NAME>_KEY, or key_file.",
        "# [upstreams.openai]",
        '# key_file = "openai.key"',
        "",
        "# [upstreams.gpu-box]",
        '# url = "http://192.168.1.20:8000"',
        '# kind = "vllm"',
        '# models = { "gpt-4o-mini" = "Qwen/Qwen2.5-7B-Instruct" }',
        "",
        "# What a model costs, in US dollars per million tokens, where the lists do not know.",
        '# [prices."gpu-box/*"]',
        "# input = 0.02",
        "# output = 0.08",
    ]
    return "\n".join(lines) + "\n"


def _upstreams() -> list[str]:
    return [
        "- `[upstreams.NAME]` is a remote API that may answer: anything that speaks OpenAI's. What "
        "is unset is as usual for its kind. **Keys are not written here**: "
        "`RESHORE_UPSTREAM_<NAME>_KEY` holds them (comma-separated for several), or the file that "
        "`key_file` names.",
        "    - `url`: with or without the path of its API (`http://gpu-box:8000`); needed except "
        "for `openai` and `openrouter`.",
        f"    - `kind`: {_kinds()}; changes defaults and nothing else.",
        "    - `key_file`: one key a line; a key that is rate limited or refused rests while "
        "others work. `ca_file`: PEM file of the authority that signed its certificate. Both "
        "relative to `RESHORE_HOME`.",
        "    - `connect_timeout_s` (5), `first_token_timeout_s` (60; 120 for engines of your own), "
        "`token_timeout_s` (30; 60) between tokens, `total_timeout_s` (600; 1800). A model that "
        "thinks for minutes before its first word needs a longer `first_token_timeout_s`.",
        "    - `models`: a table of names as clients know them to names as the upstream knows "
        "them.",
        "    - `forward = false`: endpoints that reshore has no codec for do not go there. The "
        "first upstream that takes them does.",
        "    - `max_connections`: at a time; 0: as many as there are requests. `price_as`: the "
        "provider whose prices it has. `usage = false`: do not ask streams for token counts, for "
        "a server that refuses the question.",
    ]


def _prices() -> list[str]:
    return [
        '- `[prices."MODEL"]` is what a model costs, over the lists that reshore comes with, in US '
        "dollars. The name is a model's or `upstream/model` (`local/model` for this machine), or a "
        'glob of either; with `[[prices."MODEL"]]` there may be several, each `from` its day on.',
        "    - `input`, `output`: per million tokens; `cached` (as `input`) for those of a prompt "
        "that came out of a cache, `reasoning` (as `output`) for those that were thought.",
        "    - `request`: per request; `hour`: per hour of work on one, for engines of one's own.",
        "    - `from`: the first day it is valid for, UTC (`2026-01-31`).",
    ]


def _kinds() -> str:
    return ", ".join(f"`{kind}`" for kind in get_args(UpstreamKind))


def _description(entry: inspect.Field) -> str:
    kind: Any = entry.type
    while isinstance(kind, inspect.Metadata):
        text = (kind.extra_json_schema or {}).get("description")
        if text:
            return str(text)
        kind = kind.type
    return ""


def _default(entry: inspect.Field) -> Any:
    if entry.default is not msgspec.NODEFAULT:
        return entry.default
    return entry.default_factory() if callable(entry.default_factory) else ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    sys.exit(main())
