"""`reshore push`: give a model to a registry."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from reshore.cli.output import Json, note, print_json
from reshore.cli.progress import shown_progress
from reshore.cli.pull import summary
from reshore.config import load
from reshore.models import push
from reshore.models.sources.manner import Manner
from reshore.models.store import Store


def command(
    model: Annotated[
        str, typer.Argument(help="An installed model whose name says where: HOST/NAMESPACE/NAME.")
    ],
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow a registry without TLS.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Give a model to the registry in its name. What the registry has already is not sent."""
    store = Store.from_config(load())
    with shown_progress() as on_progress:
        pushed = asyncio.run(
            push.push(store, model, Manner(on_progress=on_progress), insecure=insecure)
        )
    if as_json:
        print_json(summary(pushed))
    else:
        note(f"{pushed.name} is at {pushed.name.host}")
