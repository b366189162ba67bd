"""How an engine's threads wait for each other.

llama.cpp splits every operation of a graph over its threads and joins them at a barrier, hundreds
of times per token. A thread that waits there can spin (fast while each thread has a core of its
own; ruinous when it has not: it burns the very time slice that the late thread needs) or sleep
(fair, but each wake-up costs a system call). The best is to spin for about as long as a barrier
lasts on a quiet machine and to sleep afterwards.
"""

from __future__ import annotations

# Rounds of libgomp's spin loop before a thread sleeps, by machine; what counts is the time, some
# five to ten microseconds. x86-64: chosen with `python -m bench.turns`; the figures stand in
# docs/performance.md, "Waiting and turns". Its `pause` lasts 40 to 140 cycles on processors since
# 2015. AArch64: not measured; its `yield` takes a cycle or two, so about the same time is ten times
# as many rounds.
GOMP_SPIN_ROUNDS = 300
_AARCH64_SPIN_ROUNDS = 10 * GOMP_SPIN_ROUNDS


def openmp_environment(platform: str, machine: str = "x86_64") -> dict[str, str]:
    """Environment variables for engine processes, so that waiting threads give way.

    Args:
        platform: `sys.platform` of where the engine runs.
        machine: `platform.machine()` of it.

    Returns:
        What to set unless the operator has set it already. Linux: the wheel links libgomp, which
        spins so many rounds and then sleeps. Windows: the wheel links vcomp140, which has no such
        number and yields its core while it spins. macOS: the wheel has no OpenMP. Neither of the
        two could be measured, so both are left as they are.
    """
    if platform.startswith("linux"):
        arm = machine in ("aarch64", "arm64")
        return {"GOMP_SPINCOUNT": str(_AARCH64_SPIN_ROUNDS if arm else GOMP_SPIN_ROUNDS)}
    return {}
