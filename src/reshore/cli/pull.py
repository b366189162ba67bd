"""`reshore pull`: fetch a model."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.output import Json, note, print_json
from reshore.cli.progress import shown_progress
from reshore.config import load
from reshore.errors import LicenceNotAccepted
from reshore.models import pull
from reshore.models.layout import Installed
from reshore.models.sources.manner import Manner
from reshore.models.store import Store


class Source(StrEnum):
    """Where to look for a model."""

    INDEX = "index"
    REGISTRY = "registry"


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="The model, as [host/namespace/]name[:tag] or hf.co/owner/repo[:quant], or the "
            "address of a GGUF file."
        ),
    ],
    source: Annotated[
        Source | None,
        typer.Option(help="Ask only there; otherwise the registry, or else the index."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow a registry without TLS.")
    ] = False,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept terms that ask for consent.")
    ] = False,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What to call it here.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a model. What has arrived before an interruption is not fetched again."""
    store = Store.from_config(load())
    wishes = pull.Wishes(
        source=None if source is None else source.value,
        insecure=insecure,
        accept_licence=accept_licence,
        as_name=name,
    )
    try:
        installed = fetch(store, model, wishes)
    except LicenceNotAccepted as terms:
        if accept_licence or not _accepts(terms):
            raise Failure(ExitCode.FAILURE, f"{terms} Then: --accept-licence") from terms
        installed = fetch(store, model, msgspec.structs.replace(wishes, accept_licence=True))
    if as_json:
        print_json(summary(installed))
    else:
        note(welcome(store, installed))


def welcome(store: Store, installed: Installed) -> str:
    """What to tell of a model that was just installed: how to ask it, or why it cannot be asked."""
    known = store.summary(installed)
    if known.verdict.unfit:
        return f"{installed.name} is installed, but {known.verdict.state}: {known.verdict.summary}"
    if "embedding" in known.capabilities:
        return f"{installed.name} is installed; ask it at /v1/embeddings or /api/embed"
    if known.template is None:
        return f"{installed.name} is installed; it has no chat template: ask it at /v1/completions"
    return f"{installed.name} is installed; try `reshore run {installed.name}`"


def fetch(store: Store, model: str, wishes: pull.Wishes | None = None) -> Installed:
    """Pull a model and show the progress. Ctrl-C keeps what can be resumed.

    Raises:
        LicenceNotAccepted, StoreError: as `reshore.models.pull.pull`.
    """
    with shown_progress() as on_progress:
        return asyncio.run(pull.pull(store, model, wishes, Manner(on_progress=on_progress)))


def summary(installed: Installed) -> dict[str, object]:
    """What a program learns about a model that was just installed."""
    return {
        "name": str(installed.name),
        "digest": installed.digest,
        "size": installed.size,
        "source": installed.source,
    }


def _accepts(terms: LicenceNotAccepted) -> bool:
    """Show the terms to the person at the terminal, if there is one, and ask."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    note(terms.text)
    return typer.confirm(f"Do you accept the {terms.licence}?", err=True)
