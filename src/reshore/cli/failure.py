"""From an exception to an exit code and the one line that is printed for it."""

from __future__ import annotations

from enum import IntEnum

from reshore.engine.libraries import explain
from reshore.errors import BadName, ReshoreError, RouteNotFound, UnknownModel, UpstreamStatus

_NOT_FOUND_STATUS = 404


class ExitCode(IntEnum):
    """What a command's exit code means; `docs/cli.md` tells users."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_FOUND = 3
    INTERRUPTED = 130  # 128 + SIGINT, as shells count


class Failure(Exception):
    """An expected end of a command.

    Attributes:
        code: the exit code.
        line: what happened and what to do next, None for an end that needs no words.
    """

    def __init__(self, code: ExitCode, line: str | None = None) -> None:
        super().__init__(line or "")
        self.code = code
        self.line = line


def failure_of(error: BaseException) -> Failure | None:
    """What to tell the person at the terminal; None for a bug, which deserves its traceback."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return failure_of(error.exceptions[0])
    if isinstance(error, Failure):
        return Failure(error.code, error.line and _one_line(error))
    if isinstance(error, KeyboardInterrupt):
        return Failure(ExitCode.INTERRUPTED)
    if isinstance(error, BrokenPipeError):
        return Failure(ExitCode.FAILURE)  # nobody reads on (`| head`); Typer ends so, too
    if isinstance(error, ReshoreError):
        return Failure(_code(error), _one_line(error))
    if isinstance(error, ImportError) and _is_engine(error):
        return Failure(ExitCode.FAILURE, explain(str(error)))
    if isinstance(error, OSError) and error.strerror:
        return Failure(ExitCode.FAILURE, _system(error))
    return None


def _code(error: ReshoreError) -> ExitCode:
    if isinstance(error, UnknownModel | RouteNotFound):
        return ExitCode.NOT_FOUND
    if isinstance(error, UpstreamStatus) and error.status == _NOT_FOUND_STATUS:
        return ExitCode.NOT_FOUND
    if isinstance(error, BadName):
        return ExitCode.USAGE
    return ExitCode.FAILURE


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _is_engine(error: ImportError) -> bool:
    return "cannot open shared object" in str(error) or error.name == "xllamacpp"


def _system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}"
