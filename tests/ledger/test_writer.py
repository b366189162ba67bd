"""The writer: what it does when the database is there, is not, and refuses."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path

import pytest

from reshore.ledger.entry import Ended, Late, Texts
from reshore.ledger.spill import adopt, waiting
from reshore.ledger.writer import Counts
from tests.ledger.fakes import Desk
from tests.ledger.samples import AT_S, attempt, outcome


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "ledger")


def stored(desk: Desk) -> list[str]:
    return sorted(desk.store.requests)


async def test_before_the_database_is_open_entries_are_in_a_file(desk: Desk) -> None:
    await desk.turn(outcome("a"))
    assert desk.store.opened == 0
    assert desk.writer.counts == Counts(spilled=1)
    await desk.turn(outcome("b"), later_s=1.0)
    assert stored(desk) == ["a", "b"]
    assert list(desk.folder.iterdir()) == []
    assert desk.store.positions == {}


async def test_while_the_database_is_being_opened_entries_are_in_a_file(desk: Desk) -> None:
    desk.store.hangs = True
    await desk.turn(outcome("a"), later_s=1.0)
    await desk.turn(outcome("b"), later_s=60.0)
    assert desk.writer.counts == Counts(spilled=2)
    desk.store.arrive()
    await desk.turn(outcome("c"))
    assert desk.store.requests == dict.fromkeys("abc", 1)
    assert desk.store.opened == 1
    assert list(desk.folder.iterdir()) == []


async def test_what_comes_together_is_written_together(desk: Desk) -> None:
    await desk.turn(later_s=1.0)
    await desk.turn(*(outcome(f"req_{n}") for n in range(500)))
    assert (desk.store.batches, len(desk.store.requests)) == (1, 500)
    await desk.turn(*(outcome(f"more_{n}") for n in range(5000)))
    assert desk.store.batches == 4
    assert desk.writer.counts == Counts(written=5500)


async def test_while_the_database_is_away_entries_wait_and_each_is_stored_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await desk.turn(outcome("a"), later_s=1.0)
    desk.store.away = True
    await desk.turn(outcome("b"))
    await desk.turn(outcome("c"), later_s=1.5)
    assert stored(desk) == ["a"]
    desk.store.away = False
    await desk.turn(outcome("d"), later_s=30.0)
    await desk.turn(outcome("e"))
    assert desk.store.requests == dict.fromkeys("abcde", 1)
    told = [record.levelname for record in caplog.records]
    assert told == ["ERROR", "INFO"]
    assert "the database is away" in caplog.text
    assert str(desk.folder) in caplog.text


async def test_a_database_that_stays_away_is_tried_ever_more_rarely(desk: Desk) -> None:
    desk.store.away = True
    tries = []
    original = desk.writer._connect

    def count():
        tries.append(desk.clock.monotonic())
        return original()

    desk.writer._connect = count
    for _ in range(1200):
        await desk.turn(later_s=0.1)
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps[:5] == pytest.approx([1, 2, 4, 8, 16], abs=0.2)
    assert max(gaps) == pytest.approx(30, abs=0.2)


async def test_an_answer_that_was_lost_on_the_way_does_no_harm(desk: Desk) -> None:
    await desk.turn(later_s=1.0)
    desk.store.forgets = True
    await desk.turn(outcome("a"), Late("a", 70_000, attempt(), AT_S, ""))
    desk.store.forgets = False
    await desk.turn(later_s=2.0)
    # Written twice: the real databases leave what is there (`test_database.py`).
    assert desk.store.requests == {"a": 2}
    assert desk.store.late == {70_000}


async def test_reading_back_goes_on_where_it_broke_off(desk: Desk) -> None:
    await desk.turn(*(outcome(f"req_{n:05}") for n in range(4500)))
    writes = desk.store.write

    def fail_after_two(batch, position=None):
        desk.store.away = desk.store.batches == 2
        writes(batch, position)

    desk.store.write = fail_after_two
    await desk.turn(later_s=1.0)
    assert len(desk.store.requests) == 1000
    desk.store.write, desk.store.away = writes, False
    await desk.turn(later_s=5.0)
    assert len(desk.store.requests) == 4500
    assert set(desk.store.requests.values()) == {1}
    assert waiting(desk.folder) == []


async def test_what_comes_while_a_long_file_is_read_back_does_not_wait_for_it(desk: Desk) -> None:
    await desk.turn(*(outcome(f"req_{n:05}") for n in range(4500)))
    writes, order = desk.store.write, []

    def note(batch, position=None):
        if position is not None and not order:
            desk.queue.append(outcome("new"))
        order.append(position is None)
        writes(batch, position)

    desk.store.write = note
    await desk.turn(later_s=1.0)
    assert order == [False, True, *[False] * 8]
    assert desk.store.requests["new"] == 1


async def test_one_odd_row_does_not_spoil_the_others(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.turn(later_s=1.0)
    desk.store.refuses = {"odd"}
    await desk.turn(outcome("a"), outcome("odd"), outcome("b"))
    assert stored(desk) == ["a", "b"]
    assert desk.writer.counts == Counts(written=2, lost=1)
    assert "this row is odd" in caplog.text


async def test_odd_rows_are_found_without_writing_all_others_one_by_one(desk: Desk) -> None:
    await desk.turn(later_s=1.0)
    desk.store.refuses = {"req_7", "req_1500"}
    await desk.turn(*(outcome(f"req_{n}") for n in range(2000)))
    assert desk.writer.counts == Counts(written=1998, lost=2)
    assert desk.store.batches < 30


async def test_losses_are_told_now_and_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, spill_bytes=0)
    for number in range(100):
        await desk.turn(outcome(f"req_{number}"), later_s=0.25 if number else 0.0)
        desk.store.away = True
    lost = [each.getMessage() for each in caplog.records if "lost entries" in each.getMessage()]
    assert len(lost) == 3
    assert lost[0].startswith("the ledger lost entries, 1 so far: ")


async def test_one_odd_row_in_a_file_does_not_spoil_it(desk: Desk) -> None:
    desk.store.refuses = {"odd"}
    await desk.turn(outcome("a"), outcome("odd"), outcome("b"))
    await desk.turn(later_s=1.0)
    assert stored(desk) == ["a", "b"]
    assert waiting(desk.folder) == []
    assert desk.writer.counts.lost == 1


async def test_an_outcome_that_makes_no_rows_is_counted(desk: Desk) -> None:
    await desk.turn(outcome("a", wall_s=float("inf")), outcome("b"))
    await desk.turn(outcome("c", wall_s=float("nan")), later_s=1.0)
    assert stored(desk) == ["b"]
    assert desk.writer.counts.lost == 2


async def test_a_damaged_line_is_counted(desk: Desk) -> None:
    await desk.turn(outcome("a"), outcome("b"))
    desk.writer._spill.finish()
    (path,) = waiting(desk.folder)
    path.write_bytes(path.read_bytes()[:-9])
    await desk.turn(later_s=1.0)
    assert stored(desk) == ["a"]
    assert desk.writer.counts.lost == 1


async def test_entries_for_which_there_is_no_room_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, spill_bytes=2000)
    desk.store.away = True
    await desk.turn(*(outcome(f"req_{n}") for n in range(20)), later_s=1.0)
    counts = desk.writer.counts
    assert counts.lost + counts.spilled == 20
    assert 0 < counts.spilled < 5
    assert "ledger.spill_bytes" in caplog.text


async def test_a_folder_that_cannot_be_made_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a file is in the way")
    desk = Desk(tmp_path / "ledger")
    await desk.turn(outcome("a"))
    assert desk.writer.counts == Counts(lost=1)
    await desk.turn(outcome("b"), later_s=1.0)
    await desk.turn(outcome("c"))
    assert stored(desk) == ["c"]


async def test_what_others_put_aside_is_fetched(desk: Desk) -> None:
    await desk.turn(later_s=1.0)
    desk.overflow.append([Ended(outcome("a"))])
    await desk.turn(outcome("b"))
    assert stored(desk) == ["a", "b"]


async def test_texts_are_black_before_they_are_in_any_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path, redact=("secret",))
    await desk.turn(Texts("a", "my secret", "the secret", AT_S))
    desk.writer._spill.finish()
    assert b"secret" not in waiting(tmp_path)[0].read_bytes()
    await desk.turn(later_s=1.0)
    assert desk.store.texts == ["my █████"]


async def test_old_entries_are_swept_now_and_then_and_oftener_while_there_are_more(
    desk: Desk,
) -> None:
    await desk.turn(later_s=1.0)
    desk.store.stale = 3
    await desk.turn(later_s=600.0)
    for _ in range(4):
        await desk.turn(later_s=0.25)
    assert len(desk.store.sweeps) == 3
    await desk.turn(later_s=599.0)
    assert len(desk.store.sweeps) == 3
    await desk.turn(later_s=1.0)
    assert len(desk.store.sweeps) == 4
    assert desk.store.sweeps[-1] == desk.clock.wall()


async def test_a_process_that_ends_at_once_opens_the_database_for_its_entries(desk: Desk) -> None:
    await desk.turn(outcome("a"))
    desk.writer.finish()
    assert stored(desk) == ["a"]
    assert desk.store.closed == 1


async def test_a_process_that_ends_at_once_stores_what_a_killed_one_left(tmp_path: Path) -> None:
    killed, desk = Desk(tmp_path), Desk(tmp_path)
    await killed.turn(outcome("a"))
    adopt(tmp_path)
    desk.writer.finish()
    assert stored(desk) == ["a"]


async def test_a_process_that_ends_with_nothing_to_store_opens_no_database(desk: Desk) -> None:
    desk.writer.finish()
    assert desk.store.opened == 0


async def test_a_process_that_ends_as_the_database_opens_waits_for_it(desk: Desk) -> None:
    desk.store.hangs = True
    await desk.turn(outcome("a"), later_s=1.0)
    desk.store.arrive()
    desk.writer.finish()
    assert (stored(desk), desk.store.closed) == (["a"], 1)


async def test_a_process_that_ends_while_the_database_is_away_leaves_a_file(desk: Desk) -> None:
    desk.store.away = True
    await desk.turn(outcome("a"), later_s=1.0)
    desk.store.away = False
    desk.writer.finish()
    assert stored(desk) == []
    assert len(waiting(desk.folder)) == 1
