"""Endpoints whose requests are routed: decide who answers, ask them, relay what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reshore.backends.answer import Call
from reshore.errors import UnknownModel
from reshore.routing.asking import Asking, Kind
from reshore.routing.decide import decide
from reshore.routing.dispatch import Manner
from reshore.routing.journal import Journal
from reshore.routing.plan import Plan, Ruling
from reshore.server.calls.origin import Origin
from reshore.server.endpoint import Endpoint
from reshore.server.exchange import Exchange
from reshore.server.inbound import header_reader, read_pin
from reshore.server.relay import relay

_PLAIN = Manner()
_KEPT = Manner(keep_text=True)


class Routed(Endpoint):
    """An endpoint that a backend answers."""

    def _origin(self, exchange: Exchange) -> Origin:
        return Origin(exchange.request_id, exchange.headers, exchange.elapsed_ms)

    def _asking(
        self, exchange: Exchange, name: str, kind: Kind, load: Callable[[], Any], user: str = ""
    ) -> Asking:
        """What `decide` may know of this request.

        Raises:
            LoopDetected: it has been here before.
            RequestError: its header `x-reshore-route` names no side.
        """
        headers = exchange.headers
        return Asking(
            name=name,
            kind=kind,
            user=user,
            key=exchange.key,
            pin=read_pin(headers, self._services.instance_id),
            header=header_reader(headers),
            load=load,
        )

    async def _decide(self, exchange: Exchange, asking: Asking) -> Ruling:
        """Who answers. Raises what `decide` raises."""
        services = self._services
        if services.inventory.stale:
            await services.inventory.refresh()
        routing = services.routing
        try:
            ruling = decide(asking, routing.view, routing.world)
        except UnknownModel as error:
            await self._look_again(error)
            ruling = decide(asking, routing.view, routing.world)
        exchange.decision = ruling.decision
        return ruling

    async def _look_again(self, error: UnknownModel) -> None:
        """Before a client is told that there is no such model, the disk is asked.

        Raises:
            UnknownModel: there is none; with the names that are spelled alike.
            BadModelFile: nobody can tell, or its manifest is damaged.
        """
        try:
            await self._services.library.listed(error.model)
        except UnknownModel as unknown:
            if not await self._is_listed(error.stand_in):
                raise UnknownModel(
                    error.model, nearest=unknown.nearest, stand_in=error.stand_in
                ) from None
        await self._services.inventory.refresh()

    async def _is_listed(self, name: str) -> bool:
        if not name:
            return False
        try:
            await self._services.library.listed(name)
        except UnknownModel:
            return False
        return True

    async def _dispatch(self, exchange: Exchange, call: Call, plan: Plan, body: bytes) -> None:
        """Carry out the plan, and relay the answer; a client that hangs up ends it."""
        services = self._services
        journal = self._journal(exchange, len(body))
        kept = services.ledger.wants_texts(exchange.request_id)
        try:
            async with (
                services.drain.interruptible(exchange.receive),
                services.dispatcher.carry_out(
                    call, plan, journal, _KEPT if kept else _PLAIN
                ) as answer,
            ):
                journal.answered(answer)
                await relay(exchange, answer)
        finally:
            if kept:
                services.ledger.record_texts(exchange.texts(body))

    def _journal(self, exchange: Exchange, size_bytes: int) -> Journal:
        clock = self._services.clock
        exchange.journal = journal = Journal(
            clock,
            request_id=exchange.request_id,
            size_bytes=size_bytes,
            started_s=clock.monotonic() - exchange.elapsed_ms() / 1000,
            wall_s=exchange.wall_s,
            route=exchange.decision.route if exchange.decision else "",
            key=exchange.key,
        )
        return journal
