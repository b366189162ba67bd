"""Command lines of engines; a llama-server of our own making stands for the executable."""

from __future__ import annotations

import itertools
import os
import stat
import sys
from pathlib import Path

import aiohttp
import msgspec
import pytest

from reshore.config import Config, EngineConfig, ModelConfig
from reshore.engine.base import State
from reshore.engine.child import Guarded
from reshore.engine.hardware import Gpu
from reshore.engine.launch import EngineLauncher, server_arguments, server_command
from reshore.errors import OutOfMemory, StartFailed
from tests.engine.samples import GB, HARDWARE, encoder, facts, launcher, running, servable

SERVER = """#!{python}
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
options = dict(zip(sys.argv[1:], sys.argv[2:]))
refusals = {refusals!r}
left = int(open(refusals).read() or 0)
if left:
    open(refusals, "w").write(str(left - 1))
    sys.exit("srv: couldn't bind HTTP server socket, port: " + options["--port"])
key = open(options["--api-key-file"]).read().strip()
asked = []
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        loading = len(asked) < 3
        allowed = self.headers["Authorization"] == "Bearer " + key
        self.send_response(503 if loading else 200 if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps(sys.argv[1:]).encode())
    def log_message(self, *arguments):
        pass
HTTPServer(("127.0.0.1", int(options["--port"])), Handler).serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A program that loads for two questions, then answers its arguments to who has the key."""
    refusals = tmp_path / "refusals"
    refusals.write_text("0")
    program = tmp_path / "llama-server"
    program.write_text(SERVER.format(python=sys.executable, refusals=str(refusals)))
    program.chmod(0o700)
    return program


async def test_a_llama_server_is_polled_until_it_has_loaded(tmp_path: Path, server: Path) -> None:
    maker, model = launcher(tmp_path, "llama-server", path=str(server)), servable()
    async with running(maker.launch(model, maker.plan(model, GB))) as engine:
        assert engine.state is State.READY
        headers = {"Authorization": f"Bearer {engine.address.key}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{engine.address.url}/props", headers=headers) as reply,
        ):
            arguments = msgspec.json.decode(await reply.read(), type=list[str])
        assert engine.address.key not in arguments
        assert os.listdir(tmp_path / "run") == []


async def test_another_port_is_tried_when_one_is_taken(tmp_path: Path, server: Path) -> None:
    (tmp_path / "refusals").write_text("2")
    maker, model = launcher(tmp_path, "llama-server", path=str(server)), servable()
    async with running(maker.launch(model, maker.plan(model, GB))) as engine:
        assert engine.state is State.READY


async def test_ports_are_not_tried_for_ever(tmp_path: Path, server: Path) -> None:
    (tmp_path / "refusals").write_text("99")
    maker, model = launcher(tmp_path, "llama-server", path=str(server)), servable()
    engine = maker.launch(model, maker.plan(model, GB))
    with pytest.raises(StartFailed, match="no free port"):
        await engine.start()
    assert engine.state is State.FAILED
    assert os.listdir(tmp_path / "run") == []


async def test_a_missing_executable_is_named(tmp_path: Path) -> None:
    maker, model = launcher(tmp_path, "llama-server", path="no-such-server"), servable()
    with pytest.raises(StartFailed, match=r"cannot run no-such-server.*engine\.path"):
        await maker.launch(model, maker.plan(model, GB)).start()


def test_the_key_is_in_a_file_that_only_we_can_read(tmp_path: Path) -> None:
    model = servable()
    plan = launcher(tmp_path).plan(model, GB)
    command = server_command(model, plan, EngineConfig(), "top-secret", tmp_path / "run")
    file = Path(command.secrets[0])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == "top-secret\n"
    guarded = msgspec.json.decode(command.stdin, type=Guarded)
    assert guarded.parent_pid == os.getpid()
    assert "top-secret" not in " ".join((*command.argv, *guarded.argv, *command.env.values()))
    command.discard_secrets()
    assert not file.exists()


def test_arguments_follow_the_plan(tmp_path: Path) -> None:
    settings = {"flash_attention": "on", "kv_cache_type": "q8_0", "parallel": 2}
    maker, model = launcher(tmp_path, **settings), servable(facts())
    words = server_arguments(model, maker.plan(model, 8 * GB))
    options = dict(itertools.pairwise(words))
    assert options["--ctx-size"] == "16384"
    assert (options["--parallel"], options["--flash-attn"]) == ("2", "on")
    assert options["--cache-type-k"] == options["--cache-type-v"] == "q8_0"
    assert "--embeddings" not in words


def test_an_embedding_model_gets_its_pooling_or_the_mean(tmp_path: Path) -> None:
    for pooling, word in ((2, "cls"), (None, "mean"), (0, "mean")):
        model = servable(encoder(pooling=pooling), capabilities=("embedding",))
        words = server_arguments(model, launcher(tmp_path).plan(model, GB))
        assert words[words.index("--pooling") + 1] == word
        assert "--embeddings" in words


def test_a_projector_and_several_gpus_are_passed_on(tmp_path: Path) -> None:
    projector = tmp_path / "mmproj.gguf"
    projector.write_bytes(b"x" * 1000)
    model = msgspec.structs.replace(servable(), projector_path=projector)
    plan = msgspec.structs.replace(launcher(tmp_path).plan(model, GB), tensor_split=(3, 5))
    words = server_arguments(model, plan)
    assert words[words.index("--mmproj") + 1] == str(projector)
    assert words[words.index("--tensor-split") + 1] == "3,5"
    assert plan.weights_bytes == model.facts.weight_bytes + 1500


def test_adapters_are_passed_on_and_planned_for(tmp_path: Path) -> None:
    paths = tuple(tmp_path / name for name in ("a.gguf", "b.gguf"))
    for path in paths:
        path.write_bytes(b"x" * 1000)
    model = msgspec.structs.replace(servable(), adapter_paths=paths)
    plan = launcher(tmp_path).plan(model, GB)
    words = server_arguments(model, plan)
    assert [words[i + 1] for i, word in enumerate(words) if word == "--lora"] == [*map(str, paths)]
    assert plan.weights_bytes == model.facts.weight_bytes + 2000


def test_a_program_that_may_know_of_a_gpu_decides_itself_unless_told(tmp_path: Path) -> None:
    model = servable()
    plan = launcher(tmp_path).plan(model, GB)
    assert "--n-gpu-layers" not in server_arguments(model, plan)
    words = server_arguments(model, plan, gpu_layers=0)
    assert words[words.index("--n-gpu-layers") + 1] == "0"
    words = server_arguments(model, msgspec.structs.replace(plan, gpu_layers=7), gpu_layers=99)
    assert words[words.index("--n-gpu-layers") + 1] == "7"


def test_gpus_count_for_models_that_the_usual_program_runs(tmp_path: Path) -> None:
    gpu = Gpu(name="CUDA0", total_bytes=8 * GB, free_bytes=8 * GB)
    config = Config(
        home=tmp_path, models={"tiny:latest": ModelConfig(kind="llama-server", path="mine")}
    )
    hardware = msgspec.structs.replace(HARDWARE, gpus=(gpu,))
    maker = EngineLauncher(config, hardware, tmp_path)
    other = msgspec.structs.replace(servable(), name="other:latest")
    assert maker.plan(servable(), GB).gpu_layers == 0
    assert maker.plan(other, GB).gpu_layers == 31


def test_a_model_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match="tiny:latest needs"):
        launcher(tmp_path).plan(servable(), 1000)


def test_free_memory_is_what_the_machine_has(tmp_path: Path) -> None:
    assert launcher(tmp_path).free_bytes() > 0


def seen_by_all(pid: int | None) -> bytes:
    """What other users of a machine may see of a process, and more."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


async def test_the_key_stands_neither_in_arguments_nor_in_the_environment(tmp_path: Path) -> None:
    maker, model = launcher(tmp_path, "echo"), servable()
    async with running(maker.launch(model, maker.plan(model, GB))) as engine:
        assert b"reshore.engine.echo" in seen_by_all(engine.pid)
        assert engine.address.key.encode() not in seen_by_all(engine.pid)
