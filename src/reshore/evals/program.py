"""The user's own check of two answers: a Python function, or any command, in a process of its own.

Each pair gets a process: what one of them leaves behind, or hangs on, is no other pair's trouble.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import sys
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from reshore.errors import JudgeError
from reshore.evals.expected import Expected
from reshore.evals.scoring import Compared, Heard, Result
from reshore.types import ChatRequest, ToolCall

# `package.module:function` or `path/to/file.py:function`; anything else is a command.
_FUNCTION = re.compile(r"(?:[A-Za-z_][\w.]*|\S*\.py):[A-Za-z_]\w*")
# To find a function. Long: modules that a machine reads for the first time are slow, not missing.
_PROBE_S = 60.0
# By this name its verdicts are told from those of others.
OWN = "own check"

Word = Literal["first", "second", "tie", "unknown"]
_RESULTS: dict[str, Result] = {
    "first": "loss",
    "second": "win",
    "tie": "tie",
    "unknown": "undecided",
}


class _Answer(Struct, frozen=True):
    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    error: str


class _Case(Struct, frozen=True):
    """What the program is given, as JSON on standard input."""

    request: dict[str, Any]
    first: _Answer
    second: _Answer
    expected: Expected


class _Verdict(Struct, forbid_unknown_fields=True):
    """What it may print as an object: a word, or how good either answer is."""

    better: Word | UnsetType = UNSET
    first: float | UnsetType = UNSET
    second: float | UnsetType = UNSET


class Program:
    """Asks the user's function or command which of two answers is better.

    Args:
        text: `module:function`, `file.py:function`, or a command as a shell would read it; no
            shell runs it.
        timeout_s: of one pair.
        parallel: processes at once.

    Raises:
        JudgeError: there is nothing to run.
    """

    def __init__(self, text: str, *, timeout_s: float = 10.0, parallel: int = 2) -> None:
        self.text = text
        self._arguments = _arguments(text)
        self._is_function = bool(_FUNCTION.fullmatch(text.strip()))
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(parallel)

    async def probe(self) -> None:
        """Look whether its function or executable is there; nothing is asked.

        A function is looked for where it would be called: in a process, which runs its file.

        Raises:
            JudgeError: it is not, or its file cannot be run.
        """
        if not self._is_function:
            if shutil.which(self._arguments[0]) is None:
                raise self._unusable(f"there is no executable '{self._arguments[0]}'")
            return
        try:
            code, _, said = await self._run(b"", "--find", within_s=_PROBE_S)
        except TimeoutError as error:
            raise self._unusable(f"its file runs for more than {_PROBE_S:g} s") from error
        if code:
            raise self._unusable(_last_line(said))

    async def decide(
        self, request: ChatRequest, first: Heard, second: Heard, expected: Expected
    ) -> Compared:
        """What it says. Cancellation ends its process, and those that it has started.

        Raises:
            JudgeError: it cannot be started, fails, takes too long, or prints no verdict.
        """
        case = _Case(_asked(request), _answer(first), _answer(second), expected)
        async with self._places:
            try:
                code, out, said = await self._run(
                    msgspec.json.encode(case), within_s=self._timeout_s
                )
            except TimeoutError as error:
                limit = f"it took longer than {self._timeout_s:g} s for a pair"
                raise self._failed(limit) from error
        if code:
            last = _last_line(said)
            raise self._failed(f"it ended with {code}{last and f': {last}'}")
        return self._read(out)

    async def _run(self, case: bytes, *more: str, within_s: float) -> tuple[int, bytes, bytes]:
        pipe, words = asyncio.subprocess.PIPE, (*self._arguments, *more)
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
        except OSError as error:
            raise self._failed(f"it cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(within_s):
                out, said = await process.communicate(case)
        except BaseException:
            _end(process)
            await process.wait()
            raise
        return process.returncode or 0, out, said

    def _read(self, out: bytes) -> Compared:
        text = out.decode(errors="replace").strip()
        if text in _RESULTS:
            return Compared(result=_RESULTS[text], by=OWN if text != "unknown" else "")
        try:
            verdict = msgspec.json.decode(text, type=_Verdict)
        except (msgspec.DecodeError, RecursionError) as error:
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise self._failed(
                f"it printed {shown!r}, which is no verdict ({error}); print first, second, tie or "
                'unknown, or {"better": ...}, or {"first": 0.5, "second": 1.0}'
            ) from error
        return self._scored(verdict)

    def _scored(self, verdict: _Verdict) -> Compared:
        first, second = verdict.first, verdict.second
        if isinstance(first, float) and isinstance(second, float):
            result: Result = "win" if second > first else "loss" if second < first else "tie"
        elif verdict.better is not UNSET and first is second is UNSET:
            result = _RESULTS[verdict.better]
        else:
            raise self._failed("it printed an object with neither `better` nor both scores")
        return Compared(result=result, by="" if result == "undecided" else OWN)

    def _failed(self, why: str) -> JudgeError:
        return JudgeError(f"your check `{self.text}` gave no verdict: {why}")

    def _unusable(self, why: str) -> JudgeError:
        here = os.getcwd()
        return JudgeError(
            f"your check `{self.text}` cannot be used: {why}; paths and modules are looked for in "
            f"the directory where this was started ({here})"
        )


def _last_line(said: bytes) -> str:
    return said.decode(errors="replace").strip().rpartition("\n")[2]


def _end(process: asyncio.subprocess.Process) -> None:
    """With the processes that it has started: they may have outlived it, and hold the pipes."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _arguments(text: str) -> tuple[str, ...]:
    if _FUNCTION.fullmatch(text.strip()):
        return (sys.executable, "-m", "reshore.evals.calling", text.strip())
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise JudgeError(f"your check `{text}` cannot be read as a command: {error}") from error
    if not words:
        raise JudgeError("your check is empty; name a function (file.py:function) or a command")
    return words


def _asked(request: ChatRequest) -> dict[str, Any]:
    """The conversation in plain words: what a check may want to know of a request."""
    return {
        "messages": [
            {"role": turn.role, "content": turn.text, "tool_calls": turn.tool_calls}
            for turn in request.messages
        ],
        "tools": request.tools,
        "model": request.model,
    }


def _answer(heard: Heard) -> _Answer:
    said = heard.said
    return _Answer(said.text, said.tool_calls, said.finish_reason, heard.error)
