"""`reshore stop`: unload a model."""

from __future__ import annotations

from typing import Annotated

import typer

from reshore.cli.admin import AdminClient
from reshore.cli.output import Json, note, print_json
from reshore.config import load
from reshore.models.names import parse_name
from reshore.models.store import Store
from reshore.routing.aliases import Aliases


def command(
    model: Annotated[str, typer.Argument(help="The model to unload.")],
    as_json: Json = False,
) -> None:
    """Unload a model from memory once its running requests have ended."""
    config = load()
    store = Store.from_config(config)
    name = parse_name(Aliases(config.aliases).resolve(model))
    installed = store.find(name)
    shown = str(installed.name if installed else name)
    stopped = AdminClient(config.home).stop(shown)
    if not stopped:
        store.get(name)  # a name that nobody knows is an error, an idle model is none
    if as_json:
        print_json({"model": shown, "stopped": stopped})
    else:
        note(f"stopped {shown}" if stopped else f"{shown} is not in memory")
