"""Disk work off the event loop, in a way that cancellation cannot leave half-owned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def blocking(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call in a thread.

    Cancellation is delivered after the call has returned: a thread cannot be stopped, and a file
    must not be closed while it is still being written. So the calls given here are short.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        work.exception()  # looked at, so that asyncio does not report it as forgotten
        raise cancelled
    return work.result()
