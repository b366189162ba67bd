"""What can be typed in a chat that is not meant for the model: `/set`, `/show`, `/save`, …"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from reshore.cli.conversation import Conversation
from reshore.cli.failure import ExitCode, Failure
from reshore.cli.native import Turn
from reshore.cli.output import note, parameter_text
from reshore.cli.prompt import FIRST, Prompt
from reshore.models.parameters import typed_parameter

LEAVE = "/bye"
THINKING = ("true", "false", "low", "medium", "high", "max")

HELP = '''\
/set parameter NAME VALUE    an option of the model: temperature 0.2, stop "User:", num_ctx 4096
/set system TEXT             a system prompt; TEXT may be of several lines between """ and """
/set format json | FILE      answers as JSON, or by the JSON Schema in FILE; /set noformat ends it
/set think [LEVEL]           think before the answer (low, medium, high, max); /set nothink
/set verbose                 show what each answer took; /set quiet
/set history                 keep what is typed for the arrow keys; /set nohistory
/show info | parameters | system | template | license | modelfile
/clear                       forget what was said
/save NAME                   make a model of this one with what was set and said
/load NAME                   go on with another model; what was set stays
/bye                         leave (Ctrl-D)
/?, /help                    this text
"""                          begins and ends a message of several lines
Paths of images (./cat.png) in a message are sent as images to models that see.'''

Action = Callable[[str], None]


class Commands:
    """Does what a line that begins with `/` asks, to one conversation."""

    def __init__(self, conversation: Conversation, prompt: Prompt) -> None:
        self._conversation = conversation
        self._prompt = prompt
        self._actions: Mapping[str, Action] = {
            "/set": self._set,
            "/show": self._show,
            "/clear": self._clear,
            "/save": self._save,
            "/load": self._load,
            "/help": self._help,
            "/?": self._help,
        }
        self._settings: Mapping[str, Action] = {
            "parameter": self._parameter,
            "system": self._system,
            "format": self._format,
            "noformat": lambda _: self._change("answers are text", format=None),
            "think": self._think,
            "nothink": lambda _: self._change("no thinking before answers", think=False),
            "verbose": lambda _: self._verbose(True),
            "quiet": lambda _: self._verbose(False),
            "history": lambda _: self._remember(True),
            "nohistory": lambda _: self._remember(False),
        }

    def run(self, line: str) -> bool:
        """Do what the line asks.

        Returns:
            False: it is no command, but a message that may begin with a path.

        Raises:
            Failure: the command is unknown or incomplete; the line says what it takes.
            ReshoreError: what the server says.
        """
        if not line.startswith("/"):
            return False
        word, _, rest = line.partition(" ")
        action = self._actions.get(word)
        if action is not None:
            action(rest.strip())
            return True
        if "/" in word[1:] or Path(word).exists():
            return False
        raise _usage(f"there is no command {word}; /? lists them")

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        action = self._settings.get(name)
        if action is None:
            raise _usage(f"/set takes one of {', '.join(self._settings)}")
        action(value.strip())

    def _parameter(self, rest: str) -> None:
        name, *values = _words(rest)
        if not values:
            raise _usage("/set parameter takes a name and a value: /set parameter temperature 0.2")
        value: Any = values if name == "stop" else typed_parameter(name, " ".join(values))
        options = {**self._conversation.settings.options, name: value}
        self._change(f"{name} is {parameter_text(value)}", options=options)

    def _system(self, text: str) -> None:
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        said = "the system prompt is set" if text else "no system prompt but the model's own"
        self._change(said, system=text or None)

    def _format(self, text: str) -> None:
        if not text:
            raise _usage("/set format takes json, or a file with a JSON Schema")
        self._change(f"answers are {text}", format=read_format(text))

    def _think(self, level: str) -> None:
        think = read_think(level or "true")
        self._change("no thinking" if think is False else "thinking before answers", think=think)

    def _change(self, said: str, **settings: Any) -> None:
        self._conversation.change(**settings)
        note(f"{said}, from the next message on")

    def _verbose(self, on: bool) -> None:
        self._conversation.verbose = on
        note(f"what answers take is {'shown' if on else 'not shown'}")

    def _remember(self, on: bool) -> None:
        self._prompt.remember(on)
        note(f"what is typed is {'kept' if on else 'not kept'}")

    def _show(self, what: str) -> None:
        model, settings = self._conversation.describe(), self._conversation.settings
        match what:
            case "info":
                print(self._information())
            case "parameters":
                own = "\n".join(
                    f"{name:<30} {parameter_text(value)}"
                    for name, value in settings.options.items()
                )
                print(f"of the model:\n{model.parameters.rstrip() or 'none'}")
                print(f"of this conversation:\n{own or 'none'}")
            case "system":
                print(settings.system or model.system or "there is no system prompt")
            case "template":
                print(model.template or "there is no chat template")
            case "license":
                print(model.license or "no licence is known")
            case "modelfile":
                print(model.modelfile)
            case _:
                raise _usage(
                    "/show takes one of info, parameters, system, template, license, modelfile"
                )

    def _information(self) -> str:
        model = self._conversation.describe()
        context = f"{model.context_length} tokens" if model.context_length else "unknown"
        lines = {
            "name": self._conversation.model,
            "architecture": model.architecture or "unknown",
            "parameters": model.parameter_size or "unknown",
            "quantization": model.quantization or "unknown",
            "context": context,
            "capabilities": ", ".join(model.capabilities) or "none",
        }
        return "\n".join(f"{label:<14} {value}" for label, value in lines.items())

    def _clear(self, _: str) -> None:
        self._conversation.clear()
        note("what was said is forgotten")

    def _save(self, name: str) -> None:
        if not name:
            raise _usage("/save takes the name of the new model")
        self._conversation.save(name)
        note(f"{name} is installed; try `reshore run {name}`")

    def _load(self, name: str) -> None:
        if not name:
            raise _usage("/load takes the name of a model; `reshore list` lists them")
        print_turns(self._conversation.switch(name))
        note(f"{name} answers from now on")

    def _help(self, _: str) -> None:
        print(HELP)


def print_turns(turns: Sequence[Turn]) -> None:
    """What was said before, as it looked when it was said."""
    for turn in turns:
        print(f"{FIRST}{turn.content}" if turn.role == "user" else turn.content)


def read_format(text: str) -> str | dict[str, Any]:
    """`json`, or the JSON Schema in a file.

    Raises:
        Failure: the file cannot be read, or holds no JSON object.
    """
    if text == "json":
        return text
    path = Path(text).expanduser()
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise _usage(
            f"the format is json, or a file with a JSON Schema; {path}: {error.strerror}"
        ) from error
    except msgspec.MsgspecError as error:
        raise _usage(f"{path} holds no JSON Schema: {error}") from error


def read_think(text: str) -> bool | str:
    """Whether to think, or how hard.

    Raises:
        Failure: it is neither.
    """
    if text not in THINKING:
        raise _usage(f"thinking is one of {', '.join(THINKING)}, not {text!r}")
    return {"true": True, "false": False}.get(text, text)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text) or [""]
    except ValueError as error:
        raise _usage(f"quotes do not match: {error}") from error


def _usage(line: str) -> Failure:
    return Failure(ExitCode.USAGE, line)
