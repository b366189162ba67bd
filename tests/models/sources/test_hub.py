"""The real client of the hub against a hub of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from reshore.errors import DigestMismatch, SourceError
from reshore.models.progress import Progress
from reshore.models.pull import Wishes, pull
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import Parts, Patience
from reshore.models.store import Store
from tests.models.sources.scripted_registry import Reply, listening, ranged, sha256
from tests.models.sources.test_registry import PromptClock, left
from tests.models.tiny import write_tiny_gguf

REVISION = "a" * 40


@dataclass
class Hub:
    """The two endpoints that matter, with redirects to a storage of another origin."""

    files: dict[str, bytes]
    url: str = ""
    storage: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    seen: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)

    async def answer(self, request: web.Request) -> Reply:
        self.seen.append(request.path)
        if request.path.startswith("/api/models/owner/repo"):
            headers = {"X-Error-Code": "GatedRepo"} if self.status == 403 else {}
            return web.json_response(self.described(), status=self.status, headers=headers)
        prefix = f"/owner/repo/resolve/{REVISION}/"
        if not request.path.startswith(prefix):
            return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})
        self.tokens.add(request.headers.get("Authorization"))
        raise web.HTTPFound(f"{self.storage}/{request.path.removeprefix(prefix)}")

    async def store(self, request: web.Request) -> Reply:
        assert "Authorization" not in request.headers
        return ranged(request, self.files[request.path[1:]])

    def described(self) -> dict[str, Any]:
        siblings = [
            {
                "rfilename": name,
                "size": len(body),
                "lfs": {"sha256": sha256(body)[7:], "size": len(body), "pointerSize": 130},
            }
            for name, body in self.files.items()
        ]
        return {"id": "owner/repo", "sha": REVISION, "siblings": siblings} | self.info


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    small = write_tiny_gguf(tmp_path / "small.gguf", name="small").read_bytes()
    large = write_tiny_gguf(tmp_path / "large.gguf", name="large").read_bytes()
    hub = Hub({"tiny.Q4_K_M.gguf": small, "tiny.Q8_0.gguf": large})
    async with listening(hub.store) as hub.storage, listening(hub.answer) as hub.url:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield hub


async def fetch(
    store: Store, name: str, *, as_name: str | None = None, parts: Parts | None = None
) -> list[Progress]:
    events: list[Progress] = []
    await pull(
        store,
        name,
        Wishes(insecure=True, as_name=as_name),
        Manner(
            on_progress=events.append,
            clock=PromptClock(),
            patience=Patience(connect_s=2, stall_s=2),
            parts=parts or Parts(),
        ),
    )
    return events


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("hf.co/owner/repo", "tiny.Q4_K_M.gguf"),
        ("hf.co/owner/repo:Q8_0", "tiny.Q8_0.gguf"),
        ("huggingface.co/owner/repo:q8_0", "tiny.Q8_0.gguf"),
    ],
)
async def test_a_quantisation_is_fetched_and_checked(
    store: Store, hub: Hub, name: str, file: str
) -> None:
    events = await fetch(store, name)
    assert store.resolve(name).model_path.read_bytes() == hub.files[file]
    assert store.get(name).source == f"hub:{name.rpartition(':')[0] or name}@{REVISION[:12]}"
    assert [event.status for event in events][-2:] == ["writing manifest", "success"]
    assert hub.tokens == {"Bearer hf_secret"}


async def test_a_projector_comes_along(store: Store, hub: Hub, tmp_path: Path) -> None:
    clip = write_tiny_gguf(tmp_path / "clip", architecture="clip", chat_template=None)
    hub.files["mmproj-F16.gguf"] = clip.read_bytes()
    await fetch(store, "hf.co/owner/repo")
    described = store.describe("hf.co/owner/repo")
    assert described.projector is not None


async def test_large_files_come_in_parts(store: Store, hub: Hub) -> None:
    await fetch(
        store, "hf.co/owner/repo", parts=Parts(at_once=4, least_bytes=1000, most_bytes=1000)
    )
    body = hub.files["tiny.Q4_K_M.gguf"]
    assert len(hub.seen) == 1 + -(-len(body) // 1000)
    assert store.blob(sha256(body)).read_bytes() == body


async def test_other_bytes_than_the_hub_told_of_leave_nothing(store: Store, hub: Hub) -> None:
    body = hub.files["tiny.Q4_K_M.gguf"]
    hub.info = hub.described()
    hub.files["tiny.Q4_K_M.gguf"] = b"x" + body[1:]
    with pytest.raises(DigestMismatch):
        await fetch(store, "hf.co/owner/repo")
    assert left(store) == set()


async def test_of_two_files_none_stays_without_the_other(
    store: Store, hub: Hub, tmp_path: Path
) -> None:
    clip = write_tiny_gguf(tmp_path / "clip", architecture="clip", chat_template=None)
    hub.files["mmproj-F16.gguf"] = clip.read_bytes()
    hub.info = hub.described()
    hub.files["mmproj-F16.gguf"] = b"x" + clip.read_bytes()[1:]
    with pytest.raises(DigestMismatch):
        await fetch(store, "hf.co/owner/repo")
    assert left(store) == set()


async def test_a_file_without_digest_is_not_fetched(store: Store, hub: Hub) -> None:
    hub.info = {"siblings": [{"rfilename": "a.gguf", "size": 5}]}
    with pytest.raises(SourceError, match="does not tell the sha256"):
        await fetch(store, "hf.co/owner/repo")


async def test_terms_to_be_accepted_are_said(store: Store, hub: Hub) -> None:
    hub.status = 403
    with pytest.raises(SourceError, match="wants its terms accepted"):
        await fetch(store, "hf.co/owner/repo")


async def test_a_repository_that_is_not_there_is_said(store: Store, hub: Hub) -> None:
    with pytest.raises(SourceError, match="file does not exist"):
        await fetch(store, "hf.co/owner/none")


async def test_a_hub_out_of_reach_is_said(
    store: Store, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(SourceError, match="cannot be looked up"):
        await fetch(store, "hf.co/owner/repo")


async def test_plain_http_must_be_allowed(store: Store, hub: Hub) -> None:
    with pytest.raises(SourceError, match="insecure protocol http"):
        await pull(store, "hf.co/owner/repo")
