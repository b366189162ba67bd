"""`reshore cp`: give a model a second name."""

from __future__ import annotations

from typing import Annotated

import typer

from reshore.cli.output import Json, note, print_json
from reshore.cli.pull import summary
from reshore.config import load
from reshore.models.store import Store


def command(
    source: Annotated[str, typer.Argument(help="An installed model.")],
    target: Annotated[str, typer.Argument(help="Its further name.")],
    as_json: Json = False,
) -> None:
    """Give a model a second name. Both share their files, unless the first is only read."""
    copied = Store.from_config(load()).copy(source, target)
    if as_json:
        print_json(summary(copied))
    else:
        note(f"copied {source} to {copied.name}")
