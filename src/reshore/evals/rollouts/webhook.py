"""Events of rollouts, posted to one address of the settings: signed, retried, never waited for.

A receiver checks `x-reshore-signature`, which is `t=SECONDS,v1=HEX`: HEX is the HMAC-SHA256, by the
shared secret, of SECONDS, a dot, and the body as it came. Whoever knows no secret can make none,
and one that was caught cannot be sent again a day later. `x-reshore-delivery` is the same in every
try of one event, so that a receiver knows what it had already.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import random
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from reshore.clock import Clock
from reshore.evals.rollouts.asked import Event

log = logging.getLogger("reshore.rollout")

# Events that wait; a rollout makes some in a day.
_WAITING = 100
# 1 + 2 + 4 + 8 s at the most: a receiver that is deployed anew is back by then.
_TRIES = 5
_PAUSE_S = 1.0
# What may pass: too early, too many, and its own faults.
_PASSING = frozenset({408, 425, 429})
_ENDED = "the server ended"


class _Delivery(Struct, frozen=True, kw_only=True):
    id: str
    event: str
    body: bytes


class Webhook:
    """Delivers events in their order, one at a time. Its state belongs to the event loop's thread.

    Args:
        url: where to. Redirects are not followed: only the settings say where anything goes.
        secret: signs; is never logged, nor is the address, whose path may be a secret itself.
        timeout_s: of one try.
        chance: numbers in 0..1 for the jitter of retries.

    Attributes:
        lost: events that were given up or found no room.
    """

    def __init__(
        self,
        url: str,
        secret: bytes,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        timeout_s: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._url = URL(url)
        self._secret = secret
        self._session = session
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._chance = chance
        self._waiting: deque[_Delivery] = deque()
        self._woken = asyncio.Event()
        self.lost = 0

    def offer(self, event: Event) -> None:
        """Take an event, at once; the oldest gives way where there are too many."""
        if len(self._waiting) >= _WAITING:
            self._give_up(self._waiting.popleft(), "too many wait")
        body = msgspec.json.encode(event)
        name = event.event.replace(" ", "_")
        self._waiting.append(_Delivery(id=secrets.token_hex(12), event=name, body=body))
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled. What was not delivered by then is lost."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                delivery = self._waiting.popleft()
                try:
                    await self._deliver(delivery)
                except asyncio.CancelledError:
                    self._give_up(delivery, _ENDED)
                    raise

    def close(self) -> None:
        """Give up what waits, when nobody delivers any more."""
        while self._waiting:
            self._give_up(self._waiting.popleft(), _ENDED)

    async def _deliver(self, delivery: _Delivery) -> None:
        for number in range(_TRIES):
            if number:
                longest_s = _PAUSE_S * 2 ** (number - 1)
                await self._clock.sleep(longest_s * (0.5 + 0.5 * self._chance()))
            problem, passes = await self._try(delivery)
            if not problem:
                return
            if not passes:
                break
        self._give_up(delivery, problem)

    async def _try(self, delivery: _Delivery) -> tuple[str, bool]:
        """What went wrong, "" if nothing did, and whether that may pass."""
        try:
            async with self._session.post(
                self._url,
                data=delivery.body,
                headers=self._headers(delivery),
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__, True
        if 200 <= status < 300:
            return "", False
        return f"status {status}", status >= 500 or status in _PASSING

    def _headers(self, delivery: _Delivery) -> dict[str, str]:
        at_s = int(self._clock.wall())
        return {
            "content-type": "application/json",
            "x-reshore-event": delivery.event,
            "x-reshore-delivery": delivery.id,
            "x-reshore-signature": signature(self._secret, delivery.body, at_s),
        }

    def _give_up(self, delivery: _Delivery, why: str) -> None:
        self.lost += 1
        extra = {"event": delivery.event, "delivery": delivery.id, "host": self._url.host}
        log.error("the webhook was not told of a rollout's event: %s", why, extra=extra)


def signature(secret: bytes, body: bytes, at_s: int) -> str:
    """The header that proves who sent the body, and when."""
    signed = hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={signed}"


@contextlib.asynccontextmanager
async def open_webhook(
    url: str, secret: bytes, clock: Clock, *, timeout_s: float
) -> AsyncIterator[Webhook]:
    """A webhook at work, over a connection of its own."""
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # a proxy variable must not carry it elsewhere
    ) as session:
        webhook = Webhook(url, secret, session, clock, timeout_s=timeout_s)
        task = asyncio.create_task(webhook.run())
        try:
            yield webhook
        finally:
            task.cancel()
            await asyncio.wait([task])
            webhook.close()
