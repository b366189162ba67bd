from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reshore.errors import DigestMismatch, DiskFull, StoreError
from reshore.models.partial import Busy, Partial

BODY = bytes(range(256)) * 1000
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_blob_gets_its_name(tmp_path: Path) -> None:
    with Partial(tmp_path, DIGEST) as partial:
        partial.write(BODY)
        partial.commit()
        assert partial.done
    assert names(tmp_path) == [DIGEST.replace(":", "-")]
    assert partial.target.read_bytes() == BODY


@pytest.mark.parametrize("cut", [1, 1000, len(BODY) - 1, len(BODY)])
def test_what_was_cut_goes_on_where_it_ended(tmp_path: Path, cut: int) -> None:
    with Partial(tmp_path, DIGEST) as partial:
        partial.write(BODY[:cut])
    assert names(tmp_path) == [DIGEST.replace(":", "-") + "-partial"]
    with Partial(tmp_path, DIGEST) as partial:
        assert partial.length == cut
        partial.write(BODY[cut:])
        partial.commit()
    assert partial.target.read_bytes() == BODY


def test_wrong_bytes_never_get_the_name_and_are_removed(tmp_path: Path) -> None:
    with Partial(tmp_path, DIGEST) as partial:
        partial.write(b"x" + BODY[1:])
        with pytest.raises(DigestMismatch) as caught:
            partial.commit()
    assert caught.value.want == DIGEST
    assert caught.value.got in str(caught.value)
    assert names(tmp_path) == []


def test_restart_forgets_what_arrived(tmp_path: Path) -> None:
    with Partial(tmp_path, DIGEST) as partial:
        partial.write(b"rubbish")
        partial.restart()
        partial.write(BODY)
        partial.commit()
    assert partial.target.read_bytes() == BODY


def test_nothing_is_left_of_a_transfer_that_never_began(tmp_path: Path) -> None:
    with Partial(tmp_path, DIGEST):
        pass
    assert names(tmp_path) == []


def test_a_second_writer_is_told_to_wait_and_then_finds_the_work_done(tmp_path: Path) -> None:
    with Partial(tmp_path, DIGEST) as first:
        with pytest.raises(Busy), Partial(tmp_path, DIGEST):
            pass
        first.write(BODY)
        first.commit()
    with Partial(tmp_path, DIGEST) as second:
        assert second.done
    assert names(tmp_path) == [DIGEST.replace(":", "-")]


def test_a_full_disk_gives_the_space_back(tmp_path: Path) -> None:
    """A file size limit stands for the full disk: the write fails half-way, as there."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(DiskFull, match="no space left"), Partial(tmp_path, DIGEST) as partial:
            partial.write(BODY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert names(tmp_path) == []


def test_a_link_in_the_place_of_the_partial_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "blobs"
    folder.mkdir()
    Partial(folder, DIGEST).path.symlink_to(victim)
    with pytest.raises(StoreError) as caught, Partial(folder, DIGEST):
        pass
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ELOOP
    assert victim.read_bytes() == b"precious"


def test_a_writer_that_is_killed_leaves_a_partial_that_can_be_resumed(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom reshore.models.partial import Partial\n"
        "with Partial(Path(sys.argv[1]), sys.argv[2]) as partial:\n"
        "    partial.write(bytes(range(256)) * 500)\n"
        "    print('written', flush=True)\n    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), DIGEST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"written\n"
        with pytest.raises(Busy), Partial(tmp_path, DIGEST):
            pass
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with Partial(tmp_path, DIGEST) as partial:
        assert partial.length == 128_000
        partial.write(BODY[128_000:])
        partial.commit()
    assert partial.target.read_bytes() == BODY


def test_parts_may_arrive_in_any_order(tmp_path: Path) -> None:
    with Partial(tmp_path, DIGEST) as partial:
        for start in (160_000, 0, 80_000):
            partial.write_at(start, BODY[start : start + 80_000])
        assert partial.missing(len(BODY)) == ((240_000, len(BODY)),)
        partial.write_at(240_000, BODY[240_000:])
        partial.commit()
    assert partial.target.read_bytes() == BODY
    assert names(tmp_path) == [partial.target.name]


def test_holes_are_remembered(tmp_path: Path) -> None:
    with Partial(tmp_path, DIGEST) as partial:
        partial.write_at(1000, BODY[1000:3000])
        partial.write_at(0, BODY[:10])
    with Partial(tmp_path, DIGEST) as partial:
        assert partial.length == 2010
        assert partial.reached(1000) == 3000
        assert partial.missing(4000) == ((10, 1000), (3000, 4000))
        partial.write_at(10, BODY[10:1000])
        partial.write_at(3000, BODY[3000:])
        partial.commit()
    assert partial.target.read_bytes() == BODY


@pytest.mark.parametrize("note", [b"", b"[[0,1],", b"[[0,99999999]]", b"[[5,2]]", b"[[-1,2]]"])
def test_a_note_that_cannot_be_true_is_worth_nothing(tmp_path: Path, note: bytes) -> None:
    with Partial(tmp_path, DIGEST) as partial:
        partial.write_at(1000, BODY[1000:3000])
    (tmp_path / f"{partial.path.name}-spans").write_bytes(note)
    with Partial(tmp_path, DIGEST) as partial:
        assert partial.missing(len(BODY)) == ((0, len(BODY)),)


def test_a_writer_that_is_killed_between_parts_loses_no_more_than_was_not_noted(
    tmp_path: Path,
) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom reshore.models.partial import Partial\n"
        "with Partial(Path(sys.argv[1]), sys.argv[2]) as partial:\n"
        "    partial.write(bytes(range(256)) * 10)\n"
        "    partial.write_at(100_000, b'x' * 1000)\n"
        "    print('written', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), DIGEST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"written\n"
        child.kill()
    with Partial(tmp_path, DIGEST) as partial:
        assert partial.missing(len(BODY)) == ((2560, len(BODY)),)
