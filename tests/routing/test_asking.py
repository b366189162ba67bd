"""A request is read as far as its policy asks, and once."""

from typing import Any

import pytest

from reshore.routing.asking import Asking


def chat(*messages: tuple[str, Any], **more: Any) -> Asking:
    body = {"messages": [{"role": role, "content": text} for role, text in messages], **more}
    return Asking(name="m", load=lambda: body)


def test_nothing_is_read_before_it_is_asked_for() -> None:
    asking = Asking(name="m", load=lambda: pytest.fail("the body was read"))
    assert (asking.name, asking.kind, asking.header("x")) == ("m", "chat", None)


def test_the_body_is_read_once() -> None:
    reads: list[int] = []

    def load() -> Any:
        reads.append(1)
        return {"prompt": "p"}

    asking = Asking(name="m", load=load)
    assert asking.opening()
    assert list(asking.texts())
    assert asking.content.asked() == "p"
    assert len(reads) == 1


def test_the_opening_stays_while_the_conversation_grows() -> None:
    first = chat(("system", "s"), ("user", "u"))
    later = chat(("system", "s"), ("user", "u"), ("assistant", "a"), ("user", "v"))
    assert first.opening() == later.opening()


@pytest.mark.parametrize(
    "other",
    [
        chat(("system", "t"), ("user", "u")),
        chat(("system", "s"), ("user", "v")),
        chat(("user", "s"), ("user", "u")),
        chat(("system", "su"), ("user", "")),
        chat(("user", "u")),
        chat(
            ("system", "s"),
            ("user", [{"text": "u"}, {"type": "image_url", "image_url": {"url": "i"}}]),
        ),
    ],
)
def test_other_conversations_open_otherwise(other: Asking) -> None:
    assert chat(("system", "s"), ("user", "u")).opening() != other.opening()


def test_what_an_answer_needs() -> None:
    image = [{"type": "image_url", "image_url": {"url": "u"}}]
    assert chat(("user", "u")).needs() == frozenset()
    assert chat(("user", image), tools=[{}]).needs() == {"vision", "tools"}
    assert Asking(name="m", kind="embedding").needs() == {"embedding"}
