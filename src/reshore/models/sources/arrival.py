"""Waiting for one's turn to write a blob."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from reshore.clock import Clock
from reshore.models.blocking import blocking
from reshore.models.partial import Busy, Partial, on_disk
from reshore.models.progress import OnProgress, pulling
from reshore.models.store import Store

_ASK_AGAIN_S = 0.1


@asynccontextmanager
async def sole_writer(
    store: Store, digest: str, size: int, on_progress: OnProgress, clock: Clock
) -> AsyncIterator[Partial]:
    """The writer of a blob, once nobody else is writing it.

    While somebody is, their progress is reported. `partial.done` says that they have finished;
    if they gave up, their bytes are here to go on with. Cancellation keeps the partial.
    """
    partial = store.blobs.partial(digest)
    try:
        while not await _entered(partial):
            with contextlib.suppress(OSError):  # just renamed
                on_progress(pulling(digest, size, min(size, on_disk(partial.path.stat()))))
            await clock.sleep(_ASK_AGAIN_S)
        yield partial
    except BaseException as error:
        partial.__exit__(type(error), error, error.__traceback__)
        raise
    else:
        partial.__exit__(None, None, None)


async def _entered(partial: Partial) -> bool:
    try:
        await blocking(partial.__enter__)
    except Busy:
        return False
    return True
