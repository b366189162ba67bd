"""What OpenAI's API has beyond our endpoints (responses, images, audio, files, batches, …): sent on
to an upstream, and its reply back, as they are."""

from __future__ import annotations

from urllib.parse import unquote

from reshore.errors import Forbidden, NoWebSocket, UnknownEndpoint
from reshore.routing.plan import Plan, targets
from reshore.routing.world import World
from reshore.server.calls.forward import ForwardCall
from reshore.server.exchange import Exchange
from reshore.server.relay import relay_unread
from reshore.server.routed import Routed
from reshore.server.upload import Upload, open_upload


class Forward(Routed):
    """Any method and path under `/v1`."""

    @property
    def takes_any(self) -> bool:
        """Whether there is an upstream for such requests."""
        return any(remote.config.forward for remote in self._services.backends.remotes.values())

    async def forward(self, exchange: Exchange) -> None:
        """Route by the model that the body names, and relay both ways as the bytes come.

        Raises:
            Forbidden: a privacy rule keeps it here, or it cannot be looked into.
            NoWebSocket: it asks for one.
            UnknownEndpoint: the path leaves `/v1`, or the upstream takes no such requests.
        """
        services = self._services
        path = _path(exchange)
        _check_plain(exchange)
        upload = await open_upload(exchange, services.config.limits)
        exchange.asked_model = upload.model or None
        _check_seen(upload, services.routing.world)
        asking = self._asking(
            exchange, upload.model, "forward", lambda: upload.parsed() | {"": unquote(path)}
        )
        ruling = await self._decide(exchange, asking)
        self._check_taken(ruling.plan, exchange)
        call = ForwardCall(
            services.backends, self._origin(exchange), exchange.scope["method"], path, upload
        )
        journal = self._journal(exchange, len(upload.ahead))
        async with (
            services.drain.interruptible(upload.hang_up),
            services.dispatcher.open(call, ruling.plan, journal) as answer,
        ):
            await relay_unread(exchange, answer)

    def _check_taken(self, plan: Plan, exchange: Exchange) -> None:
        target = next(targets(plan))
        if not self._services.backends.remote(target).config.forward:
            scope = exchange.scope
            raise UnknownEndpoint(
                f"there is no {scope['method']} {scope['path']} here, and {target.backend} takes "
                f"no requests of this kind (`upstreams.{target.backend}.forward`)"
            )


def _path(exchange: Exchange) -> str:
    """With the query, as the client sent it.

    Raises:
        UnknownEndpoint: it would lead out of `/v1` at an upstream, where our key is used.
    """
    scope = exchange.scope
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    segments = unquote(path).replace("\\", "/").split("/")
    if not path.startswith("/v1/") or any(segment in (".", "..") for segment in segments):
        raise UnknownEndpoint(f"there is no {ascii(path)[:100]} here")
    query: bytes = scope["query_string"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def _check_plain(exchange: Exchange) -> None:
    """Refuse what a plain request upstream would answer with something else than was asked for."""
    wanted = (value for name, value in exchange.headers if name == b"upgrade")
    if any(b"websocket" in value.lower() for value in wanted):
        raise NoWebSocket(
            f"{exchange.scope['path']} asks for a WebSocket, and only plain HTTP is forwarded; "
            "connect to the upstream itself, or use an endpoint that streams events"
        )


def _check_seen(upload: Upload, world: World) -> None:
    """Refuse what a privacy rule might keep here, could it be read."""
    if upload.seen:
        return
    privacy = world.privacy
    if privacy.reads_texts or (privacy.reads_names and not upload.model):
        raise Forbidden(
            "This body cannot be looked into, and `[privacy]` has rules that it might break; send "
            "JSON of at most `limits.body_bytes`, or ask an endpoint that can be answered here.",
            code="local_only",
        )
