"""Files of entries that wait."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from reshore.ledger.entry import Ended, Late, Pairing, PairTexts, Texts
from reshore.ledger.spill import Spill, adopt, pieces, waiting
from tests.ledger.samples import AT_S, attempt, outcome, paired

MOST = 1_000_000
ENTRIES = [
    Ended(outcome("a")),
    Late("a", 70_000, attempt(role="shadow"), AT_S, "gpt-4o-mini"),
    Texts("a", "hello", "hi", AT_S),
    Pairing(paired(), "0a1b2c3d", PairTexts(prompt="hello", local="hi", cloud="ho")),
]


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    spill = Spill(tmp_path, MOST)
    assert spill.append(ENTRIES) == 0
    assert spill.finish()
    (path,) = waiting(tmp_path)
    (piece,) = pieces(path, 0, 100)
    assert piece.entries == ENTRIES
    assert (piece.end, piece.damaged) == (path.stat().st_size, 0)


@given(count=st.integers(0, 20), most=st.integers(1, 7), torn=st.booleans())
def test_pieces_are_gone_on_with_where_one_ended(
    tmp_path_factory, count: int, most: int, torn: bool
) -> None:
    folder = tmp_path_factory.mktemp("spill")
    spill = Spill(folder, MOST)
    spill.append([*(Ended(outcome(f"req_{n}")) for n in range(count)), ENTRIES[2]])
    spill.finish()
    (path,) = waiting(folder)
    if torn:
        path.write_bytes(path.read_bytes()[:-7])
    found, position, damaged = [], 0, 0
    while piece := next(pieces(path, position, most), None):
        found += piece.entries
        position, damaged = piece.end, damaged + piece.damaged
    assert len(found) == count + (not torn)
    assert damaged == torn
    assert position == path.stat().st_size


def test_a_file_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    spill = Spill(tmp_path, MOST)
    spill.append(ENTRIES)
    assert waiting(tmp_path) == []
    assert spill.finish()
    assert not spill.finish()
    assert len(waiting(tmp_path)) == 1
    spill.append(ENTRIES)
    spill.finish()
    assert len(waiting(tmp_path)) == 2


def test_what_a_process_left_open_is_found_by_the_next(tmp_path: Path) -> None:
    Spill(tmp_path, MOST).append(ENTRIES)
    adopt(tmp_path)
    (path,) = waiting(tmp_path)
    assert [piece.entries for piece in pieces(path, 0, 100)] == [ENTRIES]


def test_files_have_a_bound_together(tmp_path: Path) -> None:
    first = Spill(tmp_path, 2000)
    assert first.append(Ended(outcome(f"req_{n}")) for n in range(100)) > 90
    first.finish()
    assert Spill(tmp_path, 2000).append([Ended(outcome("x"))]) == 1
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000


def test_others_cannot_read_what_waits(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "ledger", MOST)
    spill.append(ENTRIES)
    spill.finish()
    assert (tmp_path / "ledger").stat().st_mode & 0o077 == 0
    assert waiting(tmp_path / "ledger")[0].stat().st_mode & 0o077 == 0


def test_a_line_of_another_release_is_counted_and_skipped(tmp_path: Path) -> None:
    spill = Spill(tmp_path, MOST)
    spill.append(ENTRIES)
    spill.finish()
    (path,) = waiting(tmp_path)
    path.write_bytes(b'{"type":"Unheard","x":1}\n' + path.read_bytes())
    (piece,) = pieces(path, 0, 100)
    assert (piece.entries, piece.damaged) == (ENTRIES, 1)
