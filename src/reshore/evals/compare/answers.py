"""The answers of a comparison, kept in a file so that none is asked for twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
from msgspec import Struct

from reshore.checks.check import Said
from reshore.errors import CompareError
from reshore.evals.compare.prompts import Prompt
from reshore.evals.scoring import Heard
from reshore.types import FinishReason, ToolCall, Usage


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one target said to one prompt, or why it said nothing.

    Attributes:
        key: of prompt and target (`key_of`).
        target: as the user wrote it.
        by: who answered: `cloud:openai/gpt-4o`; "" where nobody did.
        error: what went wrong; "" where nothing did.
        ttft_ms: until the first token, thoughts included.
        nano_usd: what it cost; None: not known.
        wall_s: when it was asked for, seconds since the epoch.
    """

    key: str
    target: str
    by: str = ""
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason | None = None
    error: str = ""
    ttft_ms: float | None = None
    total_ms: float = 0.0
    usage: Usage | None = None
    nano_usd: int | None = None
    wall_s: float = 0.0


def key_of(prompt: Prompt, target: str) -> str:
    """What an answer is found by again: other requests or targets have other answers."""
    said = msgspec.json.encode([prompt.body, target], order="deterministic")
    return hashlib.sha256(said).hexdigest()[:24]


def heard(prompt: Prompt, answer: Answer) -> Heard:
    """The answer as checks look at it."""
    said = Said(
        request=prompt.request,
        text=answer.text,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
    )
    return Heard(said=said, error=answer.error)


def append(file: IO[bytes], line: bytes) -> None:
    """Add a line to an unbuffered file, all of it: a disk that is nearly full takes but a part.

    Raises:
        OSError: it could not be written; a part of it may be there.
    """
    left = memoryview(line)
    while left:
        left = left[file.write(left) :]


class AnswerFile:
    """A file of answers, one a line, to which is only added. Owned by one comparison.

    A line that a kill cut short is passed over, and what is asked anew comes behind it: of two
    answers with one key the later one counts. Nobody but its owner may read the file.

    Raises:
        CompareError: the file cannot be read or written, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._torn = False
        self._known = {answer.key: answer for answer in self._read()}

    def __enter__(self) -> Self:
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise CompareError(f"cannot write {self._path}: {error.strerror}") from error
        self._file = open(handle, "ab", buffering=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._file is not None
        self._file.close()

    def last(self, key: str) -> Answer | None:
        """What came of asking, be it an error; None where nobody asked."""
        return self._known.get(key)

    def has(self, key: str) -> bool:
        """Whether an answer was given that need not be asked for again."""
        answer = self._known.get(key)
        return answer is not None and not answer.error

    def add(self, answer: Answer) -> None:
        """Keep an answer; after this call a kill does not take it away."""
        assert self._file is not None
        self._known[answer.key] = answer
        line = msgspec.json.encode(answer) + b"\n"
        try:
            append(self._file, b"\n" + line if self._torn else line)
        except OSError as error:
            self._torn = True
            raise CompareError(f"cannot write {self._path}: {error.strerror}") from error
        self._torn = False

    def _read(self) -> Iterator[Answer]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise CompareError(f"cannot read {self._path}: {error.strerror}") from error
        *lines, torn = data.split(b"\n")
        self._torn = bool(torn)
        decoder = msgspec.json.Decoder(Answer)
        foreign = 0
        for line in lines:
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, RecursionError):
                foreign += 1
        if foreign > 1 and foreign > len(lines) / 2:
            raise CompareError(
                f"{self._path} holds no answers of a comparison; remove it, or choose another "
                "report with --out"
            )
