"""`reshore create`: install a model that is on this machine already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reshore.cli.output import Json, note, print_json
from reshore.cli.pull import summary
from reshore.config import load
from reshore.models import pull
from reshore.models.store import Store


def command(
    name: Annotated[str, typer.Argument(help="What to call the model.")],
    source: Annotated[
        Path,
        typer.Option("--from", metavar="FILE_OR_FOLDER", help="A GGUF file, or a folder with one."),
    ],
    as_json: Json = False,
) -> None:
    """Install a model from a GGUF file or a folder, which is copied and stays as it is."""
    store = Store.from_config(load())
    with Console(stderr=True).status(f"copying {source}"):
        installed = pull.create(store, name, source)
    if as_json:
        print_json(summary(installed))
    else:
        note(f"{installed.name} is installed; try `reshore run {installed.name}`")
