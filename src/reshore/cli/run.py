"""`reshore run`: one answer, or a conversation."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand

from reshore.cli.answer import print_answer
from reshore.cli.chat import converse
from reshore.cli.commands import print_turns, read_format, read_think
from reshore.cli.conversation import Conversation
from reshore.cli.failure import ExitCode, Failure
from reshore.cli.hosted import served
from reshore.cli.native import NativeApi, Piece, Settings
from reshore.cli.output import Json, print_json
from reshore.cli.prompt import Prompt
from reshore.config import Config, load, parse_duration
from reshore.models.names import parse_name
from reshore.routing.aliases import Aliases

_HISTORY = "history"  # in RESHORE_HOME


class Command(TyperCommand):
    """Lets `--think` stand without a level, as people who come from Ollama write it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer's; what stands after `--` is left as it is."""
        end = args.index("--") if "--" in args else len(args)
        options = ["--think=true" if word == "--think" else word for word in args[:end]]
        return super().parse_args(ctx, options + args[end:])


def command(
    model: Annotated[str, typer.Argument(help="An installed model, or an alias of one.")],
    prompt: Annotated[
        list[str] | None, typer.Argument(help="The question; without one: a conversation.")
    ] = None,
    answer_format: Annotated[
        str | None,
        typer.Option("--format", metavar="json|FILE", help="JSON, or by a file's JSON Schema."),
    ] = None,
    keepalive: Annotated[
        str | None, typer.Option(metavar="SPAN", help="How long the model stays loaded (5m, -1).")
    ] = None,
    think: Annotated[
        str | None, typer.Option(metavar="[=LEVEL]", help="Think before the answer.")
    ] = None,
    hidethinking: Annotated[
        bool, typer.Option("--hidethinking", help="Do not show what the model thinks.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what each answer took.")] = False,
    as_json: Json = False,
) -> None:
    """Ask a model once, or chat with it.

    What is piped in stands before the question. The running server answers; without one, the
    model is run by this command itself.
    """
    config = load()
    question = _question(prompt or [])
    if question is None and as_json:
        raise Failure(ExitCode.USAGE, "--json needs a question: reshore run MODEL --json QUESTION")
    settings = Settings(
        format=read_format(answer_format) if answer_format else None,
        think=read_think(think) if think else None,
        keep_alive=None if keepalive is None else _checked_span(keepalive),
    )
    name = Aliases(config.aliases).resolve(model)
    parse_name(name)
    with served(config, (name,)) as server:
        conversation = Conversation(NativeApi(server), model, settings)
        conversation.verbose, conversation.shows_thinking = verbose, not hidethinking
        if question is None:
            _chat(config, conversation)
        elif as_json:
            print_json(_collect(conversation.ask(question)))
        else:
            print_answer(
                conversation.ask(question),
                verbose=verbose,
                thinking=conversation.shows_thinking,
            )


def _chat(config: Config, conversation: Conversation) -> None:
    with Console(stderr=True).status("waiting for the model"):
        said = conversation.start()
    print_turns(said)
    converse(conversation, Prompt(config.home / _HISTORY))


def _question(words: list[str]) -> str | None:
    """What is piped in and the words, in one line; None when there is a person to ask instead."""
    piped = sys.stdin.read() if _is_piped() else ""
    question = " ".join(text for text in (piped, " ".join(words)) if text.strip())
    if not question and not sys.stdin.isatty():
        raise Failure(ExitCode.USAGE, "there is no question: give one, or pipe one in")
    return question or None


def _is_piped() -> bool:
    """Whether somebody redirected text to us; a closed or null input is nothing to read."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _checked_span(text: str) -> str:
    try:
        parse_duration(text)
    except ValueError as error:
        raise Failure(ExitCode.USAGE, f"--keepalive: {error}") from error
    return text


def _collect(pieces: Iterator[Piece]) -> dict[str, object]:
    """The whole answer for programs."""
    answer: dict[str, object] = {"model": None, "finish_reason": None, "usage": None}
    content: list[str] = []
    for piece in pieces:
        content.append(piece.text)
        known = {"model": piece.model, "finish_reason": piece.finish_reason, "usage": _usage(piece)}
        answer |= {key: value for key, value in known.items() if value is not None}
    return {**answer, "content": "".join(content)}


def _usage(piece: Piece) -> dict[str, int] | None:
    """In OpenAI's words."""
    if piece.counts is None:
        return None
    prompt, answer = piece.counts.prompt_tokens, piece.counts.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }
