"""What a conversation loses when it is too long, and what it never loses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.backends.truncation import cut_points, from_point
from reshore.types import Message, Role, ToolCall

CALL = ToolCall(id="1", name="f", arguments="{}")


def said(*roles: Role) -> tuple[Message, ...]:
    return tuple(Message(role=role, content=str(index)) for index, role in enumerate(roles))


def kept(messages: tuple[Message, ...]) -> list[str]:
    return ["".join(str(m.content) for m in from_point(messages, p)) for p in cut_points(messages)]


def test_it_begins_with_a_users_message_and_keeps_every_system_message() -> None:
    messages = said("system", "user", "assistant", "user", "system", "assistant", "user")
    assert kept(messages) == ["03456", "046"]


def test_the_last_message_stays_whoever_said_it() -> None:
    assert kept(said("user", "assistant", "assistant")) == ["2"]
    assert kept(said("user", "assistant", "user", "assistant")) == ["23", "3"]


def test_a_result_stays_with_the_call_that_asked_for_it() -> None:
    messages = (*said("user", "user"), Message(role="assistant", tool_calls=(CALL,)))
    messages = (*messages, *said("tool", "tool"))
    assert cut_points(messages) == [1, 2]


@pytest.mark.parametrize("messages", [said("user"), said("system", "user"), said("system"), ()])
def test_one_turn_alone_is_never_cut(messages: tuple[Message, ...]) -> None:
    assert cut_points(messages) == []


ROLES: st.SearchStrategy[Role] = st.sampled_from(("system", "user", "assistant", "tool"))


@given(st.lists(ROLES, max_size=12))
def test_every_cut_drops_something_and_keeps_the_rest_in_order(roles: list[Role]) -> None:
    messages = said(*roles)
    previous = len(messages)
    for point in cut_points(messages):
        left = from_point(messages, point)
        assert 0 < len(left) < previous
        previous = len(left)
        assert [m for m in messages if m in left] == list(left)
        assert left[-1] == messages[-1] or messages[-1].role == "system"
        assert [m for m in left if m.role == "system"] == [
            m for m in messages if m.role == "system"
        ]
