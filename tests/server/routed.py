"""A server with upstreams that do what a test says, byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.backends.remote.scripted import Peer, Script, Seen, Upstream, upstream
from tests.server.harness import Server, echo_config, running

CHAT = "/v1/chat/completions"
KEY = "sk-secret-of-ours"

_FIELD = re.compile(r'(\w+)=("(?:\\.|[^"\\])*"|[^;]*)')

# As OpenAI sends it, with a field that nobody knows yet.
REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "from the cloud", "audio": None},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        "a_field_of_next_year": {"x": [1, 2.50, "é"]},
    },
    ensure_ascii=False,
).encode()


def event(**fields: Any) -> bytes:
    """One event of a streamed chat."""
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-4o-2024-08-06",
    }
    return f"data: {json.dumps(head | fields)}\n\n".encode()


def delta(**fields: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": fields, "finish_reason": None}])


FINISH = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
USAGE = event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12})
DONE = b"data: [DONE]\n\n"
STREAM = (delta(role="assistant", content=""), delta(content="from "), delta(content="the cloud"))


async def answer(peer: Peer, seen: Seen) -> None:
    """A whole reply, or a stream, as the request asks for; anything else is a 404."""
    if seen.path == "/v1/models":
        await peer.reply(b'{"object":"list","data":[{"id":"gpt-4o","created":7,"owned_by":"x"}]}')
    elif seen.path not in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
        await peer.reply(b'{"error":{"message":"no such endpoint"}}', status=404)
    elif json.loads(seen.body).get("stream"):
        usage = json.loads(seen.body).get("stream_options", {}).get("include_usage")
        await peer.stream(*STREAM, FINISH, *([USAGE] if usage else []), DONE)
    else:
        await peer.reply(REPLY)


@dataclass
class Routed:
    """A server and its upstream `cloud`."""

    server: Server
    cloud: Upstream

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies that the upstream got."""
        return [json.loads(seen.body) for seen in self.cloud.seen if seen.body]


@asynccontextmanager
async def routed(
    home: Path,
    toml: str = "",
    script: Script = answer,
    *,
    ledger: bool = False,
    admin: bool = False,
    keys: str = KEY,
    **cloud: Any,
) -> AsyncIterator[Routed]:
    """Serve with one upstream, `cloud`, and perhaps with a ledger.

    Args:
        toml: what stands in `reshore.toml` besides it.
        admin: the admin API is served, too.
        keys: of the upstream, with commas between them.
        cloud: further settings of the upstream.
    """
    async with upstream(script) as peer:
        settings = "".join(f"{key} = {_toml(value)}\n" for key, value in cloud.items())
        (home / "reshore.toml").write_text(
            f'{toml}\n[upstreams.cloud]\nurl = "{peer.url}"\n{settings}'
        )
        env = {"RESHORE_UPSTREAM_CLOUD_KEY": keys}
        flags = {"ledger.enabled": ledger}
        async with running(echo_config(home, **flags), env=env, admin=admin) as server:
            yield Routed(server, peer)


def ask(model: str = "gpt-4o", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}


def decided(headers: Any) -> dict[str, str]:
    """`x-reshore-decision` by field; values without their quotes."""
    pairs = _FIELD.findall(headers["x-reshore-decision"])
    return {name: value.strip('"') for name, value in pairs}


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_toml(item)}' for key, item in value.items()) + " }"
    return json.dumps(value)
