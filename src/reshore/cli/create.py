"""`reshore create`: make a model of another one, of files of this machine, or by a Modelfile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.output import Json, note, print_json
from reshore.cli.progress import shown_progress
from reshore.cli.pull import summary, welcome
from reshore.config import load
from reshore.errors import BadRecipe
from reshore.models.create import create
from reshore.models.modelfile import Modelfile, parse_modelfile
from reshore.models.recipe import Recipe
from reshore.models.store import Store

_USUAL_FILE = Path("Modelfile")
_PATH_STARTS = ("/", "~", ".")


def command(
    name: Annotated[str, typer.Argument(help="What to call the model.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL_OR_PATH",
            help="An installed model, a GGUF file, or a folder with one or with safetensors.",
        ),
    ] = None,
    modelfile: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="MODELFILE", help="The recipe [default: Modelfile]."),
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option("--quantize", "-q", metavar="TYPE", help="Make the numbers smaller: Q8_0 …"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a model. What it is made of stays as it is; files are copied or converted."""
    if source is not None and modelfile is not None:
        raise Failure(ExitCode.USAGE, "--from and --file exclude each other")
    if source is not None:
        recipe = recipe_of(Modelfile(sources=(source,)), Path())
    else:
        recipe = _read(modelfile or _USUAL_FILE)
    if quantize is not None:
        recipe = msgspec.structs.replace(recipe, quantize=quantize)
    store = Store.from_config(load())
    with shown_progress() as on_progress:
        installed = asyncio.run(create(store, name, recipe, on_progress=on_progress))
    if as_json:
        print_json(summary(installed))
    else:
        note(welcome(store, installed))


def recipe_of(modelfile: Modelfile, folder: Path) -> Recipe:
    """What a Modelfile asks for.

    Args:
        folder: where the Modelfile is, which its paths start from.

    Raises:
        BadRecipe: it names models and files in a way that makes no one model.
    """
    paths = tuple(filter(None, (_path(source, folder) for source in modelfile.sources)))
    if (paths and len(paths) < len(modelfile.sources)) or len(modelfile.sources) > 1 > len(paths):
        raise BadRecipe("FROM names one installed model, or files; not several and not both")
    return Recipe(
        base=None if paths else modelfile.sources[0],
        paths=paths,
        adapter_paths=tuple(folder / Path(path).expanduser() for path in modelfile.adapters),
        template=modelfile.template,
        system=modelfile.system,
        parameters=dict(modelfile.parameters),
        messages=modelfile.messages or None,
        licenses=modelfile.licenses,
    )


def _path(source: str, folder: Path) -> Path | None:
    """The file or folder that FROM means; None for the name of a model."""
    path = folder / Path(source).expanduser()
    written_as_path = source.startswith(_PATH_STARTS) or source.lower().endswith(".gguf")
    return path if written_as_path or path.exists() else None


def _read(file: Path) -> Recipe:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise Failure(
            ExitCode.FAILURE,
            f"{file}: {reason}; name a Modelfile with --file, or what to make it of with --from",
        ) from error
    try:
        modelfile = parse_modelfile(text)
        for name in modelfile.ignored:
            note(f"{file}: PARAMETER {name} has no effect here")
        return recipe_of(modelfile, file.parent)
    except BadRecipe as error:
        raise BadRecipe(f"{file}: {error}") from error
