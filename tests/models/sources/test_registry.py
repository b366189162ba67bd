from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import ModelConfig
from reshore.errors import BadModelFile, DigestMismatch, DiskFull, SourceError, UnfitSource
from reshore.models.manifest import (
    ADAPTER_TYPE,
    CONFIG_TYPE,
    LICENSE_TYPE,
    MESSAGES_TYPE,
    MODEL_TYPE,
    PARAMS_TYPE,
    TENSOR_TYPE,
)
from reshore.models.progress import Progress
from reshore.models.pull import Wishes, pull
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import Parts, Patience, Unreached
from reshore.models.store import Store
from tests.models.sources.scripted_registry import (
    Reply,
    ScriptedRegistry,
    asked_range,
    cut_after,
    listening,
    sha256,
)
from tests.models.tiny import write_tiny_gguf

PATIENCE = Patience(connect_s=2.0, stall_s=0.3)


class PromptClock:
    """Sleeps as long as one turn of the event loop, and remembers how long it was asked to."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def wall(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home" / "models")


@pytest.fixture
def clock() -> PromptClock:
    return PromptClock()


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[ScriptedRegistry]:
    model = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    async with ScriptedRegistry(model).serve() as running:
        yield running


class Puller:
    """`pull` with everything that tests set the same."""

    def __init__(self, store: Store, clock: PromptClock) -> None:
        self.store, self.clock = store, clock
        self.events: list[Progress] = []
        self.parts = Parts()
        self.patience = PATIENCE
        self.sees_blob = asyncio.Event()

    def note(self, event: Progress) -> None:
        self.events.append(event)
        if event.total is not None and event.total > 1000:
            self.sees_blob.set()

    async def __call__(self, registry: ScriptedRegistry) -> None:
        await pull(
            self.store,
            registry.name,
            Wishes(insecure=True),
            Manner(
                clock=self.clock,
                on_progress=self.note,
                patience=self.patience,
                parts=self.parts,
            ),
        )


@pytest.fixture
def fetch(store: Store, clock: PromptClock) -> Puller:
    return Puller(store, clock)


def left(store: Store) -> set[str]:
    """Names of all files but the locks and the cache."""
    own = {".lock", ".verified.lock", "verified.json"}
    return {path.name for path in store.root.rglob("*") if path.is_file()} - own


async def test_a_pull_installs_the_registrys_own_manifest(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    await fetch(registry)
    name = registry.url.removeprefix("http://") + "/ns/model:tag"
    found = store.resolve(name)
    assert found.name == name
    assert "sha256:" + found.digest == sha256(registry.manifest)
    assert found.model_path.read_bytes() == registry.model
    assert store.get(name).source.startswith("registry:127.0.0.1")


async def test_the_events_are_ollamas(registry: ScriptedRegistry, fetch: Puller) -> None:
    await fetch(registry)
    statuses = [event.status for event in fetch.events]
    assert statuses[0] == "pulling manifest"
    assert statuses[-2:] == ["writing manifest", "success"]
    assert "verifying sha256 digest" in statuses
    last = [event for event in fetch.events if event.digest == registry.digest][-2]
    assert last.status == f"pulling {registry.digest[7:19]}"
    assert (last.completed, last.total) == (len(registry.model), len(registry.model))


async def test_what_is_here_is_not_fetched_again(registry: ScriptedRegistry, fetch: Puller) -> None:
    await fetch(registry)
    registry.seen.clear()
    await fetch(registry)
    assert [path for path, _ in registry.seen] == ["/v2/ns/model/manifests/tag"]


async def test_a_damaged_blob_is_fetched_again(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    await fetch(registry)
    store.blob(registry.digest).write_bytes(b"rubbish")
    await fetch(registry)
    assert store.blob(registry.digest).read_bytes() == registry.model


@pytest.mark.parametrize("count", [0, 1, 100, 3000, -1])
async def test_a_transfer_that_is_cut_goes_on_from_there(
    store: Store, registry: ScriptedRegistry, fetch: Puller, count: int
) -> None:
    count %= len(registry.model)
    cuts = iter([count])

    async def fault(request: web.Request) -> Reply | None:
        if request.path.endswith(registry.digest) and (cut := next(cuts, None)) is not None:
            return await cut_after(request, registry.model, cut)
        return None

    registry.fault = fault
    await fetch(registry)
    assert registry.ranges == ["", f"bytes={count}-" if count else ""]
    assert store.blob(registry.digest).read_bytes() == registry.model


async def test_a_registry_that_always_cuts_is_given_up_after_the_retries(
    store: Store, registry: ScriptedRegistry, fetch: Puller, clock: PromptClock
) -> None:
    async def fault(request: web.Request) -> Reply | None:
        if request.path.endswith(registry.digest):
            return await cut_after(request, registry.model, 10)
        return None

    registry.fault = fault
    with pytest.raises(SourceError, match=r"gave 70 of .* Pull again to go on"):
        await fetch(registry)
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert store.list() == ()
    registry.fault = None
    await fetch(registry)
    assert registry.ranges[-1] == "bytes=70-"


async def test_a_stalled_transfer_is_opened_again(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    released = asyncio.Event()

    async def fault(request: web.Request) -> Reply | None:
        if not request.path.endswith(registry.digest) or len(registry.ranges) > 1:
            return None
        reply = web.StreamResponse()
        reply.content_length = len(registry.model)
        await reply.prepare(request)
        await reply.write(registry.model[:500])
        await released.wait()
        return reply

    registry.fault = fault
    await fetch(registry)
    released.set()
    assert registry.ranges == ["", "bytes=500-"]
    assert store.blob(registry.digest).read_bytes() == registry.model


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_errors_that_pass_are_tried_again(
    registry: ScriptedRegistry, fetch: Puller, clock: PromptClock, status: int
) -> None:
    async def fault(request: web.Request) -> Reply | None:
        if request.path.endswith(registry.digest) and len(registry.ranges) == 1:
            return web.Response(status=status, text="later")
        return None

    registry.fault = fault
    await fetch(registry)
    assert clock.slept == [0.5]


@pytest.mark.parametrize("status", [400, 403, 404, 410])
async def test_errors_that_stay_are_not_tried_again(
    store: Store, registry: ScriptedRegistry, fetch: Puller, clock: PromptClock, status: int
) -> None:
    async def fault(request: web.Request) -> Reply | None:
        return web.Response(status=status, text="no\r\nway")

    registry.fault = fault
    with pytest.raises(SourceError) as caught:
        await fetch(registry)
    assert "\r" not in str(caught.value)
    assert len(registry.seen) == 1
    assert clock.slept == []
    assert left(store) == set()


async def test_an_ignored_range_starts_from_the_first_byte(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    with store.blobs.partial(registry.digest) as partial:
        partial.write(registry.model[:1000])

    async def fault(request: web.Request) -> Reply | None:
        if request.path.endswith(registry.digest):
            return web.Response(body=registry.model)
        return None

    registry.fault = fault
    await fetch(registry)
    assert registry.ranges == ["bytes=1000-"]
    assert store.blob(registry.digest).read_bytes() == registry.model


async def test_416_starts_from_the_first_byte(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    with store.blobs.partial(registry.digest) as partial:
        partial.write(registry.model[:1000])

    async def fault(request: web.Request) -> Reply | None:
        return web.Response(status=416) if request.headers.get("Range") else None

    registry.fault = fault
    await fetch(registry)
    assert registry.ranges == ["bytes=1000-", ""]


@pytest.mark.parametrize(
    "span", ["bytes 7-{last}/{size}", "bytes */{size}", "", "bytes 99999999999999999999-1/2"]
)
async def test_another_piece_than_was_asked_for_is_not_taken(
    store: Store, registry: ScriptedRegistry, fetch: Puller, span: str
) -> None:
    with store.blobs.partial(registry.digest) as partial:
        partial.write(registry.model[:1000])
    size = len(registry.model)

    async def fault(request: web.Request) -> Reply | None:
        if request.path.endswith(registry.digest) and len(registry.ranges) == 1:
            value = span.format(size=size, last=size - 1)
            return web.Response(
                status=206, body=registry.model[7:], headers={"Content-Range": value}
            )
        return None

    registry.fault = fault
    await fetch(registry)
    assert store.blob(registry.digest).read_bytes() == registry.model


async def test_what_was_left_damaged_is_fetched_anew(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    """A power failure may leave a partial whose end is zeros, or one that is too long."""
    for rubbish in (bytes(1000), bytes(len(registry.model)), bytes(len(registry.model) + 5)):
        with store.blobs.partial(registry.digest) as partial:
            partial.write(rubbish)
        await fetch(registry)
        assert store.blob(registry.digest).read_bytes() == registry.model
        store.remove(str(store.list()[0].name))


async def test_wrong_bytes_are_never_installed(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    wrong = b"x" + registry.model[1:]
    registry.blobs[registry.digest] = wrong
    with pytest.raises(DigestMismatch) as caught:
        await fetch(registry)
    assert (caught.value.want, caught.value.got) == (registry.digest, sha256(wrong))
    assert store.list() == ()
    assert left(store) == set()


@pytest.mark.parametrize("change", [b"", b"x"])
async def test_a_body_of_another_size_is_refused(
    store: Store, registry: ScriptedRegistry, fetch: Puller, change: bytes
) -> None:
    registry.blobs[registry.digest] = (registry.model + change)[: None if change else -1]
    with pytest.raises(SourceError, match="instead of"):
        await fetch(registry)
    assert left(store) == set()


async def test_a_body_without_end_is_refused(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    async def fault(request: web.Request) -> Reply | None:
        if not request.path.endswith(registry.digest):
            return None
        reply = web.StreamResponse()
        await reply.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await reply.write(bytes(65536))
        return reply

    registry.fault = fault
    with pytest.raises(SourceError, match="sends more than"):
        await fetch(registry)
    assert left(store) == set()


async def test_a_compressed_body_is_refused(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    async def fault(request: web.Request) -> Reply | None:
        body = gzip.compress(bytes(10_000_000))
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    registry.fault = fault
    with pytest.raises(SourceError, match="encoding 'gzip'"):
        await fetch(registry)


HOSTILE_MANIFESTS = {
    "no JSON": b"<html>",
    "too long": b"{" + b" " * (1 << 20) + b"}",
    "deep": b"[" * 200_000,
    "empty": b"",
    "list": b"[]",
    "old": b'{"schemaVersion":1}',
    "path": json.dumps(
        {
            "schemaVersion": 2,
            "config": {"mediaType": "", "digest": "sha256:" + "0" * 64, "size": 1},
            "layers": [{"mediaType": MODEL_TYPE, "digest": "sha256:../../../evil", "size": 1}],
        }
    ).encode(),
    "short digest": json.dumps(
        {
            "schemaVersion": 2,
            "config": {"mediaType": "", "digest": "sha256:" + "0" * 63, "size": 1},
            "layers": [],
        }
    ).encode(),
    "negative size": json.dumps(
        {
            "schemaVersion": 2,
            "config": {"mediaType": "", "digest": "sha256:" + "0" * 64, "size": -1},
            "layers": [],
        }
    ).encode(),
    "no model": json.dumps(
        {
            "schemaVersion": 2,
            "config": {"mediaType": "", "digest": "sha256:" + "0" * 64, "size": 1},
            "layers": [],
        }
    ).encode(),
}


@pytest.mark.parametrize("case", HOSTILE_MANIFESTS)
async def test_a_hostile_manifest_is_refused_before_anything_is_fetched(
    store: Store, registry: ScriptedRegistry, fetch: Puller, case: str
) -> None:
    registry.manifest = HOSTILE_MANIFESTS[case]
    with pytest.raises((BadModelFile, SourceError)):
        await fetch(registry)
    assert len(registry.seen) == 1
    assert left(store) == set()


async def test_a_model_with_a_hostile_header_is_removed_again(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    body = b"GGUF\3\0\0\0" + b"\xff" * 16
    config = b"{}"
    registry.blobs |= {sha256(body): body, sha256(config): config}
    registry.manifest = registry.manifest_of((CONFIG_TYPE, config), (MODEL_TYPE, body))
    with pytest.raises(BadModelFile, match="cannot be used as a model"):
        await fetch(registry)
    assert left(store) == set()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PARAMS_TYPE, b"{not json"),
        (PARAMS_TYPE, b'{"num_predict":"128"}'),
        (MESSAGES_TYPE, b'{"a":1}'),
        (ADAPTER_TYPE, b"junk"),
    ],
)
async def test_a_model_with_a_damaged_small_layer_is_removed_again(
    store: Store, registry: ScriptedRegistry, fetch: Puller, kind: str, body: bytes
) -> None:
    registry.add_layer(kind, body)
    with pytest.raises(BadModelFile):
        await fetch(registry)
    assert left(store) == set()


@pytest.mark.parametrize(
    "reply", [{"status": 404}, {"status": 302, "headers": {"Location": "ftp://h/x"}}]
)
async def test_a_registry_that_does_not_have_what_it_lists_leaves_nothing(
    store: Store, registry: ScriptedRegistry, fetch: Puller, reply: dict[str, Any]
) -> None:
    licence = b"free"

    async def fault(request: web.Request) -> Reply | None:
        return web.Response(**reply) if request.path.endswith(sha256(licence)) else None

    registry.fault = fault
    registry.add_layer(LICENSE_TYPE, licence)
    with pytest.raises(SourceError):
        await fetch(registry)
    assert left(store) == set()


class TestParts:
    """A part of 1000 bytes, four at once, for a model of some 5 kB."""

    @pytest.fixture(autouse=True)
    def small_parts(self, fetch: Puller) -> None:
        fetch.parts = Parts(at_once=4, least_bytes=1000, most_bytes=1000)

    async def test_a_large_blob_comes_in_ranges_side_by_side(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        size = len(registry.model)
        assert size > 4000
        running, most = 0, 0
        four = asyncio.Event()

        async def fault(request: web.Request) -> Reply | None:
            nonlocal running, most
            if not request.path.endswith(registry.digest):
                return None
            running += 1
            most = max(most, running)
            if running == 4:
                four.set()
            await four.wait()
            running -= 1
            return None

        registry.fault = fault
        await fetch(registry)
        assert most == 4
        starts = range(0, size, 1000)
        assert set(registry.ranges) == {
            f"bytes={start}-{start + 999 if start + 1000 < size else ''}" for start in starts
        }
        assert store.blob(registry.digest).read_bytes() == registry.model
        totals = [e.completed for e in fetch.events if e.digest == registry.digest and e.total]
        assert totals == sorted(totals)
        assert totals[-1] == size

    @pytest.mark.parametrize("count", [0, 1, 500, 999])
    async def test_every_part_that_is_cut_goes_on_from_there(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller, count: int
    ) -> None:
        cut: set[str] = set()

        async def fault(request: web.Request) -> Reply | None:
            asked = request.headers.get("Range", "").partition("-")[0]
            if not request.path.endswith(registry.digest) or int(asked[6:]) % 1000 or asked in cut:
                return None
            cut.add(asked)
            return await cut_after(request, registry.model, count)

        registry.fault = fault
        await fetch(registry)
        assert len(cut) == -(-len(registry.model) // 1000)
        assert store.blob(registry.digest).read_bytes() == registry.model

    async def test_a_pull_that_gave_up_goes_on_with_what_is_missing(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        async def fault(request: web.Request) -> Reply | None:
            if request.headers.get("Range", "").startswith("bytes=2000-"):
                return await cut_after(request, registry.model, 0)
            return None

        registry.fault = fault
        with pytest.raises(SourceError, match="Pull again to go on"):
            await fetch(registry)
        assert store.list() == ()
        there = store.blobs.partial(registry.digest)
        with there:
            missing = there.missing(len(registry.model))
            arrived = there.length
        assert (2000, 3000) in missing or missing[0][0] <= 2000
        assert arrived > 0
        registry.fault = None
        registry.seen.clear()
        await fetch(registry)
        fetched = sum(end - start for start, end in missing)
        assert arrived + fetched == len(registry.model)
        assert all(not asked.startswith("bytes=0-") for asked in registry.ranges)
        assert store.blob(registry.digest).read_bytes() == registry.model

    async def test_a_host_without_ranges_sends_one_stream(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        async def fault(request: web.Request) -> Reply | None:
            if request.path.endswith(registry.digest):
                return web.Response(body=registry.model)
            return None

        registry.fault = fault
        await fetch(registry)
        assert registry.ranges[-1] == ""
        assert store.blob(registry.digest).read_bytes() == registry.model

    async def test_wrong_bytes_in_one_part_leave_nothing(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        wrong = registry.model[:2500] + b"?" + registry.model[2501:]
        registry.blobs[registry.digest] = wrong
        with pytest.raises(DigestMismatch):
            await fetch(registry)
        assert left(store) == set()

    async def test_a_part_that_is_longer_than_asked_leaves_nothing(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        async def fault(request: web.Request) -> Reply | None:
            asked = asked_range(request, len(registry.model))
            if not request.path.endswith(registry.digest) or asked is None:
                return None
            start, end = asked
            span = f"bytes {start}-{end - 1}/{len(registry.model)}"
            reply = bytes(end - start + 1)
            return web.Response(status=206, body=reply, headers={"Content-Range": span})

        registry.fault = fault
        with pytest.raises(SourceError, match="sends more than"):
            await fetch(registry)
        assert left(store) == set()

    async def test_a_file_that_changes_its_size_is_refused(
        self, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        registry.blobs[registry.digest] = registry.model + b"x"
        with pytest.raises(SourceError, match="instead of"):
            await fetch(registry)

    async def test_cancelling_ends_every_part_and_keeps_what_has_arrived(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        fetch.parts = Parts(at_once=2, least_bytes=1000, most_bytes=1000)
        two_are_done, never = asyncio.Event(), asyncio.Event()

        async def fault(request: web.Request) -> Reply | None:
            if not request.path.endswith(registry.digest) or len(registry.ranges) <= 2:
                return None
            if len(registry.ranges) == 4:
                two_are_done.set()
            await never.wait()
            return None

        registry.fault = fault
        task = asyncio.create_task(fetch(registry))
        await two_are_done.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with store.blobs.partial(registry.digest) as partial:
            assert partial.length == 2000

    @pytest.mark.parametrize("seed", range(5))
    async def test_it_may_be_cut_anywhere_again_and_again(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller, seed: int
    ) -> None:
        random = Random(seed)

        async def fault(request: web.Request) -> Reply | None:
            if not request.path.endswith(registry.digest) or random.random() < 0.2:
                return None
            return await cut_after(request, registry.model, random.randint(200, 999))

        registry.fault = fault
        await fetch(registry)
        assert len(registry.ranges) > 6
        assert store.blob(registry.digest).read_bytes() == registry.model

    async def test_a_full_disk_ends_all_parts_and_leaves_nothing(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        """A file size limit stands for the full disk: writes fail half-way, as there."""
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
        try:
            with pytest.raises(DiskFull, match="no space left on device"):
                await fetch(registry)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert left(store) == set()
        assert store.list() == ()


async def test_a_digest_that_stands_twice_is_checked_all_the_same(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    """Ollama once took the second layer of a digest for fetched and verified."""
    config = b"{}"
    registry.blobs[sha256(config)] = config
    registry.manifest = registry.manifest_of(
        (CONFIG_TYPE, config), (MODEL_TYPE, registry.model), (LICENSE_TYPE, registry.model)
    )
    registry.blobs[registry.digest] = b"x" + registry.model[1:]
    with pytest.raises(DigestMismatch):
        await fetch(registry)
    assert store.list() == ()
    assert left(store) == set()
    registry.blobs[registry.digest] = registry.model
    await fetch(registry)
    store.remove(str(store.list()[0].name))
    assert left(store) <= {"summaries.json"}


async def test_another_case_is_the_same_model(
    store: Store, registry: ScriptedRegistry, fetch: Puller
) -> None:
    await fetch(registry)
    name = registry.name
    store.copy(name, name.upper().replace("HTTP://", ""))
    await fetch(registry)
    assert len(store.list()) == 1


async def test_parts_are_as_large_as_ollamas() -> None:
    parts = Parts()
    assert parts.size_for(90_000_000) == 100_000_000
    assert parts.size_for(4_000_000_000) == 250_000_000
    assert parts.size_for(70_000_000_000) == 1_000_000_000


Cuts = st.lists(st.integers(min_value=0) | st.sampled_from([0, 1, 999, 1000, 1001, -1]), max_size=6)


@pytest.mark.parametrize("parts", [Parts(), Parts(at_once=3, least_bytes=1000, most_bytes=1000)])
@given(cuts=Cuts, gives_up=st.booleans())
async def test_a_pull_that_is_cut_at_any_bytes_ends_with_the_right_digest(
    parts: Parts, cuts: list[int], gives_up: bool
) -> None:
    """Each cut ends one reply after so many bytes; who gives up pulls anew after each."""
    with TemporaryDirectory() as folder:
        model = write_tiny_gguf(Path(folder) / "tiny.gguf").read_bytes()
        store = Store(Path(folder) / "models")
        fetch = Puller(store, PromptClock())
        fetch.parts = parts
        fetch.patience = Patience(connect_s=2.0, retries=0 if gives_up else 6)
        left_to_cut = iter(cuts)

        async def fault(request: web.Request) -> Reply | None:
            if not request.path.endswith(sha256(model)):
                return None
            cut = next(left_to_cut, None)
            return None if cut is None else await cut_after(request, model, cut % len(model))

        async with ScriptedRegistry(model, fault=fault).serve() as registry:
            for _ in cuts:
                with contextlib.suppress(SourceError):
                    await fetch(registry)
            await fetch(registry)
        assert store.blob(sha256(model)).read_bytes() == model
        assert len(store.list()) == 1


@given(place=st.integers(min_value=0), flip=st.integers(1, 255))
async def test_one_wrong_byte_anywhere_leaves_nothing(place: int, flip: int) -> None:
    with TemporaryDirectory() as folder:
        model = bytearray(write_tiny_gguf(Path(folder) / "tiny.gguf").read_bytes())
        store = Store(Path(folder) / "models")
        async with ScriptedRegistry(bytes(model)).serve() as registry:
            model[place % len(model)] ^= flip
            registry.blobs[registry.digest] = bytes(model)
            with pytest.raises(DigestMismatch):
                await Puller(store, PromptClock())(registry)
        assert left(store) == set()


class TestRedirects:
    async def test_blobs_may_come_from_another_host(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        headers: list[str | None] = []

        async def blobs(request: web.Request) -> Reply:
            headers.append(request.headers.get("Authorization"))
            return web.Response(body=registry.model)

        async with listening(blobs) as elsewhere:

            async def fault(request: web.Request) -> Reply | None:
                if request.path.endswith(registry.digest):
                    raise web.HTTPTemporaryRedirect(f"{elsewhere}/direct?signature=1")
                return None

            registry.fault = fault
            await fetch(registry)
        assert store.blob(registry.digest).read_bytes() == registry.model
        assert headers == [None]

    async def test_only_one_is_followed(self, registry: ScriptedRegistry, fetch: Puller) -> None:
        async def fault(request: web.Request) -> Reply | None:
            raise web.HTTPFound(request.path + "x")

        registry.fault = fault
        with pytest.raises(SourceError, match="more than once"):
            await fetch(registry)
        assert len(registry.seen) == 2

    @pytest.mark.parametrize(
        "location", ["file:///etc/passwd", "ftp://h/x", "", "http://u:p@127.0.0.1/", "http://[::"]
    )
    async def test_odd_ones_are_refused(
        self, registry: ScriptedRegistry, fetch: Puller, location: str
    ) -> None:
        async def fault(request: web.Request) -> Reply | None:
            return web.Response(status=302, headers={"Location": location})

        registry.fault = fault
        with pytest.raises(SourceError, match="redirects to"):
            await fetch(registry)


class TestTokens:
    async def test_an_anonymous_token_is_fetched_once_and_sent(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        async def fault(request: web.Request) -> Reply | None:
            if request.path == "/token":
                assert request.query_string == "service=here&scope=a&scope=b"
                return web.json_response({"token": "t0k3n"})
            if request.headers.get("Authorization") == "Bearer t0k3n":
                return None
            challenge = f'Bearer realm="{registry.url}/token",service="here",scope="a b"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})

        registry.fault = fault
        await fetch(registry)
        assert [path for path, _ in registry.seen].count("/token") == 1
        assert store.list()

    async def test_another_host_is_asked_for_nothing(
        self, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        asked: list[str] = []

        async def thief(request: web.Request) -> Reply:
            asked.append(request.path)
            return web.json_response({"token": "x"})

        async with listening(thief) as elsewhere:

            async def fault(request: web.Request) -> Reply | None:
                challenge = f'Bearer realm="{elsewhere}/token"'
                return web.Response(status=401, headers={"WWW-Authenticate": challenge})

            registry.fault = fault
            with pytest.raises(SourceError, match="only taken from itself"):
                await fetch(registry)
        assert asked == []

    @pytest.mark.parametrize(
        "token", ["a\r\nX: y", "", "\u2028", {"nested": 1}, None, "x" * 100_000]
    )
    async def test_a_malformed_token_is_refused(
        self, registry: ScriptedRegistry, fetch: Puller, token: object
    ) -> None:
        async def fault(request: web.Request) -> Reply | None:
            if request.path == "/token":
                return web.json_response({"token": token})
            challenge = f'Bearer realm="{registry.url}/token"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})

        registry.fault = fault
        with pytest.raises(SourceError):
            await fetch(registry)

    @pytest.mark.parametrize(
        "challenge", ["", "Basic realm=x", "Bearer", 'Bearer realm="http://["']
    )
    async def test_a_login_is_refused(
        self, registry: ScriptedRegistry, fetch: Puller, challenge: str
    ) -> None:
        async def fault(request: web.Request) -> Reply | None:
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})

        registry.fault = fault
        with pytest.raises(SourceError):
            await fetch(registry)

    async def test_a_token_that_is_not_accepted_ends_the_pull(
        self, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        async def fault(request: web.Request) -> Reply | None:
            if request.path == "/token":
                return web.json_response({"access_token": "x"})
            challenge = f'Bearer realm="{registry.url}/token"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})

        registry.fault = fault
        with pytest.raises(SourceError, match="private models cannot be pulled"):
            await fetch(registry)


class TestTogether:
    async def test_two_pulls_of_one_model_share_one_download(
        self, store: Store, registry: ScriptedRegistry, clock: PromptClock
    ) -> None:
        begun, second_waits = asyncio.Event(), asyncio.Event()

        async def fault(request: web.Request) -> Reply | None:
            if not request.path.endswith(registry.digest):
                return None
            reply = web.StreamResponse()
            reply.content_length = len(registry.model)
            await reply.prepare(request)
            await reply.write(registry.model[:1000])
            begun.set()
            await second_waits.wait()
            await reply.write(registry.model[1000:])
            return reply

        registry.fault = fault
        one, two = Puller(store, clock), Puller(Store(store.root), clock)
        first = asyncio.create_task(one(registry))
        await begun.wait()
        second = asyncio.create_task(two(registry))
        await two.sees_blob.wait()
        second_waits.set()
        await asyncio.gather(first, second)
        assert len(registry.ranges) == 1
        assert two.events[-1].status == "success"

    async def test_when_the_first_gives_up_the_second_goes_on_from_there(
        self, store: Store, registry: ScriptedRegistry, clock: PromptClock
    ) -> None:
        two = Puller(Store(store.root), clock)
        with store.blobs.partial(registry.digest) as partial:
            partial.write(registry.model[:1000])
            second = asyncio.create_task(two(registry))
            await two.sees_blob.wait()
        await second
        assert registry.ranges == ["bytes=1000-"]

    async def test_cancelling_keeps_what_has_arrived(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        sent = asyncio.Event()

        async def fault(request: web.Request) -> Reply | None:
            if not request.path.endswith(registry.digest):
                return None
            if len(registry.ranges) == 1:
                return await cut_after(request, registry.model, 800)
            sent.set()
            await asyncio.Event().wait()
            return None

        registry.fault = fault
        task = asyncio.create_task(fetch(registry))
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.list() == ()
        registry.fault = None
        await fetch(registry)
        assert registry.ranges[-1] == "bytes=800-"


class TestFitness:
    """What llama.cpp is known not to run is refused before it is fetched."""

    @staticmethod
    def serve(registry: ScriptedRegistry, kind: str, **config: object) -> str:
        """Let the registry have a model of one layer with this config blob; the blob's digest."""
        body = json.dumps(config).encode()
        registry.blobs[sha256(body)] = body
        registry.manifest = registry.manifest_of((CONFIG_TYPE, body), (kind, registry.model))
        return sha256(body)

    @pytest.mark.parametrize(
        ("kind", "config", "reason"),
        [
            (TENSOR_TYPE, {}, "separate tensors"),
            (MODEL_TYPE, {"model_format": "safetensors"}, "separate tensors"),
            (MODEL_TYPE, {"remote_host": "https://ollama.com"}, "cloud"),
            (MODEL_TYPE, {"model_family": "mllama"}, "no architecture mllama"),
            (MODEL_TYPE, {"model_families": ["gptoss"]}, "its architecture is gptoss"),
        ],
    )
    async def test_nothing_is_fetched_but_the_config(
        self,
        store: Store,
        registry: ScriptedRegistry,
        fetch: Puller,
        kind: str,
        config: dict[str, object],
        reason: str,
    ) -> None:
        self.serve(registry, kind, **config)
        with pytest.raises(UnfitSource, match=rf"(?i){reason}.*`reshore pull .*force = true"):
            await fetch(registry)
        assert registry.ranges == []
        assert reason in fetch.events[-1].status
        assert left(store) == set()

    async def test_a_config_that_another_model_has_stays(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        digest = self.serve(registry, MODEL_TYPE, model_family="mllama")
        forcing = Store(store.root, settings={"m": ModelConfig(force=True)})
        await pull(forcing, registry.name, Wishes(insecure=True, as_name="m"))
        with pytest.raises(UnfitSource):
            await fetch(registry)
        assert store.blob(digest).exists()

    async def test_who_insists_gets_it(
        self, store: Store, registry: ScriptedRegistry, clock: PromptClock
    ) -> None:
        self.serve(registry, MODEL_TYPE, model_family="mllama")
        name = registry.url.removeprefix("http://") + "/ns/model:tag"
        forcing = Store(store.root, settings={name: ModelConfig(force=True)})
        await Puller(forcing, clock)(registry)
        assert forcing.resolve(name).model_path.read_bytes() == registry.model

    async def test_a_config_that_says_nothing_stops_nothing(
        self, store: Store, registry: ScriptedRegistry, fetch: Puller
    ) -> None:
        body = b"[" * 10_000
        registry.blobs[sha256(body)] = body
        registry.manifest = registry.manifest_of((CONFIG_TYPE, body), (MODEL_TYPE, registry.model))
        await fetch(registry)
        assert len(store.list()) == 1


class TestReaching:
    async def test_http_must_be_allowed(self, store: Store) -> None:
        with pytest.raises(SourceError, match="insecure protocol http"):
            await pull(store, "http://127.0.0.1:1/ns/model")

    async def test_a_host_that_is_not_there_is_named(self, store: Store) -> None:
        with pytest.raises(
            SourceError, match=r"127\.0\.0\.1:1 cannot be reached.*create"
        ) as caught:
            await pull(store, "http://127.0.0.1:1/ns/model", Wishes(insecure=True))
        assert isinstance(caught.value.__cause__, Unreached)

    async def test_a_registry_without_tls_names_the_option(
        self, store: Store, registry: ScriptedRegistry
    ) -> None:
        with pytest.raises(SourceError, match=r"speaks no TLS.*--insecure"):
            await pull(store, registry.name.removeprefix("http://"))

    async def test_ollamas_registry_out_of_reach_leads_to_the_catalog(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proxy that is not there keeps this test on the machine."""
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
        with pytest.raises(SourceError, match=r"registry\.ollama\.ai cannot be reached.*smollm2"):
            await pull(store, "llama3")

    async def test_a_name_that_no_package_has_is_refused_with_those_there_are(
        self, store: Store
    ) -> None:
        with pytest.raises(SourceError, match=r"smollm2:135m, all-minilm:latest"):
            await pull(store, "llama3", Wishes(source="index"))
