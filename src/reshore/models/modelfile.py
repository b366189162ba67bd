"""Modelfiles: Ollama's recipe for a model, read and written. Pure.

A line is a command and its value; commands may be written in any case, lines that begin with `#`
are comments. A value that begins with a quote (`"` or three of them) ends at the first line that
ends with the same quote, and keeps what stands between them as it is:

    FROM smollm2:135m
    PARAMETER temperature 0.2
    SYSTEM \"\"\"
    You answer in one word.
    \"\"\"
    MESSAGE user Is the sky blue?
    MESSAGE assistant Yes.

The grammar is that of Ollama's `docs/modelfile.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from msgspec import Struct

from reshore.errors import BadRecipe, RequestError
from reshore.models.parameters import KINDS, RETIRED, typed_parameter
from reshore.types import Message

LENGTH_LIMIT = 4 << 20  # characters; templates and licences make most of a Modelfile

_LINE = re.compile(r"\s*([A-Za-z]+)(?:[ \t]+(.*))?", re.DOTALL)
_ROLES = ("system", "user", "assistant")
_TRIPLE = '"""'
_INSTEAD = {
    "RENDERER": "it names code inside Ollama; the chat template of the GGUF file is used instead",
    "PARSER": "it names code inside Ollama; replies are read by the engine",
    "REQUIRES": "it asks for a version of Ollama, which this is not",
    "DRAFT": "speculative decoding with a draft model is not supported",
}
_COMMANDS = ("FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE")


class Modelfile(Struct, frozen=True, kw_only=True):
    """What a Modelfile says.

    Attributes:
        sources: values of FROM: names of installed models, or paths.
        adapters: paths of LoRA adapters.
        template, system: None where the base model's are kept.
        parameters: typed; `stop` is a list.
        messages: example turns.
        ignored: parameters that Ollama once had and that do nothing here.
    """

    sources: tuple[str, ...]
    adapters: tuple[str, ...] = ()
    template: str | None = None
    system: str | None = None
    licenses: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = {}
    messages: tuple[Message, ...] = ()
    ignored: tuple[str, ...] = ()


def parse_modelfile(text: str) -> Modelfile:
    """Read a Modelfile.

    Of TEMPLATE, SYSTEM and each PARAMETER but `stop` the last one counts; the others add up.

    Raises:
        BadRecipe: it cannot be understood or asks for what reshore cannot do; says in which
            line.
    """
    if len(text) > LENGTH_LIMIT:
        raise BadRecipe(f"it has more than {LENGTH_LIMIT} characters")
    reading = _Reading()
    for number, command, value in _commands(text.removeprefix("\ufeff")):
        try:
            reading.take(command, value)
        except (BadRecipe, RequestError) as error:
            raise BadRecipe(f"line {number}: {error}") from error
    return reading.finish()


def write_modelfile(modelfile: Modelfile) -> str:
    """The text of a Modelfile; reading it gives `modelfile` again (but for `ignored`).

    Raises:
        BadRecipe: a text cannot be quoted: one of its lines ends with three quotes.
    """
    lines = [f"FROM {_quoted(source)}" for source in modelfile.sources]
    lines += [f"ADAPTER {_quoted(path)}" for path in modelfile.adapters]
    if modelfile.template is not None:
        lines.append(f"TEMPLATE {_long(modelfile.template)}")
    if modelfile.system is not None:
        lines.append(f"SYSTEM {_long(modelfile.system)}")
    for name, value in modelfile.parameters.items():
        values = value if isinstance(value, list | tuple) else [value]
        lines += [f"PARAMETER {name} {_quoted(_plain(each))}" for each in values]
    for message in modelfile.messages:
        assert isinstance(message.content, str)
        lines.append(f"MESSAGE {message.role} {_quoted(message.content)}")
    lines += [f"LICENSE {_long(licence)}" for licence in modelfile.licenses]
    return "\n".join(lines) + "\n"


class _Reading:
    """The Modelfile as far as it has been read."""

    def __init__(self) -> None:
        self._lists: dict[str, list[str]] = {"FROM": [], "ADAPTER": [], "LICENSE": []}
        self._texts: dict[str, str] = {}
        self._parameters: dict[str, Any] = {}
        self._messages: list[Message] = []
        self._ignored: dict[str, None] = {}

    def take(self, command: str, value: str) -> None:
        if command in self._lists:
            self._lists[command].append(_unquoted(value))
        elif command in ("TEMPLATE", "SYSTEM"):
            self._texts[command] = _unquoted(value)
        elif command == "PARAMETER":
            self._parameter(*_split(command, value))
        else:
            role, content = _split(command, value)
            if role.lower() not in _ROLES:
                raise BadRecipe(f"MESSAGE needs one of {', '.join(_ROLES)}, not {role[:40]!r}")
            known = cast('Literal["system", "user", "assistant"]', role.lower())
            self._messages.append(Message(role=known, content=content))

    def _parameter(self, name: str, text: str) -> None:
        name = name.lower()
        if name in RETIRED:
            self._ignored[name] = None
            return
        value = typed_parameter(name, text)
        if KINDS[name] is str:
            self._parameters.setdefault(name, []).append(value)
        else:
            self._parameters[name] = value

    def finish(self) -> Modelfile:
        if not self._lists["FROM"]:
            raise BadRecipe("there is no FROM line, which says what the model is made of")
        return Modelfile(
            sources=tuple(self._lists["FROM"]),
            adapters=tuple(self._lists["ADAPTER"]),
            template=self._texts.get("TEMPLATE"),
            system=self._texts.get("SYSTEM"),
            licenses=tuple(self._lists["LICENSE"]),
            parameters=self._parameters,
            messages=tuple(self._messages),
            ignored=tuple(self._ignored),
        )


def _commands(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, command in capitals and raw value of each command."""
    lines = enumerate(text.split("\n"), 1)
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        command = match[1].upper() if match else line.split()[0][:40]
        if command in _INSTEAD:
            raise BadRecipe(f"line {number}: {command}: {_INSTEAD[command]}. Remove the line.")
        if match is None or command not in _COMMANDS:
            raise BadRecipe(
                f"line {number}: {command!r} is no command; use one of {', '.join(_COMMANDS)}"
            )
        value = match[2] or ""
        while not _closed(command, value):
            _, more = next(lines, (0, None))
            if more is None:
                raise BadRecipe(f"line {number}: the quote that opens there is never closed")
            value = f"{value}\n{more}"
        if not value.strip():
            raise BadRecipe(f"line {number}: {command} needs a value")
        yield number, command, value


def _closed(command: str, value: str) -> bool:
    """Whether a value is complete: it opens no quote, or its last line ends with it."""
    text = value.strip()
    if command in ("PARAMETER", "MESSAGE"):
        text = [*text.split(maxsplit=1), "", ""][1]
    for quote in (_TRIPLE, '"'):
        if text.startswith(quote):
            return len(text) >= 2 * len(quote) and text.endswith(quote)
    return True


def _split(command: str, value: str) -> tuple[str, str]:
    """The word before a value (parameter, role), and the value."""
    first, *more = value.strip().split(maxsplit=1)
    if not more:
        raise BadRecipe(f"{command} {first[:40]} needs a value")
    return first, _unquoted(more[0])


def _unquoted(value: str) -> str:
    text = value.strip()
    for quote in (_TRIPLE, '"'):
        if text.startswith(quote) and text.endswith(quote) and len(text) >= 2 * len(quote):
            return text[len(quote) : -len(quote)]
    return text


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _quoted(text: str) -> str:
    """As it is where that is read back the same, quoted elsewhere."""
    if text and text == text.strip() and not text.startswith('"') and "\n" not in text:
        return text
    return _long(text)


def _long(text: str) -> str:
    """In three quotes."""
    for line_end in re.finditer(r"\n", text):
        if text[: line_end.start()].rstrip().endswith(_TRIPLE):
            raise BadRecipe("a text in which a line ends with three quotes cannot be written")
    return f"{_TRIPLE}{text}{_TRIPLE}"
