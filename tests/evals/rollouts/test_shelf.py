"""Files of rollouts: whole or set aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from reshore.errors import HistoryError
from reshore.evals.rollouts.beginning import planned
from reshore.evals.rollouts.kept import Kept
from reshore.evals.rollouts.shelf import Shelf, encoded
from tests.evals.rollouts.driven import AGREEMENT, QUICK, world
from tests.routing.operated import opened


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    now = opened(tmp_path / "other", world=world()).in_force
    made = planned(QUICK, now, lambda _: AGREEMENT, number=1, now_s=1.7e9)
    for verdict in ("tie", "win", "undecided"):
        made.rollout.pair(verdict, 1.7e9)
    made.rollout.answered("cloud", 1.7e9, failed=False, ttft_ms=12.5)
    made.rollout.abort(1.7e9)
    made.conversations.add("c1")
    return made


def test_what_is_read_is_what_was_written(tmp_path: Path, kept: Kept) -> None:
    shelf = Shelf(tmp_path / "rollouts")
    assert shelf.load() == ([], [])
    shelf.save(1, encoded(kept))
    assert shelf.load() == ([kept], [])
    assert shelf.next_number() == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[: len(body) // 2],
        lambda body: b"",
        lambda body: b"\xff" * 100,
        lambda body: b"[" * 100_000,
        lambda body: b'{"rollout":' + b"[" * 100_000,
        lambda body: body.replace(b'"note":""', b'"note":"x"'),
        lambda body: body.replace(b'"format":1', b'"format":2'),
    ],
)
def test_a_file_that_cannot_be_read_is_set_aside_and_told(
    tmp_path: Path, kept: Kept, spoil
) -> None:
    shelf = Shelf(tmp_path / "rollouts")
    shelf.save(1, encoded(kept))
    path = tmp_path / "rollouts" / "000001.json"
    path.write_bytes(spoil(path.read_bytes()))
    found, [problem] = shelf.load()
    assert found == []
    assert "000001.json.damaged" in problem
    assert shelf.load() == ([], [])
    assert shelf.next_number() == 2


def test_a_file_of_another_number_is_none_of_this_rollout(tmp_path: Path, kept: Kept) -> None:
    shelf = Shelf(tmp_path / "rollouts")
    shelf.save(7, encoded(kept))
    assert shelf.load()[0] == []


def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path, kept: Kept) -> None:
    def full(path: Path, body: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(HistoryError, match=r"000001\.json: No space left on device"):
        Shelf(tmp_path / "rollouts", full).save(1, encoded(kept))
