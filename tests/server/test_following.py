"""What is noted of a reply while it goes by."""

from collections.abc import AsyncIterator, Sequence

from reshore.backends.answer import Measured
from reshore.server.following import Following
from reshore.types import Chunk, Reply, ToolCall, ToolCallDelta


async def nothing() -> AsyncIterator[Sequence[Chunk]]:
    return
    yield ()


def test_the_calls_of_every_choice_are_checked_when_they_are_whole() -> None:
    checked: list[tuple[ToolCall, ...]] = []

    def verify(calls: Sequence[ToolCall]) -> Sequence[str]:
        checked.append(tuple(calls))
        return [f"{call.name} is wrong" for call in calls]

    following = Following(Reply("m", nothing(), verify_calls=verify), Measured())
    for index in (0, 1):
        head = ToolCallDelta(index=0, id=f"c{index}", name=f"f{index}")
        rest = ToolCallDelta(index=0, arguments="{}")
        following.note([Chunk(index=index, tool_calls=(head,))])
        following.note([Chunk(index=index, tool_calls=(rest,))])
    assert following.violations() == "f0 is wrong; f1 is wrong"
    assert [call.arguments for calls in checked for call in calls] == ["{}", "{}"]


def test_what_is_told_of_them_is_one_printable_line() -> None:
    reply = Reply("m", nothing(), verify=lambda text: ["a\rb\nc\x85d: é is wrong"])
    following = Following(reply, Measured())
    following.note([Chunk(content="x")])
    assert following.violations() == "a b c d: é is wrong"
