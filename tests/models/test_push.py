from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from reshore.errors import DigestMismatch, SourceError, UnknownModel
from reshore.models.create import create
from reshore.models.progress import Progress
from reshore.models.pull import Wishes, pull
from reshore.models.push import push
from reshore.models.recipe import Recipe
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import Parts, Patience
from reshore.models.store import Store
from tests.models.sources.scripted_registry import Reply
from tests.models.sources.taking_registry import TakingRegistry
from tests.models.sources.test_registry import PromptClock
from tests.models.tiny import write_tiny_gguf


@pytest.fixture
async def registry() -> AsyncIterator[TakingRegistry]:
    async with TakingRegistry().serve() as running:
        yield running


class Pusher:
    """A store with one model named for the registry, and `push` with what tests set the same."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.clock = PromptClock()
        self.events: list[Progress] = []
        self.parts = Parts()

    async def __call__(self) -> None:
        await push(
            self.store,
            "http://" + self.name,
            Manner(
                on_progress=self.events.append,
                clock=self.clock,
                patience=Patience(connect_s=2, stall_s=2),
                parts=self.parts,
            ),
            insecure=True,
        )

    @property
    def model(self) -> str:
        return self.store.get(self.name).manifest.layers[0].digest


@pytest.fixture
async def give(tmp_path: Path, registry: TakingRegistry) -> Pusher:
    store = Store(tmp_path / "models")
    body = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    files = {"m.gguf": store.blobs.add([body], "").digest}
    name = f"{registry.host}/me/mine:v1"
    await create(store, name, Recipe(files=files, system="Be brief."))
    return Pusher(store, name)


async def test_what_was_pushed_can_be_pulled_with_the_same_digest(
    registry: TakingRegistry, give: Pusher
) -> None:
    await give()
    assert list(registry.manifests) == ["me/mine:v1"]
    installed = give.store.get(give.name)
    assert registry.manifests["me/mine:v1"] == give.store.manifest_bytes(installed)
    assert set(registry.blobs) == set(installed.manifest.blobs)


async def test_the_events_are_ollamas(give: Pusher) -> None:
    await give()
    statuses = list(dict.fromkeys(event.status for event in give.events))
    assert statuses[0] == "retrieving manifest"
    assert f"pushing {give.model[7:19]}" in statuses
    assert statuses[-2:] == ["pushing manifest", "success"]
    last = [event for event in give.events if event.digest == give.model][-1]
    assert last.completed == last.total


async def test_what_the_registry_has_is_not_sent(registry: TakingRegistry, give: Pusher) -> None:
    await give()
    registry.seen.clear()
    await give()
    assert {method for method, _, _ in registry.seen} == {"HEAD", "PUT"}


async def test_large_blobs_go_up_in_parts_in_order(registry: TakingRegistry, give: Pusher) -> None:
    give.parts = Parts(at_once=4, least_bytes=2000, most_bytes=2000)
    await give()
    size = give.store.blob(give.model).stat().st_size
    spans = [span for method, _, span in registry.seen if method == "PATCH"]
    wanted = [f"{start}-{min(start + 2000, size) - 1}" for start in range(0, size, 2000)]
    assert [span for span in spans if span in wanted][: len(wanted)] == wanted
    assert registry.blobs[give.model] == give.store.blob(give.model).read_bytes()


async def test_blobs_of_the_parent_are_mounted(registry: TakingRegistry, give: Pusher) -> None:
    parent = give.store.get(give.name)
    body = give.store.blob(give.model).read_bytes()
    registry.mountable[("me/mine", give.model)] = body
    child = f"{registry.host}/me/child:v1"
    await create(give.store, child, Recipe(base=str(parent.name), system="Other."))
    give.name = child
    await give()
    assert "me/child:v1" in registry.manifests
    assert len(registry.uploads) == len(registry.blobs) - 1


async def test_an_upload_that_breaks_is_begun_anew(registry: TakingRegistry, give: Pusher) -> None:
    broken = iter(["once"])

    async def fault(request: web.Request) -> Reply | None:
        if request.method == "PATCH" and next(broken, None):
            return web.Response(status=503, text="later")
        return None

    registry.fault = fault
    await give()
    assert give.clock.slept == [0.5]
    assert "me/mine:v1" in registry.manifests


async def test_a_registry_that_always_fails_is_given_up(
    registry: TakingRegistry, give: Pusher
) -> None:
    async def fault(request: web.Request) -> Reply | None:
        return web.Response(status=500, text="no") if request.method == "PATCH" else None

    registry.fault = fault
    with pytest.raises(SourceError, match=r"failed 7 times.*Push again"):
        await give()
    assert registry.manifests == {}


@pytest.mark.parametrize("status", [400, 401, 403, 413])
async def test_a_refusal_is_an_error_at_once(
    registry: TakingRegistry, give: Pusher, status: int
) -> None:
    async def fault(request: web.Request) -> Reply | None:
        return web.Response(status=status, text="no") if request.method == "POST" else None

    registry.fault = fault
    with pytest.raises(SourceError, match=str(status)):
        await give()
    assert give.clock.slept == []


async def test_a_token_is_fetched_from_the_registry_itself(
    registry: TakingRegistry, give: Pusher
) -> None:
    async def fault(request: web.Request) -> Reply | None:
        if request.path == "/token":
            return web.json_response({"token": "t0k3n"})
        if request.headers.get("Authorization") == "Bearer t0k3n":
            return None
        challenge = f'Bearer realm="{registry.url}/token",service="s",scope="push"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    registry.fault = fault
    await give()
    assert "me/mine:v1" in registry.manifests


async def test_a_token_is_asked_for_at_no_other_host(
    registry: TakingRegistry, give: Pusher
) -> None:
    async with TakingRegistry().serve() as other:

        async def fault(request: web.Request) -> Reply | None:
            challenge = f'Bearer realm="{other.url}/token",service="s",scope="push"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})

        registry.fault = fault
        with pytest.raises(SourceError, match="only taken from itself"):
            await give()
        assert other.seen == []
    assert registry.blobs == {}


async def test_an_upload_is_sent_to_no_other_host(registry: TakingRegistry, give: Pusher) -> None:
    async with TakingRegistry().serve() as other:

        async def fault(request: web.Request) -> Reply | None:
            if request.method != "POST":
                return None
            return web.Response(status=202, headers={"Location": f"{other.url}/uploads/0/0"})

        registry.fault = fault
        with pytest.raises(SourceError, match="to another host"):
            await give()
        assert other.seen == []


async def test_a_model_of_a_store_that_is_only_read_can_be_pushed(
    registry: TakingRegistry, give: Pusher, tmp_path: Path
) -> None:
    give.store = Store(tmp_path / "own", [give.store.root])
    await give()
    assert "me/mine:v1" in registry.manifests


async def test_a_damaged_blob_is_not_sent(registry: TakingRegistry, give: Pusher) -> None:
    give.store.blob(give.model).write_bytes(b"rubbish")
    with pytest.raises(DigestMismatch):
        await give()
    assert registry.manifests == {}


async def test_cancelling_sends_no_manifest(registry: TakingRegistry, give: Pusher) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def fault(request: web.Request) -> Reply | None:
        if request.method == "PATCH":
            begun.set()
            await never.wait()
        return None

    registry.fault = fault
    task = asyncio.create_task(give())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert registry.manifests == {}


async def test_the_library_is_not_pushed_to(give: Pusher) -> None:
    give.store.copy(give.name, "mine")
    with pytest.raises(SourceError, match="reshore cp mine:latest HOST/NAMESPACE"):
        await push(give.store, "mine")


async def test_plain_http_must_be_allowed(give: Pusher) -> None:
    with pytest.raises(SourceError, match="insecure protocol http"):
        await push(give.store, "http://" + give.name)


async def test_a_model_must_be_installed(registry: TakingRegistry, give: Pusher) -> None:
    with pytest.raises(UnknownModel):
        await push(give.store, f"{registry.host}/me/none", insecure=True)


async def test_a_round_trip_through_a_registry(
    registry: TakingRegistry, give: Pusher, tmp_path: Path
) -> None:
    await give()

    async def serve(request: web.Request) -> Reply | None:
        if request.method != "GET":
            return None
        last = request.path.rpartition("/")[2]
        body = registry.manifests["me/mine:v1"] if last == "v1" else registry.blobs[last]
        return web.Response(body=body)

    registry.fault = serve
    there = Store(tmp_path / "there")
    await pull(there, "http://" + give.name, Wishes(insecure=True))
    assert there.get(give.name).digest == give.store.get(give.name).digest
    assert there.resolve(give.name).system == "Be brief."
