"""One upstream as a backend: bytes passed on, or typed requests answered."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import aiohttp

from reshore.backends.answer import Answer, HeaderList
from reshore.backends.remote.headers import RequestHeaders
from reshore.backends.remote.keys import KeyRing
from reshore.backends.remote.peer import Peer
from reshore.backends.remote.raw import RawRequest, open_raw
from reshore.backends.remote.session import Door
from reshore.clock import Clock
from reshore.config import UpstreamConfig
from reshore.types import Target


class Remote:
    """One upstream, `[upstreams.NAME]`.

    Args:
        keys: its API keys (`config.read_keys`); none for one that needs none.
        session: from `open_session`, shared by all upstreams; the caller closes it.
        instance_id: of this process, for `via`.
        tls: how its certificate is checked; None: as the system does.

    All methods raise `Unreachable`, `BackendTimeout`, `BadReply`, `UpstreamStatus` or `Overloaded`,
    in none of which a key appears.
    """

    def __init__(
        self,
        name: str,
        config: UpstreamConfig,
        keys: Sequence[str],
        session: aiohttp.ClientSession,
        clock: Clock,
        instance_id: str,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.config = config
        timeouts = config.timeouts()
        key_header = "api-key" if config.kind == "azure" else "authorization"
        self._peer = Peer(
            name,
            base_url=config.base_url(),
            door=Door(session, tls or True, timeouts.connect_s),
            headers=RequestHeaders(instance_id, key_header=key_header),
            keys=KeyRing(keys, clock),
            timeouts=timeouts,
            clock=clock,
            max_connections=config.max_connections,
        )

    def model_name(self, name: str) -> str:
        """What this upstream calls the model that we call `name`."""
        return self.config.models.get(name, name)

    def open_raw(
        self,
        target: Target,
        path: str,
        body: bytes,
        headers: HeaderList,
        *,
        stream: bool,
        key: int = 0,
        keep_text: bool = False,
        hide_usage: bool = False,
        request_id: str = "",
    ) -> AbstractAsyncContextManager[Answer]:
        """Pass a request of OpenAI's dialect on, and its reply back, as they are.

        `body` holds the model's name as this upstream knows it (`Envelope.with_model` with
        `model_name`). For the other arguments, and for what it raises: `raw.RawRequest` and
        `raw.open_raw`.
        """
        request = RawRequest(
            target=target,
            path=path,
            body=body,
            headers=headers,
            stream=stream,
            key=key,
            keep_text=keep_text,
            hide_usage=hide_usage,
            request_id=request_id,
        )
        return open_raw(self._peer, request)
