import pytest

from reshore.cli.failure import ExitCode, Failure, failure_of
from reshore.errors import (
    BadName,
    ConfigError,
    ReshoreError,
    StartFailed,
    UnknownModel,
    UpstreamStatus,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), ExitCode.FAILURE),
        (StartFailed("x", model="m"), ExitCode.FAILURE),
        (BadName("x"), ExitCode.USAGE),
        (UnknownModel("x"), ExitCode.NOT_FOUND),
        (UpstreamStatus("x", backend="b", status=404), ExitCode.NOT_FOUND),
        (UpstreamStatus("x", backend="b", status=503), ExitCode.FAILURE),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (BrokenPipeError(), ExitCode.FAILURE),
        (PermissionError(13, "Permission denied", "/x"), ExitCode.FAILURE),
        (Failure(ExitCode.USAGE, "x"), ExitCode.USAGE),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error, code):
    assert failure_of(error).code is code


def test_a_message_of_several_lines_becomes_one():
    assert failure_of(ReshoreError("first\n  second\n")).line == "first second"


def test_the_one_error_of_a_task_group_is_told_like_any_other():
    group = BaseExceptionGroup("tasks", [ExceptionGroup("more", [UnknownModel("m")])])
    assert failure_of(group).code is ExitCode.NOT_FOUND


def test_a_missing_shared_library_names_the_package():
    error = ImportError("libgomp.so.1: cannot open shared object file: No such file or directory")
    line = failure_of(error).line
    assert "libgomp1" in line
    assert "\n" not in line


def test_a_file_error_names_the_file():
    assert (
        failure_of(PermissionError(13, "Permission denied", "/x")).line == "/x: Permission denied"
    )


@pytest.mark.parametrize(
    "bug",
    [ValueError("x"), ImportError("no module named reshor"), ExceptionGroup("e", [OSError()])],
)
def test_a_bug_keeps_its_traceback(bug):
    assert failure_of(bug) is None
