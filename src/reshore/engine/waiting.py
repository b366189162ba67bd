"""How an engine's threads wait for each other.

llama.cpp splits every operation of a graph over its threads and joins them at a barrier, hundreds
of times per token. A thread that waits there can spin (fast while each thread has a core of its
own; ruinous when it has not: it burns the very time slice that the late thread needs) or sleep
(fair, but each wake-up costs a system call). The best is to spin for about as long as a barrier
lasts on a quiet machine and to sleep afterwards.
"""

from __future__ import annotations

# Rounds of libgomp's spin loop before a thread sleeps, some ten microseconds. Chosen with
# `python -m bench.turns`; the figures stand in docs/performance.md, "Waiting and turns".
GOMP_SPIN_ROUNDS = 300


def openmp_environment(platform: str) -> dict[str, str]:
    """Environment variables for engine processes, so that waiting threads give way.

    Args:
        platform: `sys.platform` of the machine that the engine runs on.

    Returns:
        What to set unless the operator has set it already. Linux: the wheel links libgomp, which
        spins so many rounds and then sleeps. Windows: the wheel links vcomp140, which has no such
        number and yields its core while it spins. macOS: the wheel has no OpenMP. Neither of the
        two could be measured, so both are left as they are.
    """
    if platform.startswith("linux"):
        return {"GOMP_SPINCOUNT": str(GOMP_SPIN_ROUNDS)}
    return {}
