"""`reshore list`: the installed models."""

from __future__ import annotations

import time

from msgspec import Struct

from reshore.cli.output import (
    Json,
    human_bytes,
    human_span,
    note,
    print_json,
    print_table,
)
from reshore.config import load
from reshore.models.judge import State
from reshore.models.layout import Installed
from reshore.models.store import Store
from reshore.models.summary import Summary

TITLES = ("NAME", "ID", "SIZE", "MODIFIED", "STATE", "SOURCE")
_ID_LENGTH = 12  # hex digits, as Ollama's list shows


class Entry(Struct, frozen=True, kw_only=True):
    """An installed model; `size` in bytes, `modified_s` in seconds since the epoch.

    `state` is the verdict of `reshore.models.judge`.
    """

    name: str
    digest: str
    size: int
    modified_s: float
    source: str
    read_only: bool
    state: State
    capabilities: tuple[str, ...]


def command(as_json: Json = False) -> None:
    """List the installed models, newest first, with their source."""
    store = Store.from_config(load())
    entries = [_entry(model, store.summary(model)) for model in store.list()]
    if as_json:
        print_json(entries)
        return
    now_s = time.time()
    print_table(TITLES, (_row(entry, now_s) for entry in entries))
    if any(entry.state != "servable" for entry in entries):
        note("`reshore show MODEL` says why a model cannot be served, and what to do")
    if not entries:
        note("no model is installed yet; try `reshore pull smollm2:135m`")


def _entry(model: Installed, summary: Summary) -> Entry:
    return Entry(
        name=str(model.name),
        digest=model.digest,
        size=model.size,
        modified_s=model.modified_s,
        source=f"{model.source} in {model.root}" if model.read_only else model.source,
        read_only=model.read_only,
        state=summary.verdict.state,
        capabilities=summary.capabilities,
    )


def _row(entry: Entry, now_s: float) -> tuple[str, ...]:
    age = f"{human_span(now_s - entry.modified_s)} ago"
    size = human_bytes(entry.size)
    return entry.name, entry.digest[:_ID_LENGTH], size, age, entry.state, entry.source
