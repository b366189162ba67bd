"""`reshore show`: what is known of an installed model."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from reshore.cli.output import (
    Json,
    human_bytes,
    human_count,
    parameter_text,
    print_aligned,
    print_json,
)
from reshore.config import load
from reshore.models.description import Description
from reshore.models.facts import Pooling
from reshore.models.judge import State, Verdict
from reshore.models.layout import Installed
from reshore.models.prompts import known_prompts
from reshore.models.store import Store
from reshore.models.templates import FILE, NAMES
from reshore.routing.aliases import Aliases


class Shown(Struct, frozen=True, kw_only=True):
    """The JSON of `show`. `size` in bytes, lengths in tokens or elements, None for unknown.

    Attributes:
        state: the verdict: servable, needs a fix, unsupported.
        reason, fix: why it is not servable, and what to do; "" if it is.
        notes: what is different from Ollama.
        template: whether the model knows how to put a conversation into a prompt.
        chat_template: what does it: `file`, or the name of a known format; None without any.
        pooling: how an embedding model makes one vector of many; None for others.
        prompts: the known task prefixes of an embedding model, by `prompt_name`.
    """

    name: str
    state: State
    reason: str
    fix: str
    notes: tuple[str, ...]
    architecture: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    embedding_length: int | None = None
    capabilities: tuple[str, ...] = ()
    template: bool = False
    chat_template: str | None = None
    pooling: str | None = None
    prompts: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    system: str | None = None
    size: int
    source: str
    licence: str | None = None
    digest: str


def command(
    model: Annotated[str, typer.Argument(help="An installed model, or an alias of one.")],
    as_json: Json = False,
) -> None:
    """Show a model's architecture, size, context, capabilities, source and licence."""
    config = load()
    name = Aliases(config.aliases).resolve(model)
    store = Store.from_config(config)
    installed = store.get(name)
    summary = store.summary(installed)
    # A damaged model is described all the same: the error says what is wrong with it.
    readable = summary.architecture or summary.verdict.state == "damaged"
    shown = _shown(installed, summary.verdict, store.describe(name) if readable else None)
    if as_json:
        print_json(shown)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _lines(shown):
        table.add_row(label, Text(value))
    print_aligned(table)


def _shown(installed: Installed, verdict: Verdict, model: Description | None) -> Shown:
    """All that is known; of a model whose files cannot be read, what its manifest says."""
    judged: dict[str, Any] = {
        "name": str(installed.name),
        "state": verdict.state,
        "reason": verdict.reason,
        "fix": verdict.fix,
        "notes": verdict.notes,
        "size": installed.size,
        "source": installed.source,
        "digest": installed.digest,
    }
    if model is None:
        return Shown(**judged)
    facts = model.facts
    embeds = "embedding" in model.capabilities
    return Shown(
        **judged,
        architecture=facts.architecture,
        parameter_count=facts.parameter_count,
        quantization=facts.quantization,
        context_length=facts.context_length or None,
        embedding_length=facts.embedding_length,
        capabilities=model.capabilities,
        template=model.chat_template is not None,
        chat_template=model.chat_template,
        pooling=_pooling(facts.pooling) if embeds else None,
        prompts=known_prompts(str(installed.name), facts) if embeds else {},
        parameters=model.parameters,
        system=model.system,
        licence=_licence(model),
    )


def _pooling(number: int | None) -> str:
    """In words; a file that names none gets the mean, as the engine does it."""
    if number is None:
        return "mean (not said by the file)"
    return next((kind.name.lower() for kind in Pooling if kind == number), str(number))


def _licence(model: Description) -> str | None:
    """The file's own short name for it, or else the first line of the licence's text."""
    short = model.facts.metadata.get("general.license")
    if isinstance(short, str) and short:
        return short
    lines = (line.strip() for text in model.licenses for line in text.splitlines())
    return next(filter(None, lines), None)


def _lines(shown: Shown) -> list[tuple[str, str]]:
    lines = [("name", shown.name)]
    if shown.state != "servable":
        lines += [("state", shown.state), ("because", shown.reason)]
        lines += [("to do", shown.fix)] if shown.fix else []
    if shown.architecture is not None:
        lines += _facts(shown)
    lines += [("note", note) for note in shown.notes]
    return [
        *lines,
        ("size", human_bytes(shown.size)),
        ("source", shown.source),
        ("licence", shown.licence or "unknown"),
        ("digest", shown.digest),
    ]


def _facts(shown: Shown) -> list[tuple[str, str]]:
    lines = [
        ("architecture", shown.architecture or "unknown"),
        ("parameters", human_count(shown.parameter_count or 0)),
        ("quantization", shown.quantization or "unknown"),
        ("context", f"{shown.context_length} tokens" if shown.context_length else "unknown"),
        ("embedding", f"{shown.embedding_length} elements"),
        ("capabilities", ", ".join(shown.capabilities) or "none"),
    ]
    if shown.pooling is None:
        lines.append(("chat template", _template(shown.chat_template)))
    else:
        lines.append(("pooling", f"{shown.pooling}; vectors are scaled to length 1"))
    lines += [(f"prompt {name}", repr(text)) for name, text in shown.prompts.items()]
    lines += [(f"option {key}", parameter_text(value)) for key, value in shown.parameters.items()]
    if shown.system is not None:
        lines.append(("system prompt", shown.system.strip()))
    return lines


def _template(name: str | None) -> str:
    if name is None:
        return "no"
    if name == FILE:
        return "yes"
    return name if name in NAMES else "the one that reshore.toml names"
