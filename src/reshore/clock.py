"""Time as an argument, so that tests can move it.

Durations and deadlines use `monotonic`, which no administrator and no leap second can turn back;
`wall` is only for what people and other machines read.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What reshore asks of time. `reshore.testing.MovableClock` is the other implementation."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch, as this machine believes."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; cancellation ends the wait at once."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
