"""Pairs as the ledger and reports give them."""

from __future__ import annotations

import json
from typing import Any

from reshore.evals.gathering import Record
from reshore.ledger.entry import PairTexts
from reshore.routing.paired import Paired
from reshore.types import Target

LOCAL = Target(side="local", backend="local", model="llama3.2")
CLOUD = Target(side="cloud", backend="openai", model="gpt-4o")


def paired(request_id: str = "req_1", **changes: Any) -> Paired:
    fields: dict[str, Any] = {
        "request_id": request_id,
        "source": "shadow",
        "route": "gpt-4o",
        "arrived_s": 1_000.0,
        "local": LOCAL,
        "cloud": CLOUD,
        "verdict": "tie",
    }
    return Paired(**fields | changes)


def body(*said: str) -> str:
    """A conversation as a client sends it: user and assistant take turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(said)]
    return json.dumps({"model": "gpt-4o", "messages": messages})


def record(request_id: str = "req_1", prompt: str | None = None, **changes: Any) -> Record:
    """A pair with its texts."""
    text = body(f"What is {request_id}?") if prompt is None else prompt
    answer = changes.pop("answer", "That.")
    return Record(
        paired=paired(request_id, **changes),
        texts=PairTexts(prompt=text, local=answer, cloud="That!"),
    )
