"""`reshore run`: one answer, or a conversation."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from reshore.cli.admin import AdminClient
from reshore.cli.chat import Conversation, Piece, converse, print_answer
from reshore.cli.failure import ExitCode, Failure
from reshore.cli.hosted import hosted
from reshore.cli.output import Json, print_json
from reshore.config import Config, load
from reshore.models.store import Store
from reshore.routing.aliases import Aliases
from reshore.telemetry.logs import configure


def command(
    model: Annotated[str, typer.Argument(help="An installed model, or an alias of one.")],
    prompt: Annotated[
        list[str] | None, typer.Argument(help="The question; without one: a conversation.")
    ] = None,
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
    with _server(config, model) as server:
        conversation = Conversation(server, model)
        if question is None:
            converse(conversation)
        elif as_json:
            print_json(_collect(conversation.ask(question)))
        else:
            print_answer(conversation.ask(question))


def _question(words: list[str]) -> str | None:
    """The words and what is piped in; None when there is a person to ask instead."""
    piped = sys.stdin.read() if _is_piped() else ""
    question = "\n\n".join(filter(None, (piped.strip(), " ".join(words).strip())))
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


@contextlib.contextmanager
def _server(config: Config, model: str) -> Iterator[AdminClient]:
    """The running server, or one that lives as long as the block."""
    client = AdminClient(config.home)
    if client.running():
        yield client
        return
    # Before anything is started for it.
    Store.from_config(config).get(Aliases(config.aliases).resolve(model))
    configure("CRITICAL")  # what goes wrong is told in one line, not in the log as well
    alone = msgspec.structs.replace(config, pool=msgspec.structs.replace(config.pool, preload=()))
    with hosted(alone):
        yield client


def _collect(pieces: Iterator[Piece]) -> dict[str, object]:
    """The whole answer for programs."""
    answer: dict[str, object] = {"model": None, "finish_reason": None, "usage": None}
    content: list[str] = []
    for piece in pieces:
        content.append(piece.text)
        known = {"model": piece.model, "finish_reason": piece.finish_reason, "usage": piece.usage}
        answer |= {key: value for key, value in known.items() if value is not None}
    return {**answer, "content": "".join(content)}
