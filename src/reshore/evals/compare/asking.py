"""Ask the running server, and measure how it answers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

import aiohttp
import msgspec
from msgspec import Struct, structs
from yarl import URL

from reshore.clock import Clock
from reshore.errors import BackendError, Unreachable
from reshore.evals.compare.aims import Aim
from reshore.evals.compare.answers import Answer, key_of
from reshore.evals.compare.prompts import Prompt
from reshore.ledger.prices import Prices
from reshore.types import Attempt, Chunk, FinishReason, Target, ToolCall, Usage
from reshore.wire.openai.reply import ReplyDecoder
from reshore.wire.sse import SseDecoder

_SERVER = "reshore"
_DECISION = re.compile(
    r'side=(?P<side>local|cloud); backend=(?P<backend>[^;]*); model="(?P<model>[^"]*)"'
)
_DONE = b"[DONE]"
# A full queue or a rate limit passes; whoever says for how long is believed, within reason.
_BUSY = (429, 503)
_TRIES = 5
_LONGEST_PAUSE_S = 60.0


class _Problem(Struct, gc=False):
    message: str = ""


class _Event(Struct, gc=False):
    error: _Problem | None = None


class Asker:
    """Asks one server.

    Args:
        session: how it is reached; it has no time limit of its own, for the server has them.
        base: its address.
        prices: what the answers cost.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        *,
        prices: Prices,
        clock: Clock,
    ) -> None:
        self._session = session
        self._base = base
        self._prices = prices
        self._clock = clock

    async def ready(self, target: Aim) -> None:
        """Have a model of this machine in memory, so that no answer's latency is its loading.

        That it cannot be had is no error here: its answers will tell.
        """
        if target.lane != "local":
            return
        body = msgspec.json.encode({"model": target.model, "messages": [], "stream": False})
        with contextlib.suppress(aiohttp.ClientError):
            async with self._session.post(f"{self._base}/api/chat", data=body) as response:
                await response.read()

    async def ask(self, prompt: Prompt, target: Aim) -> Answer:
        """One answer; what goes wrong with it is told in it. Cancellation ends the generation.

        Raises:
            Unreachable: there is no server any more.
        """
        for tries in range(1, _TRIES + 1):
            answer, pause_s = await self._once(prompt, target)
            if pause_s is None or tries == _TRIES:
                break
            await self._clock.sleep(pause_s)
        return answer

    async def _once(self, prompt: Prompt, target: Aim) -> tuple[Answer, float | None]:
        """An answer, and how long to wait before another try; None: it would be no better."""
        began_s, wall_s = self._clock.monotonic(), self._clock.wall()
        reading = _Reading(self._clock)
        by: Target | None = None
        error, pause_s = "", None
        try:
            async with self._session.post(
                URL(self._base + target.path, encoded=True),
                data=self._body(prompt, target),
                headers={"content-type": "application/json"},
            ) as response:
                by = _answered_by(response.headers)
                if response.status == 200:
                    await reading.read(response)
                else:
                    error = _message(await response.read(), response.status)
                    pause_s = _pause_s(response, tries_after_s=1.0)
        except aiohttp.ClientConnectorError as problem:
            raise Unreachable(
                "the server went away; start it, and call the same command again: what was "
                "answered is kept",
                backend=_SERVER,
            ) from problem
        except (aiohttp.ClientError, BackendError, TimeoutError) as problem:
            error = str(problem) or type(problem).__name__
        first_s, now_s = reading.first_s, self._clock.monotonic()
        answer = Answer(
            key=key_of(prompt, target.text),
            target=target.text,
            by=_name(by),
            text="".join(reading.text),
            tool_calls=reading.calls(),
            finish_reason=reading.finish_reason,
            error=error,
            ttft_ms=None if first_s is None else (first_s - began_s) * 1000,
            total_ms=(now_s - began_s) * 1000,
            usage=reading.usage,
            wall_s=wall_s,
        )
        return structs.replace(answer, nano_usd=self._cost(answer, by, target)), pause_s

    def _body(self, prompt: Prompt, target: Aim) -> bytes:
        stream = {"stream": True, "stream_options": {"include_usage": True}}
        return msgspec.json.encode({**prompt.body, **stream, "model": target.model})

    def _cost(self, answer: Answer, by: Target | None, target: Aim) -> int | None:
        if by is None:
            return None
        attempt = Attempt(role="primary", target=by, usage=answer.usage, total_ms=answer.total_ms)
        price = self._prices.of(attempt, target.model, answer.wall_s)
        return None if price is None else price.nano_usd


class _Reading:
    """What one stream has brought so far."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: dict[int, list[str]] = {}
        self.text: list[str] = []
        self.finish_reason: FinishReason | None = None
        self.first_s: float | None = None
        self.usage: Usage | None = None

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Take all of it. Raises BackendError for what breaks off or is no answer."""
        events, reply = SseDecoder(_SERVER), ReplyDecoder(_SERVER)
        async for data in response.content.iter_any():
            for payload in events.feed(data):
                if payload == _DONE:
                    continue
                if payload.startswith(b'{"error"'):
                    raise BackendError(_message(payload, 200), backend=_SERVER)
                for chunk in reply.event(payload):
                    self._take(chunk)
        for chunk in reply.end():
            self._take(chunk)

    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(
            ToolCall(id=id, name=name, arguments=arguments)
            for _, (id, name, arguments) in sorted(self._calls.items())
        )

    def _take(self, chunk: Chunk) -> None:
        said = chunk.content or chunk.reasoning or chunk.tool_calls
        if said and self.first_s is None:
            self.first_s = self._clock.monotonic()
        self.text.append(chunk.content)
        for delta in chunk.tool_calls:
            call = self._calls.setdefault(delta.index, [delta.id or "", delta.name or "", ""])
            call[2] += delta.arguments
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.usage = chunk.usage or self.usage


def _answered_by(headers: Mapping[str, str]) -> Target | None:
    found = _DECISION.match(headers.get("x-reshore-decision", ""))
    if found is None:
        return None
    side, backend, model = found.groups()
    return Target(side="local" if side == "local" else "cloud", backend=backend, model=model)


def _name(by: Target | None) -> str:
    if by is None:
        return ""
    return f"local:{by.model}" if by.side == "local" else f"cloud:{by.backend}/{by.model}"


def _message(body: bytes, status: int) -> str:
    try:
        problem = msgspec.json.decode(body, type=_Event).error
    except msgspec.DecodeError:
        problem = None
    return (problem and problem.message) or f"status {status}"


def _pause_s(response: aiohttp.ClientResponse, *, tries_after_s: float) -> float | None:
    if response.status not in _BUSY or response.headers.get("x-should-retry") == "false":
        return None
    try:
        asked_s = float(response.headers.get("retry-after", tries_after_s))
    except ValueError:
        asked_s = tries_after_s
    return asked_s if 0 <= asked_s <= _LONGEST_PAUSE_S else None
