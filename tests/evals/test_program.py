"""The user's own check, as a function and as a command."""

from __future__ import annotations

import asyncio
import json
import os
import select
import shlex
import sys
from pathlib import Path

import pytest

from reshore.errors import JudgeError
from reshore.evals.expected import Expected
from reshore.evals.program import OWN, Program
from reshore.evals.scoring import Compared
from tests.evals.contests import REQUEST, heard

WIN = Compared(result="win", by=OWN)
UNKNOWN = Compared(result="undecided")


async def decided(program: Program, first: str = "short", second: str = "much longer") -> Compared:
    return await program.decide(REQUEST, heard(first), heard(second), Expected(references=("4",)))


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


def function(folder: Path, code: str) -> str:
    (folder / "mine.py").write_text(code)
    return f"{folder / 'mine.py'}:better"


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ("second", WIN),
        ("first\n", Compared(result="loss", by=OWN)),
        ("tie", Compared(result="tie", by=OWN)),
        ("unknown", UNKNOWN),
        ('{"better": "second"}', WIN),
        ('{"better": "unknown"}', UNKNOWN),
        ('{"first": 0.25, "second": 1}', WIN),
        ('{"first": 1, "second": 1.0}', Compared(result="tie", by=OWN)),
    ],
)
async def test_a_command_prints_its_verdict(printed: str, found: Compared) -> None:
    assert await decided(Program(python(f"print({printed!r})"))) == found


async def test_a_command_reads_the_case_as_json(tmp_path: Path) -> None:
    kept = tmp_path / "case.json"
    code = f"import sys; open({str(kept)!r}, 'w').write(sys.stdin.read()); print('tie')"
    await decided(Program(python(code)))
    case = json.loads(kept.read_text())
    assert case["request"]["messages"][0]["content"] == "Why is it blue?"
    assert case["first"] == {
        "text": "short", "tool_calls": [], "finish_reason": "stop", "error": "",
    }  # fmt: skip
    assert case["second"]["text"] == "much longer"
    assert case["expected"] == {"references": ["4"]}


async def test_a_command_may_leave_its_input_unread() -> None:
    assert await decided(Program(python("print('second')")), "x" * 10**6) == WIN


async def test_no_shell_reads_a_command(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="gave no verdict"):
        await decided(Program(f"echo tie; touch {tmp_path}/made"))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        ("'second'", WIN),
        ("None", UNKNOWN),
        ("(0.1, 0.9)", WIN),
        ("{'better': 'second'}", WIN),
        ("'second' if len(second['text']) > len(first['text']) else 'first'", WIN),
        ("print('talk') or 'second'", WIN),
    ],
)
async def test_a_function_of_a_file_is_called(
    tmp_path: Path, returned: str, found: Compared
) -> None:
    text = function(tmp_path, f"def better(request, first, second, expected): return {returned}")
    assert await decided(Program(text)) == found


async def test_a_function_of_a_module_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function(tmp_path, "def better(**case): return 'second'")
    monkeypatch.chdir(tmp_path)
    assert await decided(Program("mine:better")) == WIN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (python("print('maybe')"), "'maybe', which is no verdict"),
        (python(""), "no verdict"),
        (python("print('{\"why\":' + '[' * 100_000)"), "no verdict"),
        (python('print(\'{"better": "third"}\')'), "no verdict"),
        (python("print('{\"first\": 1}')"), "neither `better` nor both scores"),
        (python("print('{}')"), "neither `better` nor both scores"),
        (python("import sys; sys.exit('out of luck')"), "it ended with 1: out of luck"),
        ("/nowhere/at-all", "cannot be started: No such file or directory"),
        ("nowhere.py:better", "No such file"),
        ("json:missing", "has no attribute 'missing'"),
    ],
)
async def test_what_is_no_verdict_is_told(text: str, says: str) -> None:
    with pytest.raises(JudgeError) as raised:
        await decided(Program(text))
    assert says in str(raised.value)
    assert text in str(raised.value)


@pytest.mark.parametrize("text", ["", "  ", "'unclosed"])
def test_what_cannot_be_run_is_told_at_once(text: str) -> None:
    with pytest.raises(JudgeError):
        Program(text)


@pytest.mark.parametrize(
    "text", ["nowhere.py:better", "json:missing", "no_such:better", "nobody -x"]
)
async def test_what_is_not_there_is_told_before_any_pair(text: str) -> None:
    with pytest.raises(JudgeError, match="cannot be used: ") as raised:
        await Program(text).probe()
    assert text in str(raised.value)


async def test_what_is_there_is_found_and_not_called(tmp_path: Path) -> None:
    await Program(function(tmp_path, "def better(**case): raise SystemExit(1)")).probe()
    await Program(python(f"open({str(tmp_path / 'made')!r}, 'w')")).probe()
    assert not (tmp_path / "made").exists()


async def test_a_check_that_hangs_is_told() -> None:
    with pytest.raises(JudgeError, match=r"longer than 0.05 s for a pair"):
        await decided(Program(python("import time; time.sleep(600)"), timeout_s=0.05))


async def test_an_end_before_its_time_is_that_of_its_children_too(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = (
        "import os, subprocess, sys; "
        "c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"open({str(pipe)!r}, 'w').write(f'{{os.getpid()}} {{c.pid}}'); c.wait()"
    )
    task = asyncio.create_task(decided(Program(python(code), timeout_s=60)))
    pids = (await asyncio.to_thread(pipe.read_text)).split()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(_gone(int(pid)) for pid in pids)


def _gone(pid: int) -> bool:
    """Whether a process has ended, soon."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([process], [], [], 10)
    os.close(process)
    return bool(ended)
