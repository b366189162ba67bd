from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from reshore.errors import BadModelFile, BadName, SourceError
from reshore.models.pull import Wishes, pull
from reshore.models.sources.manner import Manner
from reshore.models.sources.patience import Parts, Patience
from reshore.models.sources.url import is_address, name_of
from reshore.models.store import Store
from tests.models.sources.scripted_registry import Reply, cut_after, listening, ranged
from tests.models.sources.test_registry import PromptClock, left
from tests.models.tiny import write_tiny_gguf

VERSION = '"one"'


@dataclass
class FileServer:
    """Serves one file as ordinary web servers do, with ETag, ranges and If-Range."""

    body: bytes
    etag: str = VERSION
    url: str = ""
    cuts: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> Reply:
        self.asked.append(request.headers.get("Range", ""))
        if request.path != "/models/Some%20Model.Q8.gguf".replace("%20", " "):
            return web.Response(status=404)
        if self.cuts and self.asked[-1] != "bytes=0-0":
            return await cut_after(request, self.body, self.cuts.pop())
        condition = request.headers.get("If-Range")
        fits = condition is None or condition == self.etag
        reply = ranged(request, self.body) if fits else web.Response(body=self.body)
        if self.etag:
            reply.headers["ETag"] = self.etag
        return reply

    @property
    def address(self) -> str:
        return f"{self.url}/models/Some%20Model.Q8.gguf"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FileServer]:
    server = FileServer(write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes())
    async with listening(server.answer) as server.url:
        yield server


async def fetch(
    store: Store, address: str, *, parts: Parts | None = None, retries: int = 6
) -> None:
    await pull(
        store,
        address,
        Wishes(insecure=True),
        Manner(
            clock=PromptClock(),
            patience=Patience(connect_s=2, stall_s=2, retries=retries),
            parts=parts or Parts(),
        ),
    )


async def test_a_file_becomes_a_model_of_its_name(store: Store, server: FileServer) -> None:
    await fetch(store, server.address + "?token=secret")
    found = store.resolve("some-model.q8")
    assert found.model_path.read_bytes() == server.body
    assert store.get("some-model.q8").source == f"url:{server.url}/models/Some%20Model.Q8.gguf"


async def test_it_may_be_called_otherwise(store: Store, server: FileServer) -> None:
    await pull(store, server.address, Wishes(insecure=True, as_name="mine:v1"))
    assert [str(model.name) for model in store.list()] == ["mine:v1"]


async def test_two_pulls_of_one_address_share_one_download(
    store: Store, server: FileServer
) -> None:
    await asyncio.gather(fetch(store, server.address), fetch(store, server.address))
    await fetch(store, server.address)
    assert server.asked.count("bytes=0-0") == 3  # each looks which version it is
    assert len(server.asked) == 4


async def test_what_was_removed_is_fetched_again(store: Store, server: FileServer) -> None:
    await fetch(store, server.address)
    store.remove("some-model.q8")
    await fetch(store, server.address)
    assert store.resolve("some-model.q8").model_path.read_bytes() == server.body


async def test_an_address_without_a_version_is_always_fetched(
    store: Store, server: FileServer
) -> None:
    server.etag = ""
    await fetch(store, server.address)
    await fetch(store, server.address)
    assert len(server.asked) == 4


async def test_it_comes_in_parts(store: Store, server: FileServer) -> None:
    await fetch(store, server.address, parts=Parts(at_once=4, least_bytes=1000, most_bytes=1000))
    assert len(server.asked) == 1 + -(-len(server.body) // 1000)
    assert store.resolve("some-model.q8").model_path.read_bytes() == server.body


async def test_a_transfer_that_is_cut_goes_on(store: Store, server: FileServer) -> None:
    server.cuts = [700]
    await fetch(store, server.address)
    assert server.asked == ["bytes=0-0", "", "bytes=700-"]
    assert store.resolve("some-model.q8").model_path.read_bytes() == server.body


async def test_a_later_pull_goes_on_too(store: Store, server: FileServer) -> None:
    server.cuts = [700]
    with pytest.raises(SourceError):
        await fetch(store, server.address, retries=0)
    await fetch(store, server.address)
    assert server.asked[-1] == "bytes=700-"
    assert store.resolve("some-model.q8").model_path.read_bytes() == server.body


async def test_another_version_is_begun_anew(
    store: Store, server: FileServer, tmp_path: Path
) -> None:
    server.cuts = [700]
    with pytest.raises(SourceError):
        await fetch(store, server.address, retries=0)
    server.etag = '"two"'
    server.body = write_tiny_gguf(tmp_path / "other.gguf", name="othe").read_bytes()
    await fetch(store, server.address)
    assert store.resolve("some-model.q8").model_path.read_bytes() == server.body


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
async def test_without_a_version_nothing_is_kept_for_later(
    store: Store, server: FileServer, etag: str
) -> None:
    server.etag, server.cuts = etag, [700]
    with pytest.raises(SourceError):
        await fetch(store, server.address, retries=0)
    await fetch(store, server.address)
    assert server.asked[-1] == ""
    assert store.resolve("some-model.q8").model_path.read_bytes() == server.body


async def test_what_is_no_model_leaves_nothing(store: Store, server: FileServer) -> None:
    server.body = b"<html>" * 1000
    with pytest.raises(BadModelFile):
        await fetch(store, server.address)
    assert left(store) == set()


async def test_a_missing_file_is_said(store: Store, server: FileServer) -> None:
    with pytest.raises(SourceError, match="file does not exist"):
        await fetch(store, f"{server.url}/other.gguf")


async def test_plain_http_must_be_allowed(store: Store, server: FileServer) -> None:
    with pytest.raises(SourceError, match="insecure protocol http"):
        await pull(store, server.address)


async def test_addresses_with_a_password_are_not_used(store: Store) -> None:
    with pytest.raises(SourceError, match="user name"):
        await pull(store, "https://u:p@127.0.0.1/x.gguf")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://h/x.gguf", True),
        ("HTTP://h/x.GGUF?a=b#c", True),
        ("https://h/ns/model:tag", False),
        ("hf.co/a/b:x.gguf", False),
        ("x.gguf", False),
    ],
)
def test_addresses_are_told_from_names(text: str, address: bool) -> None:
    assert is_address(text) is address


def test_a_name_is_made_of_the_files() -> None:
    assert str(name_of("https://h/Llama%203 (1B).gguf")) == "llama-3-1b:latest"
    with pytest.raises(BadName):
        name_of("https://h/%F0%9F%90%AB.gguf")
