"""Child main of `engine.kind = "wheel"`: llama.cpp's own server, from the xllamacpp wheel.

python -m reshore.engine.worker             serve; the launch comes on standard input
python -m reshore.engine.worker --devices   print the GPUs as JSON and end
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import msgspec

from reshore.engine.child import (
    Launch,
    Ready,
    exit_with_stdin,
    fail,
    private_stdout,
    read_launch,
    report,
)
from reshore.engine.environment import NO_FFMPEG
from reshore.engine.hardware import Gpu
from reshore.engine.libraries import explain
from reshore.models.facts import Pooling
from reshore.models.templates import is_jinja

_WARNINGS = 2  # llama.cpp's verbosity: what it logs per request at "info" nobody reads
_MIB = 1 << 20
_FULL_SCALE = 1.0  # of a LoRA adapter, as Ollama applies it


def main() -> None:
    stdout = private_stdout()
    if "--devices" in sys.argv[1:]:
        os.write(stdout, msgspec.json.encode(devices()))
        return
    launch = read_launch(Launch)
    exit_with_stdin()
    try:
        import xllamacpp

        server = xllamacpp.Server(parameters(xllamacpp, launch))
        url = server.listening_address  # set when the model is loaded and warm
    except (ImportError, OSError) as error:
        fail(stdout, explain(str(error)))
    except RuntimeError as error:
        fail(stdout, f"llama.cpp could not load {launch.model_path}: {error}")
    report(stdout, Ready(url=url))
    threading.Event().wait()  # the watching thread ends the process, or a signal does


def parameters(xllamacpp: Any, launch: Launch) -> Any:
    """llama.cpp's parameters for a launch; nothing of it listens beyond loopback or goes online."""
    plan = launch.plan
    params = xllamacpp.CommonParams()
    params.model.path = launch.model_path
    params.model_alias = {launch.name}
    if launch.projector_path:
        params.mmproj.path = launch.projector_path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [launch.key]
    params.ui = False
    params.offline = True
    params.video_ffmpeg_bin_dir = NO_FFMPEG
    params.endpoint_slots = True
    params.verbosity = _WARNINGS
    params.n_ctx = plan.context_length * plan.slots
    params.n_parallel = plan.slots
    params.n_batch = plan.batch
    params.n_ubatch = plan.micro_batch
    params.cpuparams.n_threads = plan.threads
    params.cpuparams_batch.n_threads = plan.threads
    params.cache_ram_mib = plan.prompt_cache_bytes // _MIB
    params.lora_adapters = [
        xllamacpp.CommonAdapterLoraInfo(path, _FULL_SCALE) for path in launch.adapter_paths
    ]
    params.warmup = True
    if launch.chat_template is not None:
        params.chat_template = launch.chat_template
        params.use_jinja = is_jinja(launch.chat_template)
    params.fit_params = False  # the plan has done that; a second opinion would change the context
    params.n_gpu_layers = plan.gpu_layers
    if plan.tensor_split:
        params.tensor_split = [float(layers) for layers in plan.tensor_split]
    _attention(xllamacpp, params, launch)
    return params


def _attention(xllamacpp: Any, params: Any, launch: Launch) -> None:
    plan = launch.plan
    flash = xllamacpp.llama_flash_attn_type
    params.flash_attn_type = {
        None: flash.LLAMA_FLASH_ATTN_TYPE_AUTO,
        True: flash.LLAMA_FLASH_ATTN_TYPE_ENABLED,
        False: flash.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    }[plan.flash_attention]
    cache_type = xllamacpp.ggml_type[f"GGML_TYPE_{plan.kv_cache_type.upper()}"]
    params.cache_type_k = params.cache_type_v = cache_type
    params.embedding = plan.embedding
    if plan.embedding:
        params.pooling_type = xllamacpp.llama_pooling_type(pooling(plan.pooling))


def pooling(of_file: int | None) -> int:
    """The pooling to embed with, in llama.cpp's numbers; a file that names none gets the mean.

    Without pooling there would be one vector per token, which `/v1/embeddings` refuses.
    """
    return of_file or Pooling.MEAN


def devices() -> tuple[Gpu, ...]:
    """The GPUs that the wheel's llama.cpp sees."""
    import xllamacpp

    return tuple(
        Gpu(
            name=device["name"],
            total_bytes=device["memory_total"],
            free_bytes=device["memory_free"],
            unified=device["type"].name.endswith("_IGPU") or device["name"].startswith("MTL"),
        )
        for device in xllamacpp.get_device_info()
        if device["type"].name.endswith("GPU")
    )


if __name__ == "__main__":
    main()
