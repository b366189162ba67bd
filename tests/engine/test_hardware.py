"""What of the machine this process may use, read from trees of files as the kernel shows them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from reshore.config import EngineConfig
from reshore.engine.hardware import Gpu, cores, detect, detect_gpus, memory, parse_devices

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's files")

GIB = 1 << 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "proc/meminfo", f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\n")
    return tmp_path


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_cgroups_the_machines_memory_counts(root: Path) -> None:
    assert memory(root) == (16 * GIB, 8 * GIB)


def test_a_version_2_limit_counts_without_the_reclaimable_cache(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/app/worker\n")
    put(root, "sys/fs/cgroup/app/memory.max", f"{4 * GIB}\n")
    put(root, "sys/fs/cgroup/app/memory.current", f"{3 * GIB}\n")
    put(root, "sys/fs/cgroup/app/memory.stat", f"anon 1\ninactive_file {GIB}\n")
    put(root, "sys/fs/cgroup/app/worker/memory.max", "max\n")
    assert memory(root) == (4 * GIB, 2 * GIB)


def test_a_version_1_limit_counts_even_if_the_path_is_the_hosts(root: Path) -> None:
    put(root, "proc/self/cgroup", "5:cpu,cpuacct:/\n4:memory:/host/path\n0::/\n")
    put(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", f"{2 * GIB}\n")
    put(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", f"{GIB // 2}\n")
    assert memory(root) == (2 * GIB, 2 * GIB - GIB // 2)


def test_more_use_than_the_limit_means_nothing_is_free(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/\n")
    put(root, "sys/fs/cgroup/memory.max", str(GIB))
    put(root, "sys/fs/cgroup/memory.current", str(2 * GIB))
    assert memory(root)[1] == 0


def test_no_limit_of_version_1_is_a_huge_number(root: Path) -> None:
    put(root, "proc/self/cgroup", "4:memory:/\n")
    put(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    put(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", str(GIB))
    assert memory(root) == (16 * GIB, 8 * GIB)


def test_hyper_threads_of_one_core_count_once(root: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    for cpu in allowed:
        put(root, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", "0-999")
    assert cores(root) == 1


def test_without_topology_each_allowed_cpu_is_a_core(root: Path) -> None:
    assert cores(root) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("cpu.max", "150000 100000", "0::/"),
        ("cpu/cpu.cfs_quota_us", "150000", "3:cpu:/"),
    ],
)
def test_a_quota_is_rounded_down_to_whole_cores(
    root: Path, file: str, text: str, line: str
) -> None:
    put(root, "proc/self/cgroup", line)
    put(root, f"sys/fs/cgroup/{file}", text)
    put(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
    assert cores(root) == 1


@pytest.mark.parametrize("text", ["max 100000", "20000 100000", ""])
def test_no_quota_and_a_tiny_quota_leave_at_least_one_core(root: Path, text: str) -> None:
    put(root, "proc/self/cgroup", "0::/")
    put(root, "sys/fs/cgroup/cpu.max", text)
    assert cores(root) >= 1


def test_this_machine_has_cores_and_memory() -> None:
    found = detect(gpus=(Gpu(name="x", total_bytes=2, free_bytes=1),))
    assert found.cores >= 1
    assert 0 < found.free_bytes <= found.total_bytes
    assert found.gpus[0].name == "x"


@pytest.mark.slow
def test_gpus_are_asked_for_in_a_process_of_their_own() -> None:
    assert all(0 <= gpu.free_bytes <= gpu.total_bytes for gpu in detect_gpus(EngineConfig()))
    assert "xllamacpp" not in sys.modules


def test_a_library_that_hangs_means_no_gpu() -> None:
    assert detect_gpus(EngineConfig(), timeout_s=0.001) == ()


def test_the_scripted_engine_needs_no_gpu() -> None:
    assert detect_gpus(EngineConfig(kind="echo"), timeout_s=0) == ()


def test_a_llama_server_is_asked_for_its_own_devices(tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text(
        "#!/bin/sh\n[ $1 = --list-devices ] && cat <<END\n"
        "Available devices:\n"
        "  CUDA0: NVIDIA GeForce RTX 3090 (24268 MiB, 23900 MiB free)\n"
        "  BLAS: OpenBLAS (0 MiB, 0 MiB free)\nEND\n"
    )
    program.chmod(0o700)
    (found,) = detect_gpus(EngineConfig(kind="llama-server", path=str(program)))
    assert found == Gpu(name="CUDA0", total_bytes=24268 << 20, free_bytes=23900 << 20)
    assert detect_gpus(EngineConfig(kind="llama-server", path=str(tmp_path / "none"))) == ()


def test_devices_that_are_not_understood_are_none() -> None:
    assert parse_devices("Available devices:\n  (none)\nnonsense: (1 MiB, x MiB free)") == ()
    assert parse_devices("  MTL0: Apple M2 (10 MiB, 9 MiB free)")[0].unified
