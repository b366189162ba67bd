"""Managing models through the native API, over a real socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from reshore.models.modelfile import parse_modelfile
from reshore.models.store import Store
from tests.models.sources.scripted_registry import Reply, ScriptedRegistry, cut_after
from tests.models.sources.taking_registry import TakingRegistry
from tests.models.tiny import write_tiny_gguf
from tests.server.harness import Server, echo_config, install, running
from tests.server.ollama import (
    CHAT,
    GENERATE,
    REFLECT,
    chat_of,
    engine_body,
    prompt_of,
    said,
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    home = tmp_path / "home"
    home.mkdir()
    install(home, "tiny")
    async with running(echo_config(home)) as server:
        yield server


@pytest.fixture
def store(server: Server) -> Store:
    return server.app.services.store


@pytest.fixture
def tiny(tmp_path: Path) -> bytes:
    return write_tiny_gguf(tmp_path / "upload.gguf", name="uploaded").read_bytes()


def digest_of(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


async def call(server: Server, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Status and text of a reply."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    async with server.session.request(method, server.url + path, data=data) as response:
        return response.status, await response.text()


async def events(server: Server, path: str, body: Any) -> list[dict[str, Any]]:
    async with server.session.post(server.url + path, json=body) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "application/x-ndjson"
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def upload(server: Server, body: bytes) -> str:
    status, _ = await call(server, "POST", f"/api/blobs/{digest_of(body)}", body)
    assert status == 201
    return digest_of(body)


async def names(server: Server) -> set[str]:
    _, reply = await call(server, "GET", "/api/tags")
    return {model["name"] for model in json.loads(reply)["models"]}


def tree(store: Store) -> dict[str, bytes]:
    """Every blob and manifest there is, whole or in part."""
    return {
        str(path): path.read_bytes()
        for folder in ("blobs", "manifests")
        for path in (store.root / folder).rglob("*")
        if path.is_file()
    }


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: writes fail half-way, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


class TestBlobs:
    async def test_a_blob_is_taken_in_once(self, server: Server, store: Store, tiny: bytes) -> None:
        path = f"/api/blobs/{digest_of(tiny)}"
        assert (await call(server, "HEAD", path))[0] == 404
        assert await call(server, "POST", path, tiny) == (201, "")
        assert store.blob(digest_of(tiny)).read_bytes() == tiny
        assert (await call(server, "HEAD", path))[0] == 200
        assert await call(server, "POST", path, tiny) == (200, "")

    async def test_a_blob_in_many_pieces_is_the_same(self, server: Server, store: Store) -> None:
        body = bytes(range(256)) * 20_000

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 70_001):
                yield body[start : start + 70_001]

        url = f"{server.url}/api/blobs/{digest_of(body)}"
        async with server.session.post(url, data=chunks()) as response:
            assert response.status == 201
        assert store.blob(digest_of(body)).read_bytes() == body

    async def test_wrong_bytes_are_refused_and_not_kept(
        self, server: Server, store: Store, tiny: bytes
    ) -> None:
        digest = "sha256:" + "0" * 64
        status, reply = await call(server, "POST", f"/api/blobs/{digest}", tiny)
        assert status == 400
        assert json.loads(reply) == {
            "error": f'digest mismatch, expected "{digest}", got "{digest_of(tiny)}"'
        }
        assert not [path for path in store.root.rglob("*0000*") if path.is_file()]

    @pytest.mark.parametrize(
        "digest",
        [
            "sha256:..%2F..%2F..%2Fetc%2Fpasswd",
            "sha256:../../x",
            "sha256:" + "0" * 63,
            "sha256:" + "0" * 65,
            "sha256:" + "G" * 64,
            "%00",
            "..%2f..",
            "sha256:%0d%0a",
        ],
    )
    async def test_what_is_no_digest_is_refused(
        self, server: Server, store: Store, digest: str, tiny: bytes
    ) -> None:
        before = sorted(path for path in store.root.parent.rglob("*"))
        url = aiohttp.client.URL(f"{server.url}/api/blobs/{digest}", encoded=True)
        async with server.session.post(url, data=tiny) as response:
            assert response.status in (400, 404)
            assert "error" in await response.json(content_type=None)
        assert sorted(path for path in store.root.parent.rglob("*")) == before

    async def test_a_client_that_hangs_up_is_in_nobodys_way(
        self, server: Server, store: Store
    ) -> None:
        body = bytes(1_000_000)
        half = asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            yield body[:600_000]
            half.set()
            await asyncio.Event().wait()

        url = f"{server.url}/api/blobs/{digest_of(body)}"
        task = asyncio.create_task(server.session.post(url, data=chunks()).__aenter__())
        await half.wait()
        task.cancel()
        await asyncio.wait([task])
        await upload(server, body)  # waits until the first one is gone
        (blob,) = store.root.rglob(f"*{digest_of(body)[7:]}*")
        assert blob.read_bytes() == body

    async def test_a_full_disk_is_one_clear_error_and_keeps_nothing(
        self, server: Server, store: Store, tiny: bytes
    ) -> None:
        before = tree(store)
        path = f"/api/blobs/{digest_of(tiny)}"
        with full_disk(1000):
            status, reply = await call(server, "POST", path, tiny)
        assert status == 500
        assert "no space left on device" in json.loads(reply)["error"]
        assert tree(store) == before
        assert (await call(server, "POST", path, tiny))[0] == 201


class TestCreate:
    async def test_from_an_uploaded_file(self, server: Server, tiny: bytes) -> None:
        digest = await upload(server, tiny)
        body = {"model": "mine", "files": {"m.gguf": digest}, "system": "Be brief."}
        told = [event["status"] for event in await events(server, "/api/create", body)]
        assert told[0] == "validating GGUF model"
        assert told[-2:] == ["writing manifest", "success"]
        assert any(status.startswith("creating new layer sha256:") for status in told)
        assert "mine:latest" in await names(server)
        _, shown = await call(server, "POST", "/api/show", {"model": "mine"})
        assert json.loads(shown)["system"] == "Be brief."

    async def test_a_derived_model_answers_with_its_system_and_messages(
        self, server: Server
    ) -> None:
        body = {
            "model": "polite",
            "from": "tiny",
            "system": "Be polite.",
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "Good day."},
            ],
            "parameters": {"temperature": 0.1},
            "stream": False,
        }
        assert await call(server, "POST", "/api/create", body) == (200, '{"status":"success"}')
        asked = chat_of({"reflect": True}, model="polite")
        sent = await engine_body(server, CHAT, asked)
        assert [message["content"] for message in sent["messages"]][:3] == [
            "Be polite.",
            "hi",
            "Good day.",
        ]
        assert sent["temperature"] == pytest.approx(0.1)

    async def test_a_system_prompt_of_the_request_takes_the_place_of_the_models(
        self, server: Server
    ) -> None:
        await events(server, "/api/create", {"model": "polite", "from": "tiny", "system": "Hers."})
        for first in ("system", "System"):
            messages = [
                {"role": first, "content": "Mine."},
                {"role": "user", "content": said(REFLECT)},
            ]
            asked = chat_of("", messages=messages, model="polite")
            sent = await engine_body(server, CHAT, asked)
            assert [message["content"] for message in sent["messages"]][:-1] == ["Mine."]
        asked = prompt_of(REFLECT, system="Mine.", model="polite")
        sent = await engine_body(server, GENERATE, asked)
        assert [message["content"] for message in sent["messages"]][:-1] == ["Mine."]
        sent = await engine_body(server, GENERATE, prompt_of(REFLECT, model="polite"))
        assert [message["content"] for message in sent["messages"]][:-1] == ["Hers."]

    async def test_parameters_are_shown_a_line_each(self, server: Server) -> None:
        parameters = {"temperature": 0.5, "num_ctx": 512, "stop": ["a b", "c"]}
        body = {"model": "tuned", "from": "tiny", "parameters": parameters}
        await events(server, "/api/create", body)
        _, shown = await server.post("/api/show", {"model": "tuned"})
        assert set(shown["parameters"].splitlines()) == {
            f"{'temperature':30} 0.5",
            f"{'num_ctx':30} 512",
            f'{"stop":30} "a b"',
            f'{"stop":30} "c"',
        }

    async def test_all_that_a_model_was_made_of_is_shown(self, server: Server) -> None:
        body = {
            "model": "whole",
            "from": "tiny",
            "license": ["Terms one.", "Terms two."],
            "template": "{{ .Prompt }}",
            "system": "Be brief.",
            "parameters": {"top_k": 7},
            "messages": [{"role": "user", "content": "hi"}],
        }
        await events(server, "/api/create", body)
        _, shown = await server.post("/api/show", {"model": "whole"})
        assert shown["license"].splitlines() == ["Terms one.", "Terms two."]
        assert (shown["template"], shown["system"]) == ("{{ .Prompt }}", "Be brief.")
        assert shown["messages"] == [{"role": "user", "content": "hi"}]
        assert shown["model_info"]["general.architecture"] == "llama"
        assert set(shown["details"]) >= {"format", "family", "parameter_size", "quantization_level"}
        recipe = parse_modelfile(shown["modelfile"])
        assert (recipe.system, recipe.template) == ("Be brief.", "{{ .Prompt }}")
        assert recipe.parameters == {"top_k": 7}
        assert recipe.licenses == ("Terms one.", "Terms two.")

    async def test_of_a_model_of_two_files_the_projector_is_shown_too(
        self, server: Server, tiny: bytes, tmp_path: Path
    ) -> None:
        says = {"clip.projector_type": "mlp"}
        clip = write_tiny_gguf(
            tmp_path / "clip.gguf", architecture="clip", chat_template=None, extra=says
        )
        files = {
            "m.gguf": await upload(server, tiny),
            "p.gguf": await upload(server, clip.read_bytes()),
        }
        await events(server, "/api/create", {"model": "seer", "files": files})
        _, shown = await server.post("/api/show", {"model": "seer"})
        assert shown["model_info"]["general.architecture"] == "llama"
        assert shown["projector_info"]["clip.projector_type"] == "mlp"
        assert "vision" in shown["capabilities"]
        _, shown = await server.post("/api/show", {"model": "tiny"})
        assert "projector_info" not in shown

    async def test_derived_models_share_their_blobs(self, server: Server, store: Store) -> None:
        await events(server, "/api/create", {"model": "child", "from": "tiny", "system": "x"})
        shared = store.get("tiny").manifest.layers[0].digest
        assert shared in store.get("child").manifest.blobs
        assert (await call(server, "DELETE", "/api/delete", {"model": "tiny"}))[0] == 200
        assert store.resolve("child").model_path == store.blob(shared)
        assert (await call(server, "DELETE", "/api/delete", {"model": "child"}))[0] == 200
        assert not list((store.root / "blobs").iterdir())

    @pytest.mark.parametrize(
        ("body", "status", "says"),
        [
            ({"model": "m"}, 400, "neither 'from' or 'files' was specified"),
            ({"from": "tiny"}, 400, "model is required"),
            ({"model": "../m", "from": "tiny"}, 400, "invalid model name"),
            ({"model": "m", "from": "/etc/passwd"}, 400, "invalid model name"),
            ({"model": "m", "from": "../../etc/passwd"}, 400, "invalid model name"),
            ({"model": "m", "files": {"../x": "sha256:" + "0" * 64}}, 400, "no file name"),
            ({"model": "m", "files": {"x.gguf": "/etc/passwd"}}, 400, "invalid digest format"),
            ({"model": "m", "files": {"x.gguf": "sha256:" + "0" * 64}}, 400, "not found"),
            ({"model": "m", "path": "/etc/passwd"}, 400, "paths of the server are not read"),
            ({"model": "m", "modelfile": "FROM /etc/passwd"}, 400, "cannot be honoured"),
            ({"model": "m", "from": "tiny", "renderer": "qwen3"}, 400, "names code inside Ollama"),
            ({"model": "m", "from": "tiny", "draft_files": {"a": "b"}}, 400, "draft model"),
            ({"model": "m", "from": "tiny", "parameters": {"wings": 2}}, 400, "unknown parameter"),
            (
                {"model": "m", "from": "tiny", "parameters": {"top_k": "many"}},
                400,
                'option "top_k" must be of type integer',
            ),
            (
                {"model": "m", "from": "tiny", "quantize": "q4_wide"},
                400,
                "unsupported quantization type",
            ),
            ({"model": "m", "from": 7}, 400, "malformed"),
            (b"", 400, "missing request body"),
        ],
    )
    async def test_what_cannot_be_made_is_refused_with_the_reason(
        self, server: Server, body: Any, status: int, says: str
    ) -> None:
        body = body if isinstance(body, bytes) else body | {"stream": False}
        got, reply = await call(server, "POST", "/api/create", body)
        assert (got, set(json.loads(reply))) == (status, {"error"}), reply
        assert says in json.loads(reply)["error"]
        assert await names(server) == {"tiny:latest"}

    async def test_an_uploaded_file_that_is_damaged_is_the_clients_error(
        self, server: Server, store: Store, tiny: bytes
    ) -> None:
        digest = store.blobs.add([tiny[:200]], "").digest
        body = {"model": "m", "files": {"my.gguf": digest}, "stream": False}
        status, reply = await call(server, "POST", "/api/create", body)
        assert status == 400
        assert "my.gguf" in json.loads(reply)["error"]
        assert "in the middle of its header" in json.loads(reply)["error"]

    async def test_existing_and_missing_server_paths_are_told_apart_by_nothing(
        self, server: Server, tmp_path: Path
    ) -> None:
        there = tmp_path / "there.gguf"
        there.write_bytes(b"GGUF")
        replies = set()
        for path in (there, tmp_path / "missing.gguf"):
            for body in ({"from": str(path)}, {"files": {str(path): "sha256:" + "0" * 64}}):
                status, reply = await call(server, "POST", "/api/create", {"model": "m"} | body)
                replies.add((status, reply.replace(str(path), "PATH")))
        assert len(replies) == 2

    async def test_fields_without_effect_are_named(self, server: Server) -> None:
        body = {"model": "m", "from": "tiny", "requires": "0.14.0", "nonsense": 1}
        async with server.session.post(server.url + "/api/create", json=body) as response:
            assert response.headers["x-reshore-ignored"] == "requires, nonsense"


class TestCopyAndDelete:
    async def test_a_copy_is_another_name_for_the_same(self, server: Server, store: Store) -> None:
        body = {"source": "tiny", "destination": "you/other:v2"}
        assert await call(server, "POST", "/api/copy", body) == (200, "")
        assert store.get("you/other:v2").digest == store.get("tiny").digest
        assert await call(server, "DELETE", "/api/delete", {"name": "tiny"}) == (200, "")
        assert await names(server) == {"you/other:v2"}
        assert store.resolve("you/other:v2").model_path.exists()

    async def test_case_makes_no_second_model(self, server: Server) -> None:
        body = {"source": "TINY", "destination": "Tiny:LATEST"}
        assert (await call(server, "POST", "/api/copy", body))[0] == 200
        assert await names(server) == {"tiny:latest"}
        assert (await call(server, "DELETE", "/api/delete", {"model": "tINY"}))[0] == 200
        assert await names(server) == set()

    async def test_no_spelling_of_a_name_makes_a_second_manifest(
        self, server: Server, store: Store, tiny: bytes
    ) -> None:
        digest = await upload(server, tiny)
        for name in ("Some/Model:Tag", "SOME/model:tAG"):
            await events(server, "/api/create", {"model": name, "files": {"m.gguf": digest}})
        async with ScriptedRegistry(tiny).serve() as registry:
            for name in (registry.name, registry.name.replace("ns/model:tag", "NS/Model:Tag")):
                await call(server, "POST", "/api/pull", {"model": name, "insecure": True})
            pulled = registry.name.removeprefix("http://")
        for name in ("other", "OTHER"):
            body = {"source": "sOME/mODEL:tag", "destination": name}
            assert (await call(server, "POST", "/api/copy", body))[0] == 200
        async with TakingRegistry().serve() as registry:
            mine = f"{registry.host}/Me/Mine:V1"
            body = {"source": "Other", "destination": mine}
            assert (await call(server, "POST", "/api/copy", body))[0] == 200
            body = {"model": f"http://{mine.lower()}", "insecure": True, "stream": False}
            assert await call(server, "POST", "/api/push", body) == (200, '{"status":"success"}')
        kept = {"tiny:latest", "Some/Model:Tag", "other:latest", pulled, mine}
        assert await names(server) == kept
        for name in kept:
            assert (await call(server, "DELETE", "/api/delete", {"model": name.upper()}))[0] == 200
        assert await names(server) == set()
        assert not [path for path in store.root.joinpath("manifests").rglob("*") if path.is_file()]

    @pytest.mark.parametrize(
        ("method", "path", "body", "status", "error"),
        [
            (
                "POST",
                "/api/copy",
                {"source": "no", "destination": "b"},
                404,
                'model "no" not found',
            ),
            (
                "POST",
                "/api/copy",
                {"source": "../a", "destination": "b"},
                400,
                'source "../a" is invalid',
            ),
            (
                "POST",
                "/api/copy",
                {"source": "tiny", "destination": "a b"},
                400,
                'destination "a b" is invalid',
            ),
            ("DELETE", "/api/delete", {"model": "no"}, 404, "model 'no' not found"),
            ("DELETE", "/api/delete", {"model": "../a"}, 400, 'name "../a" is invalid'),
        ],
    )
    async def test_the_errors_are_ollamas(
        self, server: Server, method: str, path: str, body: Any, status: int, error: str
    ) -> None:
        assert await call(server, method, path, body) == (
            status,
            json.dumps({"error": error}).replace('": "', '":"'),
        )

    @pytest.mark.parametrize(
        "name",
        [
            "../x",
            "x:../../y",
            "a/../b",
            "/etc/passwd",
            "..%2f..%2fx",
            "a\\..\\b",
            "x\x00",
            "x:tag\n",
            ".blobs/x",
            "h/n/m@sha256:0",
            "127.0.0.1:1/../../x",
        ],
    )
    async def test_no_name_leads_out_of_the_store(
        self, server: Server, store: Store, name: str
    ) -> None:
        before = tree(store)
        bodies: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/api/pull", {"model": name, "insecure": True}),
            ("POST", "/api/push", {"model": name, "insecure": True}),
            ("POST", "/api/create", {"model": name, "from": "tiny"}),
            ("POST", "/api/create", {"model": "new", "from": name}),
            ("POST", "/api/copy", {"source": "tiny", "destination": name}),
            ("POST", "/api/copy", {"source": name, "destination": "new"}),
            ("DELETE", "/api/delete", {"model": name}),
            ("POST", "/api/show", {"model": name}),
            ("POST", "/api/chat", {"model": name}),
            ("POST", "/api/generate", {"model": name}),
            ("POST", "/api/embed", {"model": name, "input": "hi"}),
        ]
        for method, path, body in bodies:
            status, reply = await call(server, method, path, body | {"stream": False})
            assert (status, set(json.loads(reply))) == (400, {"error"}), (path, reply)
        assert tree(store) == before

    async def test_a_model_of_a_store_that_is_only_read_is_not_removed(
        self, server: Server, tmp_path: Path
    ) -> None:
        theirs = server.app.services.store.root
        before = tree(server.app.services.store)
        reading = {"read_models": [str(theirs)]}
        async with running(echo_config(tmp_path / "other", **reading)) as other:
            status, reply = await call(other, "DELETE", "/api/delete", {"model": "tiny"})
            assert status == 403
            error = json.loads(reply)
            assert set(error) == {"error"}
            assert "tiny:latest" in error["error"]
            assert str(theirs) in error["error"]
            assert await names(other) == {"tiny:latest"}
        assert tree(server.app.services.store) == before

    async def test_a_wrong_method_is_said(self, server: Server) -> None:
        status, reply = await call(server, "POST", "/api/delete", {"model": "tiny"})
        assert status == 405
        assert "error" in json.loads(reply)


class TestPull:
    @pytest.fixture
    async def registry(self, tiny: bytes) -> AsyncIterator[ScriptedRegistry]:
        async with ScriptedRegistry(tiny).serve() as running:
            yield running

    async def test_the_events_are_ollamas(self, server: Server, registry: ScriptedRegistry) -> None:
        told = await events(server, "/api/pull", {"model": registry.name, "insecure": True})
        assert told[0] == {"status": "pulling manifest"}
        assert told[-2:] == [{"status": "writing manifest"}, {"status": "success"}]
        blob = [event for event in told if event.get("digest") == registry.digest]
        assert blob[0]["status"] == f"pulling {registry.digest[7:19]}"
        assert blob[-2]["completed"] == blob[-2]["total"] == len(registry.model)
        assert registry.name.removeprefix("http://") in await names(server)

    async def test_without_a_stream_the_last_word_is_the_reply(
        self, server: Server, registry: ScriptedRegistry
    ) -> None:
        body = {"name": registry.name, "insecure": True, "stream": False}
        assert await call(server, "POST", "/api/pull", body) == (200, '{"status":"success"}')

    async def test_a_missing_model_is_an_error_in_the_stream_or_a_status(
        self, server: Server, registry: ScriptedRegistry
    ) -> None:
        body = {"model": f"{registry.url}/ns/none:tag", "insecure": True}
        told = await events(server, "/api/pull", body)
        assert told[0] == {"status": "pulling manifest"}
        assert told[-1]["error"].startswith("pull model manifest: file does not exist")
        status, reply = await call(server, "POST", "/api/pull", body | {"stream": False})
        assert status == 500
        assert json.loads(reply)["error"].startswith("pull model manifest: file does not exist")

    async def test_an_error_keeps_its_status_whether_streamed_or_not(self, server: Server) -> None:
        for more in ({}, {"stream": False}):
            assert await call(server, "POST", "/api/push", {"model": "you/none"} | more) == (
                404,
                json.dumps({"error": "model 'you/none' not found"}).replace('": "', '":"'),
            )

    async def test_a_full_disk_is_one_clear_error_and_leaves_the_store_as_it_was(
        self, server: Server, store: Store, registry: ScriptedRegistry
    ) -> None:
        before = tree(store)
        body = {"model": registry.name, "insecure": True}
        with full_disk(1000):
            told = await events(server, "/api/pull", body)
            status, reply = await call(server, "POST", "/api/pull", body | {"stream": False})
        for error in (told[-1]["error"], json.loads(reply)["error"]):
            assert "no space left on device" in error
        assert [event for event in told if "error" in event] == told[-1:]
        assert status == 500
        assert tree(store) == before
        assert (await events(server, "/api/pull", body))[-1] == {"status": "success"}

    async def test_plain_http_must_be_allowed(
        self, server: Server, registry: ScriptedRegistry
    ) -> None:
        status, reply = await call(server, "POST", "/api/pull", {"model": registry.name})
        assert status == 500
        assert "insecure protocol http" in json.loads(reply)["error"]

    async def test_bytes_with_another_digest_leave_nothing(
        self, server: Server, store: Store, registry: ScriptedRegistry
    ) -> None:
        registry.blobs[registry.digest] = b"x" + registry.model[1:]
        told = await events(server, "/api/pull", {"model": registry.name, "insecure": True})
        assert "digest mismatch" in told[-1]["error"]
        assert await names(server) == {"tiny:latest"}
        assert not store.blob(registry.digest).exists()

    async def test_a_client_that_hangs_up_ends_the_transfer_which_can_go_on(
        self, server: Server, registry: ScriptedRegistry
    ) -> None:
        sent, never = asyncio.Event(), asyncio.Event()

        async def fault(request: web.Request) -> Reply | None:
            if not request.path.endswith(registry.digest):
                return None
            if len(registry.ranges) == 1:
                return await cut_after(request, registry.model, 700)
            sent.set()
            await never.wait()
            return None

        registry.fault = fault
        body = {"model": registry.name, "insecure": True}
        async with server.session.post(server.url + "/api/pull", json=body):
            await sent.wait()
        registry.fault = None
        told = await events(server, "/api/pull", body)
        assert told[-1] == {"status": "success"}
        assert registry.ranges[-1] == "bytes=700-"

    async def test_two_pulls_share_the_work(
        self, server: Server, registry: ScriptedRegistry
    ) -> None:
        body = {"model": registry.name, "insecure": True}
        both = await asyncio.gather(*(events(server, "/api/pull", body) for _ in range(2)))
        assert all(told[-1] == {"status": "success"} for told in both)
        assert len(registry.ranges) == 1
