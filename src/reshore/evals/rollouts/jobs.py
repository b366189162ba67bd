"""Work that is asked of one task, and done there: nobody else touches what that task owns."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from reshore.errors import ShuttingDown

T = TypeVar("T")


class _Job(NamedTuple, Generic[T]):
    work: Callable[[], Awaitable[T]]
    done: asyncio.Future[T]


class Jobs(Generic[T]):
    """Work that waits for its task.

    Args:
        wake: is called when there is some.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: deque[_Job[T]] = deque()
        self._closed = False

    def __bool__(self) -> bool:
        """Whether some waits."""
        return bool(self._waiting)

    async def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """What the work comes to. Cancelled, it is done all the same.

        Raises:
            ShuttingDown: nobody works any more.
            Exception: what the work raises.
        """
        if self._closed:
            raise _closing()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(work, done))
        self._wake()
        return await done

    async def do(self) -> None:
        """Do all that waits, in the task that owns what it works on."""
        while self._waiting:
            job = self._waiting.popleft()
            try:
                found = await job.work()
            except Exception as error:
                _refuse(job, error)
            else:
                if not job.done.done():
                    job.done.set_result(found)

    def close(self) -> None:
        """Nothing is done any more; who waits is told."""
        self._closed = True
        while self._waiting:
            _refuse(self._waiting.popleft(), _closing())


def _refuse(job: _Job[T], error: Exception) -> None:
    if not job.done.done():  # nobody waits any more
        job.done.set_exception(error)


def _closing() -> ShuttingDown:
    return ShuttingDown("the server ends; ask again when it is back")
