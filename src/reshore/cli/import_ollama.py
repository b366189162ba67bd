"""`reshore import-ollama`: which models of an Ollama store can be served from where they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Console

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.output import Json, human_bytes, note, print_json, print_table
from reshore.cli.settings_file import with_read_model
from reshore.config import Config, load
from reshore.models.disk import write_atomic
from reshore.models.judge import State, Verdict
from reshore.models.layout import Installed
from reshore.models.names import parse_name
from reshore.models.repair import repair
from reshore.models.store import Store

TITLES = ("NAME", "SIZE", "STATE", "WHY, AND WHAT TO DO")
_SYSTEM_STORE = Path("/usr/share/ollama/.ollama/models")  # of Ollama's Linux service
_PRIVATE = 0o600  # a settings file may hold an API key


class Judged(Struct, frozen=True, kw_only=True):
    """A model of the store and its verdict; `size` in bytes. See `reshore.models.judge`."""

    name: str
    digest: str
    size: int
    state: State
    reason: str
    fix: str
    notes: tuple[str, ...]
    capabilities: tuple[str, ...]


class Import(Struct, frozen=True, kw_only=True):
    """The JSON of `import-ollama`. `configured`: the store is among `read_models`."""

    store: str
    configured: bool
    models: tuple[Judged, ...]


def command(
    path: Annotated[
        Path | None, typer.Argument(help="Ollama's store; found where Ollama keeps it if left out.")
    ] = None,
    write_config: Annotated[
        bool, typer.Option("--write-config", help="Add the store to read_models in reshore.toml.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Change an existing reshore.toml without asking.")
    ] = False,
    fix: Annotated[
        str | None,
        typer.Option("--fix", metavar="MODEL", help="Copy one model with corrected metadata."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge the models of an Ollama store, which is read where it is and never written."""
    config = load()
    root = find_store(path, os.environ)
    store = Store(config.home / "models", [root], config.models)
    if fix is not None:
        _fix(store, root, fix)
        if not (write_config or as_json):
            return
    if write_config:
        _configure(config, root, yes=yes)
        config = load()
    with Console(stderr=True).status(f"reading the headers in {root}"):
        found = _judged(store, root)
    report = Import(store=str(root), configured=_reads(config, root), models=found)
    if as_json:
        print_json(report)
    else:
        _print(report)


def find_store(path: Path | None, env: Mapping[str, str]) -> Path:
    """Ollama's store: the given one, or the first that is where Ollama keeps it.

    Raises:
        Failure: there is none, or this user may not read it.
    """
    if path is not None:
        places = [path, path / "models", path / ".ollama" / "models"]
    else:
        named = [Path(env["OLLAMA_MODELS"])] if env.get("OLLAMA_MODELS") else []
        places = [*named, Path("~/.ollama/models"), _SYSTEM_STORE]
    places = list(dict.fromkeys(place.expanduser().absolute() for place in places))
    denied = []
    for place in places:
        try:
            os.listdir(place / "manifests")
        except PermissionError:
            denied.append(place)
        except OSError:
            continue
        else:
            return place
    if denied:
        raise Failure(
            ExitCode.FAILURE,
            f"this user may not read {denied[0]}; join the group of its owner (`ollama`, say), or "
            "name another store: `reshore import-ollama PATH`",
        )
    looked = ", ".join(map(str, places))
    raise Failure(
        ExitCode.FAILURE,
        f"no store of Ollama's that can be read: looked in {looked}. Name its folder (the one with "
        "`manifests` and `blobs`): `reshore import-ollama PATH`",
    )


def _judged(store: Store, root: Path) -> tuple[Judged, ...]:
    theirs = [model for model in store.list() if model.root == root]
    return tuple(_entry(model, store) for model in sorted(theirs, key=lambda m: m.name.key))


def _entry(model: Installed, store: Store) -> Judged:
    summary = store.summary(model)
    return Judged(
        name=str(model.name),
        digest=model.digest,
        size=model.size,
        state=summary.verdict.state,
        reason=summary.verdict.reason,
        fix=summary.verdict.fix,
        notes=summary.verdict.notes,
        capabilities=summary.capabilities,
    )


def _print(report: Import) -> None:
    print_table(TITLES, (_row(model) for model in report.models))
    servable = sum(model.state == "servable" for model in report.models)
    note(f"{servable} of {len(report.models)} models in {report.store} can be served")
    if not report.configured:
        note("serve them, without copying: `reshore import-ollama --write-config`")


def _row(model: Judged) -> tuple[str, ...]:
    verdict = Verdict(state=model.state, reason=model.reason, fix=model.fix, notes=model.notes)
    return model.name, human_bytes(model.size), model.state, verdict.summary


def _fix(store: Store, root: Path, model: str) -> None:
    name = parse_name(model)
    found = next((entry for entry in store.list() if _is(entry, root, name.key)), None)
    if found is None:
        raise Failure(ExitCode.NOT_FOUND, f"{root} has no model {model}")
    with Console(stderr=True).status(f"copying {found.name}"):
        installed = repair(store, found)
    note(f"a corrected {installed.name} is in our store, and is used instead of Ollama's")


def _is(entry: Installed, root: Path, key: str) -> bool:
    return entry.root == root and entry.name.key == key


def _reads(config: Config, root: Path) -> bool:
    return any(Path(path).expanduser().absolute() == root for path in config.read_models)


def _configure(config: Config, root: Path, *, yes: bool) -> None:
    """Add the store to `read_models`; a file that exists is changed after a yes only."""
    file = (config.home / "reshore.toml").resolve()  # a link to where somebody keeps his settings
    exists = file.exists()
    before = file.read_text(encoding="utf-8") if exists else ""
    after = with_read_model(before, str(root))
    if after == before:
        note(f"{file} reads {root} already")
        return
    if exists and not yes:
        _ask(f'add "{root}" to read_models in {file}?')
    mode = file.stat().st_mode & 0o777 if exists else _PRIVATE
    try:
        write_atomic(file, after.encode(), mode=mode)
    except OSError as error:
        raise Failure(ExitCode.FAILURE, f"{file} cannot be written: {error.strerror}") from error
    note(f"{file} reads {root} now; a running server has to be started again")


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise Failure(ExitCode.USAGE, f"{question} Say so with --yes")
    if not typer.confirm(question, err=True):
        raise Failure(ExitCode.FAILURE, "nothing was changed")
