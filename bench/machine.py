"""What figures depend on besides us: the machine, the versions, and who else was busy."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from reshore.engine.hardware import detect

_PACKAGES = ("reshore", "xllamacpp", "aiohttp", "uvicorn", "uvloop", "httptools", "msgspec")


def facts() -> dict[str, Any]:
    """Cores, processor, versions and date of a run."""
    return {
        "cpu": _cpu_model(),
        "cores": detect().cores,
        "memory_mb": psutil.virtual_memory().total >> 20,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpu_model() -> str:
    """The processor's name; Linux keeps it where `platform` does not look."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


@contextmanager
def others_noted(noted: MutableMapping[str, float], part: str) -> Iterator[None]:
    """Note how many cores other programs took on average while the body ran.

    What the body started must have ended with it: only then is its time counted as ours.
    """
    began, busy, own = time.monotonic(), _busy_s(), _own_s()
    yield
    lasted = time.monotonic() - began
    noted[part] = max(0.0, (_busy_s() - busy) - (_own_s() - own)) / lasted


def _busy_s() -> float:
    """Processor time that all programs have used since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def _own_s() -> float:
    """Processor time of this process and of all that it has started and seen end."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
