"""What this process may use of the machine: cores, memory, GPUs.

A container or a service manager often gives a process less than the machine has, so affinity masks
and cgroup limits (both versions) count, not the totals that the hardware reports.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from reshore.config import EngineConfig
from reshore.engine.environment import child_environment


class Gpu(Struct, frozen=True, kw_only=True):
    """One device that llama.cpp can offload layers to.

    Attributes:
        unified: its memory is the machine's main memory (integrated GPUs, Apple silicon).
    """

    name: str
    total_bytes: int
    free_bytes: int
    unified: bool = False


class Hardware(Struct, frozen=True, kw_only=True):
    """What the engines of this process may use.

    Attributes:
        cores: physical cores, at least 1; hyper-threads do not help llama.cpp's matrix products.
        total_bytes, free_bytes: main memory, within the cgroup's limit if there is one.
    """

    cores: int
    total_bytes: int
    free_bytes: int
    gpus: tuple[Gpu, ...] = ()


# `  CUDA0: NVIDIA GeForce RTX 3090 (24268 MiB, 23900 MiB free)`
_DEVICE = re.compile(
    r"^ +(?P<name>\w+): .*\((?P<total>\d+) MiB, (?P<free>\d+) MiB free\)$", re.MULTILINE
)


def detect(*, root: Path = Path("/"), gpus: tuple[Gpu, ...] = ()) -> Hardware:
    """Look at the machine now; reads a few small files, blocks for well under a millisecond.

    Args:
        root: where `proc` and `sys` are found.
        gpus: what `detect_gpus` gave; asking costs a process, so callers keep the answer.
    """
    total, free = memory(root)
    return Hardware(cores=cores(root), total_bytes=total, free_bytes=free, gpus=gpus)


def detect_gpus(settings: EngineConfig, *, timeout_s: float = 30.0) -> tuple[Gpu, ...]:
    """The GPUs that the engine of these settings sees, asked in a child process; blocks for ~0.2 s.

    The wheel's library and a llama-server executable may be built for different devices. A driver
    that crashes, hangs or is missing means: no GPU.
    """
    if settings.kind == "echo":
        return ()
    argv = [sys.executable, "-P", "-m", "reshore.engine.worker", "--devices"]
    if settings.kind == "llama-server":
        argv = [shutil.which(settings.path) or settings.path, "--list-devices"]
    try:
        done = subprocess.run(
            argv, capture_output=True, env=child_environment(), timeout=timeout_s, check=True
        )
        if settings.kind == "llama-server":
            return parse_devices(done.stdout.decode(errors="replace"))
        return msgspec.json.decode(done.stdout, type=tuple[Gpu, ...])
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError):
        return ()


def parse_devices(text: str) -> tuple[Gpu, ...]:
    """The GPUs in the output of `llama-server --list-devices`; what is not understood is none."""
    return tuple(
        Gpu(
            name=found["name"],
            total_bytes=int(found["total"]) << 20,
            free_bytes=int(found["free"]) << 20,
            unified=found["name"].startswith("MTL"),
        )
        for found in _DEVICE.finditer(text)
        if int(found["total"])  # BLAS and the like are listed too, without memory
    )


def cores(root: Path = Path("/")) -> int:
    """Physical cores among the CPUs this process may run on, within the cgroup's quota."""
    allowed = _allowed_cpus()
    siblings = {_text(root, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or
                str(cpu) for cpu in allowed}  # fmt: skip
    physical = _sysctl("hw.perflevel0.physicalcpu") or len(siblings)
    # Rounded down: a thread beyond the quota is throttled and the others wait for it.
    return max(1, min([physical, *(math.floor(quota) for quota in _cpu_quotas(root))]))


def memory(root: Path = Path("/")) -> tuple[int, int]:
    """Total and free main memory in bytes; free includes caches the kernel would give back."""
    total, free = _machine_memory(root)
    for limit, used in _memory_limits(root):
        total, free = min(total, limit), min(free, limit - used)
    return total, max(0, free)


def _allowed_cpus() -> Iterable[int]:
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _cpu_quotas(root: Path) -> Iterator[float]:
    """CPUs' worth of time that each cgroup above us allows."""
    for folder in _cgroups(root, ""):
        words = (_text(folder, "cpu.max") or "max").split()
        if len(words) == 2 and words[0].isdigit():
            yield int(words[0]) / int(words[1])
    for folder in _cgroups(root, "cpu"):
        quota, period = _number(folder, "cpu.cfs_quota_us"), _number(folder, "cpu.cfs_period_us")
        if quota is not None and quota > 0 and period:
            yield quota / period


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use in bytes of each cgroup above us; page cache that can go is not use."""
    names = (("", "memory.max", "memory.current"),
             ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"))  # fmt: skip
    for controller, limit_name, used_name in names:
        for folder in _cgroups(root, controller):
            limit, used = _number(folder, limit_name), _number(folder, used_name)
            if limit is not None and used is not None:
                yield limit, max(0, used - _reclaimable(folder))


def _reclaimable(folder: Path) -> int:
    """Bytes of the cgroup's page cache that nobody used lately."""
    for line in (_text(folder, "memory.stat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return int(value)
    return 0


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of our cgroup and all above it; controller "" is version 2.

    Inside a container the path in /proc/self/cgroup may be the host's; folders that are not there
    give no numbers and are passed over, up to the mount point, which is the container's own.
    """
    for line in (_text(root, "proc/self/cgroup") or "").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / controller
        own = Path(path.lstrip("/"))
        yield from (mount / folder for folder in (own, *own.parents) if ".." not in folder.parts)
        return


def _machine_memory(root: Path) -> tuple[int, int]:
    fields = dict(
        line.split(":", 1)
        for line in (_text(root, "proc/meminfo") or "").splitlines()
        if ":" in line
    )
    if "MemAvailable" in fields:
        return _kib(fields["MemTotal"]), _kib(fields["MemAvailable"])
    if sys.platform == "win32":
        return _windows_memory()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # macOS gives no cheap count of what can be reclaimed: half is a cautious guess, and the
    # kernel compresses and pages long before an engine is killed.
    return total, total // 2


def _kib(text: str) -> int:
    return int(text.split()[0]) * 1024


def _windows_memory() -> tuple[int, int]:
    """GlobalMemoryStatusEx: dwLength, dwMemoryLoad, then seven 64-bit counts."""
    status = (ctypes.c_uint64 * 8)(64)
    ctypes.CDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status[1]), int(status[2])


def _sysctl(name: str) -> int | None:
    """A number from macOS's sysctl, None elsewhere or when the machine does not know it."""
    if sys.platform != "darwin":
        return None
    value, size = ctypes.c_int32(), ctypes.c_size_t(4)
    failed = ctypes.CDLL(None).sysctlbyname(
        name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)
    )
    return None if failed else value.value


def _number(folder: Path, name: str) -> int | None:
    try:
        return int(_text(folder, name) or "")
    except ValueError:
        return None


def _text(folder: Path, name: str) -> str | None:
    try:
        return (folder / name).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
