"""Reaches a judge through the server's own backends, as copies of requests do: for nobody's answer.

What it costs is an attempt of the request whose answers are judged, in the ledger and the metrics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from reshore.backends.answer import Measured
from reshore.clock import Clock
from reshore.errors import BackendTimeout, Overloaded
from reshore.evals.judge import FORMAT, MOST_TOKENS, Form
from reshore.evals.judging import Spoken
from reshore.routing.journal import Journal
from reshore.routing.shadow import Occupied
from reshore.types import (
    Attempt,
    ChatRequest,
    Chunk,
    Message,
    Reply,
    ResponseFormat,
    Sampling,
    Target,
)

_LOOK_S = 0.25
# How long to wait for engines; longer, and pairs that need no judge would find no room behind it.
_PATIENCE_S = 15.0


class BackendAsks:
    """Implements `judging.AsksChat`.

    Args:
        target: the judge's model.
        chat: asks its backend; gets the request, and the id of the one that is judged.
        local: the engines of this machine, for a judge that runs on them: it waits while clients
            want them, and gives way to the first one that does. None for a judge elsewhere.
        record_late: gets each attempt, role `judge`.
        timeout_s: of one verdict.
    """

    def __init__(
        self,
        target: Target,
        chat: Callable[[ChatRequest, str], AbstractAsyncContextManager[Reply]],
        *,
        clock: Clock,
        record_late: Callable[[str, Attempt], None],
        local: Occupied | None = None,
        timeout_s: float = 120.0,
    ) -> None:
        self._target = target
        self._chat = chat
        self._clock = clock
        self._record_late = record_late
        self._local = local
        self._timeout_s = timeout_s
        self._running = 0

    async def ask(self, messages: Sequence[Message], form: Form, *, request_id: str) -> Spoken:
        """See `AsksChat`.

        Raises:
            Overloaded: clients want the engines.
            BackendTimeout: no whole verdict in time.
            BackendError, EngineError, RequestError: as the backend does.
        """
        await self._find_room()
        request = ChatRequest(
            model=self._target.model,
            messages=tuple(messages),
            response_format=FORMAT if form == "json" else ResponseFormat(),
            # Models that think refuse a temperature; they have refused the format before.
            sampling=Sampling(temperature=0.0 if form == "json" else None, max_tokens=MOST_TOKENS),
        )
        self._running += 1
        line = Journal(self._clock, request_id=request_id).begin("judge", self._target)
        measured = Measured()
        pieces: list[str] = []
        try:
            async with asyncio.timeout(self._timeout_s), self._chat(request, request_id) as reply:
                line.drafted(measured)
                async for batch in reply.chunks:
                    if self._is_wanted():
                        raise self._gave_way("a client wants the engines")
                    for chunk in batch:
                        pieces.append(chunk.content)
                        _note(chunk, measured)
        except TimeoutError as error:
            late = BackendTimeout(
                f"no verdict within {self._timeout_s:g} s", backend=self._target.backend
            )
            line.end(late)
            raise late from error
        except BaseException as error:
            line.end(error)
            raise
        finally:
            self._running -= 1
            line.end()
            self._record_late(request_id, line.attempt(answered=False))
        return Spoken(text="".join(pieces))

    async def _find_room(self) -> None:
        """Wait for engines that nobody uses but judges."""
        until_s = self._clock.monotonic() + _PATIENCE_S
        while self._is_wanted():
            if self._clock.monotonic() >= until_s:
                raise self._gave_way(f"clients had the engines for {_PATIENCE_S:g} s")
            await self._clock.sleep(_LOOK_S)

    def _is_wanted(self) -> bool:
        """Whether somebody else wants the engines of this machine; copies of requests wait."""
        return self._local is not None and self._local.present() > self._running

    def _gave_way(self, why: str) -> Overloaded:
        model = self._target.model
        return Overloaded(f"the judge {model} gave way: {why}", retry_after_s=_PATIENCE_S)


def _note(chunk: Chunk, measured: Measured) -> None:
    measured.finish_reason = chunk.finish_reason or measured.finish_reason
    measured.usage = chunk.usage or measured.usage
    measured.timings = chunk.timings or measured.timings
