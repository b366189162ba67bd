"""What engine processes may see of our environment: an allowlist, so that no secret slips in."""

from __future__ import annotations

import os
import platform as host_platform
import sys
from collections.abc import Mapping

from reshore.engine.waiting import openmp_environment

_ALLOWED = frozenset({
    # where programs, libraries and Python modules are found
    "PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT",
    # drivers keep compiled kernels below HOME
    "HOME", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "LC_CTYPE",
    # which devices may be used
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES", "HSA_OVERRIDE_GFX_VERSION", "ONEAPI_DEVICE_SELECTOR",
    "GGML_VK_VISIBLE_DEVICES", "VK_ICD_FILENAMES",
})  # fmt: skip
# llama.cpp gives an image that it cannot decode to `ffprobe` and `ffmpeg`, as a video. They would
# read a client's bytes in any of a hundred formats, some of which name further files and hosts.
NO_FFMPEG = os.devnull  # the folder to look for them in, and only there
_FIXED = {"LLAMA_ARG_VIDEO_FFMPEG_DIR": NO_FFMPEG}
_ALLOWED_PREFIXES = ("OMP_", "GOMP_", "KMP_")


def child_environment(
    env: Mapping[str, str] | None = None,
    platform: str = sys.platform,
    machine: str | None = None,
) -> dict[str, str]:
    """The environment for an engine process.

    Args:
        env: what to choose from; the process's own if None.
        platform: `sys.platform`, for how OpenMP threads wait; what the operator set wins.
        machine: the processor's kind, for the same; this machine's if None.
    """
    env = os.environ if env is None else env
    chosen = {
        name: value
        for name, value in env.items()
        if name.upper() in _ALLOWED or name.startswith(_ALLOWED_PREFIXES)
    }
    return openmp_environment(platform, machine or host_platform.machine()) | chosen | _FIXED
