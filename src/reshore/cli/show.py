"""`reshore show`: what is known of an installed model."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from reshore.cli.output import Json, human_bytes, human_count, print_aligned, print_json
from reshore.config import load
from reshore.models.store import Description, Store
from reshore.routing.aliases import Aliases


class Shown(Struct, frozen=True, kw_only=True):
    """The JSON of `show`. `size` in bytes, lengths in tokens or elements, None for unknown.

    `template`: whether the model knows how to put a conversation into a prompt.
    """

    name: str
    architecture: str
    parameter_count: int
    quantization: str
    context_length: int | None
    embedding_length: int
    capabilities: tuple[str, ...]
    template: bool
    parameters: dict[str, Any]
    system: str | None
    size: int
    source: str
    licence: str | None
    digest: str


def command(
    model: Annotated[str, typer.Argument(help="An installed model, or an alias of one.")],
    as_json: Json = False,
) -> None:
    """Show a model's architecture, size, context, capabilities, source and licence."""
    config = load()
    name = Aliases(config.aliases).resolve(model)
    shown = _shown(Store.from_config(config).describe(name))
    if as_json:
        print_json(shown)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _lines(shown):
        table.add_row(label, Text(value))
    print_aligned(table)


def _shown(model: Description) -> Shown:
    facts, installed = model.facts, model.installed
    return Shown(
        name=str(installed.name),
        architecture=facts.architecture,
        parameter_count=facts.parameter_count,
        quantization=facts.quantization,
        context_length=facts.context_length or None,
        embedding_length=facts.embedding_length,
        capabilities=model.capabilities,
        template=bool(facts.chat_template or model.template),
        parameters=model.parameters,
        system=model.system,
        size=installed.size,
        source=installed.source,
        licence=_licence(model),
        digest=installed.digest,
    )


def _licence(model: Description) -> str | None:
    """The file's own short name for it, or else the first line of the licence's text."""
    short = model.facts.metadata.get("general.license")
    if isinstance(short, str) and short:
        return short
    lines = (line.strip() for text in model.licenses for line in text.splitlines())
    return next(filter(None, lines), None)


def _lines(shown: Shown) -> list[tuple[str, str]]:
    lines = [
        ("name", shown.name),
        ("architecture", shown.architecture),
        ("parameters", human_count(shown.parameter_count)),
        ("quantization", shown.quantization),
        ("context", f"{shown.context_length} tokens" if shown.context_length else "unknown"),
        ("embedding", f"{shown.embedding_length} elements"),
        ("capabilities", ", ".join(shown.capabilities) or "none"),
        ("chat template", "yes" if shown.template else "no"),
        *((f"option {key}", str(value)) for key, value in shown.parameters.items()),
    ]
    if shown.system is not None:
        lines.append(("system prompt", shown.system))
    return [
        *lines,
        ("size", human_bytes(shown.size)),
        ("source", shown.source),
        ("licence", shown.licence or "unknown"),
        ("digest", shown.digest),
    ]
