"""The history on disk: what a crash, a full disk or a damaged file leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reshore.errors import HistoryError, RouteNotFound
from reshore.models.disk import write_atomic
from reshore.routing.history import Damaged, History
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Route
from reshore.routing.snapshot import Snapshot


def version(number: int, policy: str = "local", **more: object) -> Snapshot:
    route = Route(pattern="gpt-4o", policy=parse_policy(policy))
    return Snapshot(number=number, parent=number - 1, routes=(route,), **more)  # type: ignore[arg-type]


def filled(folder: Path, count: int) -> History:
    history = History(folder)
    for number in range(1, count + 1):
        history.append(version(number, f"split(local={number}, cloud=1)"))
    return history


def test_nothing_is_made_before_the_first_version(tmp_path: Path) -> None:
    history = History(tmp_path / "routes")
    assert history.current() == (Snapshot(), [])
    assert (history.numbers(), list(history.newest())) == ([], [])
    assert history.read(0) == Snapshot()
    assert not (tmp_path / "routes").exists()


def test_versions_are_kept_and_the_last_one_is_in_force(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    later = History(tmp_path)
    assert later.current() == (version(3, "split(local=3, cloud=1)"), [])
    assert later.numbers() == [1, 2, 3]
    assert later.read(2) == version(2, "split(local=2, cloud=1)")
    assert later.next_number() == 4


def test_a_version_is_a_file_of_its_own_that_people_can_read(tmp_path: Path) -> None:
    filled(tmp_path, 12)
    text = (tmp_path / "000012.json").read_text()
    assert '"policy": "split(local=12, cloud=1)"' in text
    assert (tmp_path / "current").read_text() == "12\n"


def test_a_version_is_never_changed(tmp_path: Path) -> None:
    history = filled(tmp_path, 2)
    before = (tmp_path / "000002.json").read_bytes()
    with pytest.raises(HistoryError, match="never changed"):
        history.append(version(2, "cloud"))
    assert (tmp_path / "000002.json").read_bytes() == before


def test_a_version_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RouteNotFound, match="no version 9"):
        filled(tmp_path, 1).read(9)


def test_versions_are_read_one_by_one(tmp_path: Path) -> None:
    newest = filled(tmp_path, 3).newest()
    assert isinstance(found := next(newest), Snapshot)
    assert found.number == 3
    (tmp_path / "000002.json").write_text("{}")
    assert isinstance(next(newest), Damaged)


# Damage


def _flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"local=3", b"local=9"))


def _swap(path: Path) -> None:
    path.write_bytes((path.parent / "000001.json").read_bytes())


def _from_the_future(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(b"\xff\x00"),
    "no end": lambda path: path.write_bytes(b'{"snapshot":' + b"[" * 100_000),
    "no object": lambda path: path.write_bytes(b"[]"),
    "a changed weight": _flip,
    "another version": _swap,
    "a newer format": _from_the_future,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_version_is_named_and_never_in_force(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    filled(tmp_path, 3)
    damage(tmp_path / "000003.json")
    history = History(tmp_path)
    snapshot, [problem] = history.current()
    assert snapshot.number == 2
    assert "000003.json is damaged" in problem
    with pytest.raises(HistoryError, match=r"000003\.json is damaged"):
        history.read(3)
    assert [each.number for each in history.newest()] == [3, 2, 1]
    assert history.next_number() == 4


def test_damage_in_the_past_does_not_matter_now(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    (tmp_path / "000002.json").write_text("?")
    assert History(tmp_path).current()[0].number == 3


@pytest.mark.parametrize(
    ("content", "says"), [("", "holds no number"), ("three", "holds no number"), (None, "missing")]
)
def test_without_a_word_on_what_is_in_force_it_is_the_newest(
    tmp_path: Path, content: str | None, says: str
) -> None:
    filled(tmp_path, 3)
    (tmp_path / "current").unlink()
    if content is not None:
        (tmp_path / "current").write_text(content)
    snapshot, [problem] = History(tmp_path).current()
    assert snapshot.number == 3
    assert says in problem


def test_a_version_that_is_in_force_and_gone_is_told(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    (tmp_path / "000003.json").unlink()
    snapshot, [problem] = History(tmp_path).current()
    assert snapshot.number == 2
    assert problem.endswith("000003.json is missing")


def test_when_nothing_can_be_read_nothing_is_set_and_every_file_is_named(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    for path in tmp_path.iterdir():
        path.write_bytes(b"\x00")
    snapshot, problems = History(tmp_path).current()
    assert snapshot == Snapshot()
    assert len(problems) == 3


def test_other_files_are_none_of_its_business(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    for name in ("notes.txt", "tmp-12ab", "x.json", "000002.json.bak", "²³.json"):
        (tmp_path / name).write_text("?")
    assert History(tmp_path).numbers() == [1]


def test_a_folder_that_cannot_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "routes").write_text("a file")
    with pytest.raises(HistoryError, match="cannot be read"):
        History(tmp_path / "routes").numbers()


# Failures and crashes


@pytest.mark.parametrize("failing", ["000003.json", "current"])
@pytest.mark.parametrize("half_done", [False, True])
def test_what_cannot_be_written_leaves_the_version_before_in_force(
    tmp_path: Path, failing: str, half_done: bool
) -> None:
    filled(tmp_path, 2)

    def write(path: Path, data: bytes) -> None:
        if path.name != failing:
            write_atomic(path, data)
            return
        if half_done:
            path.with_name("tmp-0").write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    history = History(tmp_path, write)
    with pytest.raises(HistoryError, match="No space left"):
        history.append(version(3, "cloud"))
    assert history.current() == (version(2, "split(local=2, cloud=1)"), [])
    healed = History(tmp_path)
    healed.append(version(healed.next_number(), "cloud"))
    assert healed.current()[0].routes == version(3, "cloud").routes


def test_a_version_that_is_named_counts_even_if_its_folder_could_not_be_synced(
    tmp_path: Path,
) -> None:
    filled(tmp_path, 1)

    def write(path: Path, data: bytes) -> None:
        write_atomic(path, data)
        if path.name == "current":
            raise OSError(5, "Input/output error")

    History(tmp_path, write).append(version(2))
    assert History(tmp_path).current()[0].number == 2


# A process that ends, without a word, at the n-th step that reaches the disk.
_DOOMED = """
import os, signal, sys
from pathlib import Path
from reshore.routing.history import History
from tests.routing.test_history import version

left = int(sys.argv[2])

def doomed(call):
    def step(*args, **kwargs):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return call(*args, **kwargs)
    return step

history = History(Path(sys.argv[1]))
number = history.next_number()
os.fsync, os.replace, os.open = map(doomed, (os.fsync, os.replace, os.open))
history.append(version(number, "cloud"))
"""


@pytest.mark.parametrize("start", [0, 2], ids=["the first version", "a later one"])
def test_whenever_a_process_is_killed_the_old_version_or_the_new_one_is_in_force(
    tmp_path: Path, start: int
) -> None:
    old = filled(tmp_path / "old", start).current()[0]
    seen: list[str] = []
    for steps in range(20):
        folder = tmp_path / f"killed-{steps}"
        filled(folder, start)
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-c", _DOOMED, str(folder), str(steps)],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            check=False,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        history = History(folder)
        found, _ = history.current()
        assert found in (old, version(found.number, "cloud"))
        seen.append("old" if found == old else "new")
        history.append(version(history.next_number(), "hybrid"))
        assert History(folder).current()[0].routes == version(9, "hybrid").routes
    # It was killed at several steps, before the change was in force and after.
    assert seen == sorted(seen, reverse=True)
    assert {"old", "new"} == set(seen)
    assert len(seen) >= 6
