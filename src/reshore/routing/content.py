"""What a request says, read leniently from its JSON body.

A request that goes to the cloud may hold fields and parts that reshore does not know; what decides
where it goes must not stumble over them. The readers of `wire/`, which refuse what cannot be
honoured, come later and only for local answers. OpenAI's and Ollama's dialects (and OpenAI's
Responses) name the same things alike enough to be read by one reader. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from reshore.wire.inner import LAYERS, inner

# Fields that hold a text, a list of texts or a list of messages, in the order of a conversation.
_INSTRUCTIONS = ("instructions", "system")
_INPUTS = ("messages", "input", "prompt", "suffix")
_TOKENS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_IMAGES = ("image_url", "input_image", "image")


class Turn(Struct, frozen=True):
    """One message. `images` counts them; `links` are what the images are, as far as it is text."""

    role: str
    text: str
    images: int = 0
    links: tuple[str, ...] = ()


class Content(Struct, frozen=True, kw_only=True):
    """What routing may look at.

    Attributes:
        turns: the messages; a prompt or an embedding input is a user's.
        tools: how many are offered.
        answer: the shape that is asked for: `text`, `json`, or `schema`.
        max_tokens: the limit of the answer, None without one.
        effort: the reasoning effort that is asked for, "" without one.
    """

    turns: tuple[Turn, ...] = ()
    tools: int = 0
    answer: str = "text"
    max_tokens: int | None = None
    effort: str = ""

    def asked(self) -> str:
        """The last message of the user: what is to be answered now."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    def opening(self) -> tuple[Turn, ...]:
        """All messages up to the user's first: what stays the same while a conversation grows."""
        for i, turn in enumerate(self.turns):
            if turn.role == "user":
                return self.turns[: i + 1]
        return self.turns


def read_content(body: Any) -> Content:
    """Read a decoded body; what is missing, unknown or of another shape is passed over."""
    if not isinstance(body, dict):
        return Content()
    turns = [Turn("system", _text(body[key])) for key in _INSTRUCTIONS if body.get(key)]
    images = body.get("images")
    for key in _INPUTS:
        turns += _turns(body.get(key), images if isinstance(images, list) else [])
    effort = body.get("reasoning_effort") or _get(body.get("reasoning"), "effort")
    return Content(
        turns=tuple(turns),
        tools=_length(body.get("tools")) + _length(body.get("functions")),
        answer=_answer(body),
        max_tokens=_max_tokens(body),
        effort=effort if isinstance(effort, str) else "",
    )


def texts(value: Any) -> Iterator[str]:
    """Every text in a decoded JSON value, names of members too, in no fixed order.

    Numbers are texts as well (a card's number often is one), and so is what JSON in a string says,
    beside the string itself. Left out are files and images that stand in `data:` URLs as base64:
    chance would find anything in them.
    """
    stack = [(value, LAYERS)]
    while stack:
        item, layers = stack.pop()
        if isinstance(item, str):
            if not (item.startswith("data:") and ";base64," in item[:256]):
                yield item
                if layers:
                    stack.append((inner(item), layers - 1))
        elif isinstance(item, dict):
            stack.extend((each, layers) for each in (*item, *item.values()))
        elif isinstance(item, list):
            stack.extend((each, layers) for each in item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            yield str(item)


def has_token_ids(body: Any) -> bool:
    """Whether a prompt or an embedding input is given as numbers (LangChain's embeddings are)."""
    for key in ("input", "prompt"):
        first = _first(_get(body, key))
        if isinstance(first, int) or isinstance(_first(first), int):
            return True
    return False


def _turns(value: Any, images: list[Any]) -> Iterator[Turn]:
    if isinstance(value, str):
        yield Turn("user", value, len(images), _strings(images))
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield _message(item)
            elif isinstance(item, str):
                yield Turn("user", item)


def _message(message: dict[str, Any]) -> Turn:
    content = message.get("content")
    links = [_link(part) for part in _parts(content) if part.get("type") in _IMAGES]
    if isinstance(message.get("images"), list):
        links += message["images"]
    role = message.get("role")
    return Turn(
        role if isinstance(role, str) else "user",
        _text(content),
        len(links),
        _strings(links),
    )


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(_strings([part.get("text") for part in _parts(content)]))


def _parts(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, list):
        yield from (part for part in content if isinstance(part, dict))


def _link(part: dict[str, Any]) -> Any:
    image = part.get("image_url")
    return _get(image, "url") if isinstance(image, dict) else image


def _answer(body: dict[str, Any]) -> str:
    """OpenAI's `response_format`, the Responses' `text.format`, Ollama's `format`."""
    wanted = body.get("response_format") or _get(body.get("text"), "format") or body.get("format")
    if wanted == "json":
        return "json"
    kind = _get(wanted, "type")
    if kind in ("json_object", "text"):
        return "json" if kind == "json_object" else "text"
    return "schema" if isinstance(wanted, dict) and wanted else "text"


def _max_tokens(body: dict[str, Any]) -> int | None:
    found = next((body[key] for key in _TOKENS if body.get(key) is not None), None)
    if found is None:
        found = _get(body.get("options"), "num_predict")
    return found if isinstance(found, int) and found >= 0 else None


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _strings(values: list[Any]) -> tuple[str, ...]:
    return tuple(value for value in values if isinstance(value, str))
