"""`reshore ps`: the models in memory."""

from __future__ import annotations

import time

import msgspec

from reshore.cli.admin import AdminClient
from reshore.cli.output import Json, human_bytes, human_span, print_json, print_table
from reshore.config import load

TITLES = ("NAME", "FOR", "MEMORY", "CONTEXT", "SLOTS", "IN FLIGHT", "UNTIL")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What `ps` reads of the server's `reshore.engine.resident.Loaded`."""

    name: str
    shared_with: str | None = None
    embedding: bool = False
    memory_bytes: int
    context_length: int
    slots: int
    in_flight: int
    queued: int
    state: str
    unloading: bool
    expires_at: float | None


def command(as_json: Json = False) -> None:
    """List the models in memory: size, context and slots, requests, and until when they stay."""
    loaded = AdminClient(load().home).get("/admin/loaded")
    if as_json:
        print_json(msgspec.Raw(loaded))
        return
    entries = msgspec.json.decode(loaded, type=list[Entry])
    now_s = time.time()
    print_table(TITLES, (_row(entry, now_s) for entry in entries))


def _row(entry: Entry, now_s: float) -> tuple[str, ...]:
    queued = f" (+{entry.queued} queued)" if entry.queued else ""
    return (
        entry.name,
        "embeddings" if entry.embedding else "answers",
        f"with {entry.shared_with}" if entry.shared_with else human_bytes(entry.memory_bytes),
        str(entry.context_length),
        str(entry.slots),
        f"{entry.in_flight}{queued}",
        _until(entry, now_s),
    )


def _until(entry: Entry, now_s: float) -> str:
    if entry.unloading:
        return "its last request ends"
    if entry.state != "ready":
        return entry.state
    if entry.expires_at is None:
        return "forever"
    return f"{human_span(entry.expires_at - now_s)} from now"
