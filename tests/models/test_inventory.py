"""What is installed, as routing knows it."""

import asyncio
from pathlib import Path

import pytest

from reshore.models.inventory import Inventory
from reshore.models.store import Store
from reshore.models.verified import Identity
from reshore.testing import MovableClock
from tests.server.harness import install


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    install(tmp_path, "tiny:latest", chat_template="{{ tools }}")
    return Store(tmp_path / "models")


async def test_names_are_known_in_every_spelling(store: Store, clock: MovableClock) -> None:
    inventory = Inventory(store, clock, describes=False)
    assert inventory.stale
    await inventory.refresh()
    assert not inventory.stale
    for name in ("tiny", "tiny:latest", "TINY", "library/tiny", "registry.ollama.ai/library/tiny"):
        assert inventory.has(name), name
    for name in ("tiny:other", "x/tiny", "", "no/such/name/at/all", "ft:gpt-4o-mini:org::id"):
        assert not inventory.has(name), name


async def test_what_this_process_changes_is_noticed_at_once(
    store: Store, clock: MovableClock
) -> None:
    inventory = Inventory(store, clock, describes=False)
    await inventory.refresh()
    store.copy("tiny", "second")
    assert inventory.stale
    await inventory.refresh()
    assert inventory.has("second")
    store.remove("second")
    assert inventory.stale
    await inventory.refresh()
    assert not inventory.has("second")


async def test_what_others_change_is_noticed_after_a_moment(
    store: Store, clock: MovableClock, tmp_path: Path
) -> None:
    inventory = Inventory(store, clock, describes=False)
    await inventory.refresh()
    install(tmp_path, "theirs:latest")
    assert not inventory.stale
    await clock.advance(2)
    assert inventory.stale
    await inventory.refresh()
    assert inventory.has("theirs")


class Counting(Store):
    """Counts how often the disk is looked at."""

    looks = 0

    def stamps(self) -> dict[str, Identity]:
        self.looks += 1
        return super().stamps()


async def test_many_who_ask_at_once_wait_for_one_look(store: Store, clock: MovableClock) -> None:
    counting = Counting(store.root)
    inventory = Inventory(counting, clock, describes=False)
    await asyncio.gather(*(inventory.refresh() for _ in range(20)))
    assert counting.looks == 1
    assert inventory.has("tiny")


async def test_capabilities_are_read_beside_the_requests(store: Store, clock: MovableClock) -> None:
    inventory = Inventory(store, clock)
    await inventory.refresh()
    needs = frozenset({"tools", "vision"})
    assert inventory.lacks("not-here", needs) == frozenset()
    await inventory.aclose()
    assert inventory.lacks("tiny", needs) == {"vision"}
    assert not inventory.embeds("tiny")


async def test_an_embedding_model_is_known_as_one(
    store: Store, clock: MovableClock, tmp_path: Path
) -> None:
    install(tmp_path, "embed:latest", architecture="nomic-bert")
    inventory = Inventory(store, clock)
    await inventory.refresh()
    await inventory.aclose()
    assert inventory.embeds("embed")


async def test_ours_stands_before_what_is_only_read(tmp_path: Path, clock: MovableClock) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    install(tmp_path / "ours", "tiny:latest")
    install(tmp_path / "theirs", "tiny:latest")
    install(tmp_path / "theirs", "other:latest")
    store = Store(tmp_path / "ours" / "models", [tmp_path / "theirs" / "models"])
    inventory = Inventory(store, clock, describes=False)
    await inventory.refresh()
    assert inventory.has("tiny")
    assert inventory.has("other")
    assert len(store.stamps()) == 2


async def test_a_cancelled_wait_ends_nobody_elses(store: Store, clock: MovableClock) -> None:
    inventory = Inventory(store, clock, describes=False)
    first = asyncio.create_task(inventory.refresh())
    second = asyncio.create_task(inventory.refresh())
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert inventory.has("tiny")
