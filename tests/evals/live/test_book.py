"""Evidence in memory, and when it is written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path

from reshore.evals.live.book import SAVE_S, Book
from reshore.evals.live.keeping import Keeping
from reshore.testing import MovableClock
from reshore.types import Target
from tests.evals.live.made import CLOUD, LOCAL, OTHER, paired


class Scene:
    def __init__(self, folder: Path, keeping: Keeping | None = None) -> None:
        self.folder = folder
        self.clock = MovableClock()
        self.book = Book(keeping or Keeping(folder), self.clock)

    def pair(self, route: str = "gpt-4o", local: Target = LOCAL) -> None:
        evidence = self.book.open(route, local, CLOUD)
        evidence.pair(paired(verdict="win"))
        self.book.touch(evidence)

    def kept(self) -> dict[str, int]:
        """Wins by route, as they are on the disk."""
        return {each.route: each.wins for each in Keeping(self.folder).load()}

    async def later(self) -> None:
        """Until what has changed is on the disk."""
        await self.clock.advance(SAVE_S)
        writing = self.book._writing
        assert writing is not None
        await asyncio.wait([writing])


async def test_what_changes_is_written_together_and_soon(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.pair()
    scene.pair()
    await scene.clock.advance(SAVE_S - 0.1)
    assert scene.kept() == {}
    await scene.later()
    assert scene.kept() == {"gpt-4o": 2}
    scene.pair()
    await scene.book.aclose()
    assert scene.kept() == {"gpt-4o": 3}


async def test_another_process_goes_on_where_one_ended(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.pair()
    await scene.book.aclose()
    again = Scene(tmp_path)
    await again.book.load()
    again.pair()
    await again.book.aclose()
    assert again.kept() == {"gpt-4o": 2}


async def test_another_model_begins_with_nothing_and_is_the_latest(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.pair()
    await scene.clock.advance(1)
    scene.pair(local=OTHER)
    latest = scene.book.latest("gpt-4o")
    assert latest is not None
    assert (latest.local, latest.wins) == (OTHER, 1)
    assert [each.local for each in scene.book.all()] == [OTHER, LOCAL]
    assert scene.book.current() == [latest]
    await scene.book.aclose()


async def test_of_a_route_with_ever_other_models_the_last_are_kept(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.pair("other")
    for number in range(20):
        await scene.clock.advance(1)
        scene.pair(local=Target(side="local", backend="local", model=f"m{number}"))
    names = [each.local.model for each in scene.book.all() if each.route == "gpt-4o"]
    assert names == [f"m{number}" for number in range(19, 11, -1)]
    await scene.book.aclose()
    assert len(Keeping(tmp_path).load()) == 9


async def test_what_is_forgotten_is_no_more_on_the_disk(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.pair()
    scene.pair("other")
    await scene.later()
    assert scene.book.forget("gpt-4o") == 1
    assert scene.book.forget("gpt-4o") == 0
    assert scene.book.latest("gpt-4o") is None
    await scene.later()
    assert scene.kept() == {"other": 1}
    await scene.book.aclose()


async def test_what_is_known_again_after_it_was_forgotten_stays(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.pair()
    await scene.later()
    scene.book.forget("gpt-4o")
    scene.pair()
    await scene.book.aclose()
    assert scene.kept() == {"gpt-4o": 1}


async def test_a_disk_that_fails_is_tried_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "evaluation")
    scene.folder.write_text("a file stands where the folder should be")
    scene.pair()
    await scene.later()
    scene.folder.unlink()
    await scene.later()
    assert scene.kept() == {"gpt-4o": 1}
    await scene.book.aclose()


class FailsOnce(Keeping):
    """Its first write waits until it may fail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.may_fail = threading.Event(), threading.Event()

    def save(self, files: Mapping[str, bytes]) -> None:
        if not self.begun.is_set():
            self.begun.set()
            self.may_fail.wait()
            raise OSError("the disk is full")
        super().save(files)


async def test_what_fails_to_be_written_at_the_end_is_written_once_more(tmp_path: Path) -> None:
    keeping = FailsOnce(tmp_path)
    scene = Scene(tmp_path, keeping)
    scene.pair()
    await scene.clock.advance(SAVE_S)
    await asyncio.to_thread(keeping.begun.wait)
    closing = asyncio.create_task(scene.book.aclose())
    await asyncio.sleep(0)
    keeping.may_fail.set()
    await closing
    assert scene.kept() == {"gpt-4o": 1}


async def test_nothing_runs_when_nothing_changes(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.pair()
    await scene.later()
    await scene.clock.advance(SAVE_S)
    assert scene.book._saving is None
    await scene.book.aclose()
