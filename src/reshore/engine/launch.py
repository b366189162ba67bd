"""Plans and makes the engines that the configuration asks for."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Hashable
from pathlib import Path

import msgspec

from reshore.config import Config, EngineConfig
from reshore.engine.base import LaunchPlan
from reshore.engine.child import Guarded, Launch
from reshore.engine.environment import child_environment
from reshore.engine.hardware import Hardware, memory
from reshore.engine.plan import Attached, make_plan
from reshore.engine.process import ProcessEngine
from reshore.engine.spawn import Command
from reshore.models import templates
from reshore.models.facts import Pooling, Servable

_MIB = 1 << 20


class EngineLauncher:
    """Implements `Launcher` for all kinds of engine; keeps no state of its own.

    Args:
        config: `engine` and `models` say which kind a model gets, and with what.
        hardware: as detected at start, with the GPUs that the program of `[engine]` sees; memory
            is read anew.
        run_dir: for files that live as long as an engine's start takes; made if need be.
    """

    def __init__(self, config: Config, hardware: Hardware, run_dir: Path) -> None:
        self._config = config
        self._hardware = hardware
        self._run_dir = run_dir

    def key(self, model: Servable) -> Hashable:
        """The files, the chat template and the settings that its engine is started with.

        A model's system prompt, parameters and example turns are no part of it: requests bring
        these. So all that `FROM` makes of one model has one engine. Blobs are named by their
        content, which makes one of a file that two stores have.
        """
        return (
            model.model_path.name,
            model.projector_path and model.projector_path.name,
            tuple(path.name for path in model.adapter_paths),
            templates.argument(model.template),
            model.embeds,
            self._config.engine_for(model.name),
        )

    def free_bytes(self) -> int:
        """Main memory that is free now, within the limit of this process's cgroup."""
        return memory()[1]

    def plan(self, model: Servable, budget_bytes: int) -> LaunchPlan:
        """The best plan for `model` within `budget_bytes` of main memory.

        Raises:
            OutOfMemory: not even the smallest plan fits; says how much is needed.
        """
        settings = self._config.engine_for(model.name)
        return make_plan(
            model.facts,
            settings,
            self._hardware_for(settings),
            budget_bytes=budget_bytes,
            embedding=model.embeds,
            attached=attached(model),
            model=model.name,
        )

    def _hardware_for(self, settings: EngineConfig) -> Hardware:
        """A model with a program of its own: which GPUs that one sees is not known."""
        usual = self._config.engine
        if (settings.kind, settings.path) == (usual.kind, usual.path):
            return self._hardware
        return msgspec.structs.replace(self._hardware, gpus=())

    def launch(self, model: Servable, plan: LaunchPlan) -> ProcessEngine:
        """An engine in state `stopped`, ready for `start()`."""
        settings = self._config.engine_for(model.name)

        def command() -> Command:
            key = secrets.token_urlsafe(24)
            if settings.kind == "llama-server":
                return server_command(model, plan, settings, key, self._run_dir)
            return _python_command(model, plan, settings, key)

        return ProcessEngine(model, plan, command, load_timeout_s=settings.load_timeout_s)


def attached(model: Servable) -> Attached:
    """The sizes of the files that an engine loads beside the model's own."""
    projector = model.projector_path
    return Attached(
        projector_bytes=projector.stat().st_size if projector else 0,
        adapter_bytes=sum(path.stat().st_size for path in model.adapter_paths),
    )


def _python_command(model: Servable, plan: LaunchPlan, settings: EngineConfig, key: str) -> Command:
    launch = Launch(
        parent_pid=os.getpid(),
        key=key,
        name=model.name,
        model_path=str(model.model_path),
        projector_path=str(model.projector_path) if model.projector_path else None,
        plan=plan,
        echo=settings.echo,
        embedding_length=model.facts.embedding_length,
        adapter_paths=tuple(map(str, model.adapter_paths)),
        chat_template=templates.argument(model.template),
    )
    module = "reshore.engine.echo" if settings.kind == "echo" else "reshore.engine.worker"
    return _command(module, msgspec.json.encode(launch), key=key)


def server_command(
    model: Servable, plan: LaunchPlan, settings: EngineConfig, key: str, run_dir: Path
) -> Command:
    """Run a llama-server executable, its key in a file that only we can read."""
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file = _write_secret(run_dir, key)
    port = _free_port()
    path = shutil.which(settings.path) or settings.path
    arguments = server_arguments(model, plan, gpu_layers=settings.gpu_layers)
    argv = (path, *arguments, "--port", str(port), "--api-key-file", key_file)
    guarded = Guarded(parent_pid=os.getpid(), argv=argv)
    return _command(
        "reshore.engine.guard",
        msgspec.json.encode(guarded),
        key=key,
        url=f"http://127.0.0.1:{port}",
        secrets=(key_file,),
    )


def server_arguments(model: Servable, plan: LaunchPlan, *, gpu_layers: int = -1) -> list[str]:
    """llama-server's arguments for a plan, but for port and key.

    Args:
        gpu_layers: as asked for; -1 with a plan that knows of no GPU leaves it to the program,
            which may know of one.
    """
    flash = {None: "auto", True: "on", False: "off"}[plan.flash_attention]
    arguments = {
        "--model": str(model.model_path),
        "--alias": model.name,
        "--host": "127.0.0.1",
        "--ctx-size": plan.context_length * plan.slots,
        "--parallel": plan.slots,
        "--batch-size": plan.batch,
        "--ubatch-size": plan.micro_batch,
        "--threads": plan.threads,
        "--threads-batch": plan.threads,
        "--flash-attn": flash,
        "--cache-type-k": plan.kv_cache_type,
        "--cache-type-v": plan.kv_cache_type,
        "--cache-ram": plan.prompt_cache_bytes // _MIB,
    }
    if plan.gpu_layers or gpu_layers >= 0:
        arguments["--n-gpu-layers"] = plan.gpu_layers or gpu_layers
    if plan.tensor_split:
        arguments["--tensor-split"] = ",".join(map(str, plan.tensor_split))
    if model.projector_path:
        arguments["--mmproj"] = str(model.projector_path)
    if plan.embedding:
        # Without pooling there would be a vector per token, which /v1/embeddings refuses.
        arguments["--pooling"] = Pooling(plan.pooling or Pooling.MEAN).name.lower()
    flags = ["--slots", *_template(model), "--no-webui", "--offline", "--no-kv-unified"]
    if plan.embedding:
        flags.append("--embeddings")
    adapters = [word for path in model.adapter_paths for word in ("--lora", str(path))]
    return [str(word) for pair in arguments.items() for word in pair] + adapters + flags


def _template(model: Servable) -> list[str]:
    """llama-server reads `--chat-template` by what was said before it: Jinja, or a name."""
    template = templates.argument(model.template)
    if template is None:
        return ["--jinja"]
    reader = "--jinja" if templates.is_jinja(template) else "--no-jinja"
    return [reader, "--chat-template", template]


def _command(
    module: str, payload: bytes, *, key: str, url: str | None = None, secrets: tuple[str, ...] = ()
) -> Command:
    return Command(
        # -P: the working directory, which a stranger may have filled, is not searched for modules.
        argv=(sys.executable, "-P", "-m", module),
        env=child_environment(),
        stdin=payload + b"\n",
        key=key,
        url=url,
        secrets=secrets,
    )


def _write_secret(folder: Path, text: str) -> str:
    descriptor, path = tempfile.mkstemp(dir=folder, prefix="key-")  # mode 0600
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
    return path


def _free_port() -> int:
    """A port that was free a moment ago; whoever binds it must expect to have been too late."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
