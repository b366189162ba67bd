"""`reshore rm`: remove installed models."""

from __future__ import annotations

from typing import Annotated

import typer

from reshore.cli.admin import AdminClient
from reshore.cli.failure import failure_of
from reshore.cli.output import Json, note, print_json
from reshore.config import load
from reshore.errors import BackendError, BadModelFile, StoreError, UnknownModel
from reshore.models.names import parse_name
from reshore.models.store import Store


def command(
    models: Annotated[list[str], typer.Argument(help="Models to remove.")],
    as_json: Json = False,
) -> None:
    """Remove models from the store, and unload them from a running server.

    Files that another model shares stay. One model that cannot be removed does not save the rest.
    """
    config = load()
    store, server = Store.from_config(config), AdminClient(config.home)
    removed: list[str] = []
    failures: list[StoreError | UnknownModel] = []
    for model in models:
        try:
            name = _spelled(store, model)
            store.remove(name)
        except (StoreError, UnknownModel) as error:
            failures.append(error)
            continue
        removed.append(name)
        _unload(server, name)
        if not as_json:
            note(f"removed {name}")
    if as_json:
        print_json({"removed": removed})
    _report(failures)


def _spelled(store: Store, model: str) -> str:
    """The name as lists show it; a model whose manifest is damaged can be removed as well."""
    name = parse_name(model)
    try:
        found = store.find(name)
    except BadModelFile:
        found = None
    return str(found.name if found else name)


def _unload(server: AdminClient, name: str) -> None:
    """The model is gone from the store whatever the server says; it keeps the file open."""
    if not server.running():
        return
    try:
        server.forget(name)
    except BackendError as error:
        note(f"warning: {name} is removed, but the server did not unload it: {error}")


def _report(failures: list[StoreError | UnknownModel]) -> None:
    """One line for each, the last of which ends the command."""
    for failed in failures[:-1]:
        failure = failure_of(failed)
        note(f"error: {failure.line if failure else failed}")
    if failures:
        raise failures[-1]
