"""The chat in the terminal: what is typed goes to the model, or is a command."""

from __future__ import annotations

from reshore.cli.answer import print_answer
from reshore.cli.commands import LEAVE, Commands
from reshore.cli.conversation import Conversation
from reshore.cli.failure import Failure, failure_of
from reshore.cli.output import note
from reshore.cli.prompt import Prompt
from reshore.errors import ReshoreError


def converse(conversation: Conversation, prompt: Prompt) -> None:
    """Message by message until Ctrl-D or `/bye`; Ctrl-C stops the answer, not the conversation.

    What fails is one line, and the conversation goes on.
    """
    commands = Commands(conversation, prompt)
    note("Ctrl-C stops an answer, Ctrl-D or /bye leaves, /? helps.")
    while True:
        try:
            text = prompt.read()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            note("\nCtrl-D or /bye leaves.")
            continue
        if text == LEAVE:
            return
        if text:
            _act(conversation, commands, text)


def _act(conversation: Conversation, commands: Commands, text: str) -> None:
    try:
        if not commands.run(text):
            print_answer(
                conversation.ask(text),
                verbose=conversation.verbose,
                thinking=conversation.shows_thinking,
            )
    except KeyboardInterrupt:
        pass
    except (ReshoreError, Failure) as error:
        failure = failure_of(error)
        note(f"error: {failure.line if failure else error}")
