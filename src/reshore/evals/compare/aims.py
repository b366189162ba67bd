"""Who is asked: one model by its side, or any name that the server routes. Pure."""

from __future__ import annotations

from urllib.parse import quote

from msgspec import Struct

from reshore.errors import CompareError
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Cloud, Local


class Aim(Struct, frozen=True, kw_only=True):
    """One of the targets of a comparison.

    Attributes:
        text: as the user wrote it: `local:MODEL`, `cloud:UPSTREAM/MODEL`, or a name.
        model: what goes into the request.
        path: where the server is asked.
        lane: targets of one lane are asked one after the other.
    """

    text: str
    model: str
    path: str
    lane: str


def aim(text: str) -> Aim:
    """Read a target.

    Models of this machine share a lane: side by side they would take each other's cores and memory,
    and neither's latency would mean anything.

    Raises:
        CompareError: a side without a model.
        RouteError: it looks like a target and is none.
    """
    if not text.startswith(("local:", "cloud:")):
        if text in ("", "local", "cloud"):
            raise CompareError(
                f"'{text}' names no model; write local:MODEL, cloud:UPSTREAM/MODEL, or a name that "
                "the server routes"
            )
        return Aim(text=text, model=text, path="/v1/chat/completions", lane=text)
    target = parse_policy(text)
    if not (isinstance(target, Local | Cloud) and target.model):
        raise CompareError(f"'{text}' names no model; write cloud:UPSTREAM/MODEL")
    return Aim(
        text=text,
        model=target.model,
        path=f"/admin/ask?target={quote(text, safe='')}",
        lane="local" if isinstance(target, Local) else text,
    )


def aims(texts: tuple[str, ...]) -> tuple[Aim, ...]:
    """All targets: two or more, each once.

    Raises:
        CompareError: they cannot be compared, or one of them is none.
    """
    if len(texts) < 2:
        raise CompareError("two targets are needed: the one in use now, and another one")
    if len(set(texts)) < len(texts):
        raise CompareError("a target is given twice; each needs to be another one")
    return tuple(map(aim, texts))
