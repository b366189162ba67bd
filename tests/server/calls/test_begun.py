"""What is kept of a stream that may break off."""

from collections.abc import AsyncIterator

import pytest

from reshore.errors import Unsupported
from reshore.server.calls.begun import Begun


async def noted(*frames: bytes) -> Begun:
    async def given() -> AsyncIterator[bytes]:
        for frame in frames:
            yield frame

    begun = Begun()
    assert [frame async for frame in begun.noting(given())] == list(frames)
    return begun


HEAD = b'data: {"id":"c-1","created":7,"model":"m","system_fingerprint":"fp","choices":[]}\n\n'


async def test_its_head_is_that_of_its_first_event() -> None:
    begun = await noted(b": comment\n\n" + HEAD, b'data: {"id":"c-2"}\n\n')
    head = begun.continued()
    assert (head.id, head.created, head.model, head.fingerprint) == ("c-1", 7, "m", "fp")


@pytest.mark.parametrize("frame", [b"data: [DONE]\n\n", b"data: {oops}\n\n", b'data: {"id":1}\n\n'])
async def test_what_has_no_head_cannot_be_gone_on_with(frame: bytes) -> None:
    begun = await noted(frame)
    with pytest.raises(Unsupported):
        begun.continued()


@pytest.mark.parametrize(
    "calls",
    [
        b'"tool_calls":[{"index":0}]',
        b'"tool_calls": [ {"index":0}]',
        b'"function_call": {"name":"f"}',
    ],
)
async def test_amid_tool_calls_nobody_goes_on(calls: bytes) -> None:
    begun = await noted(HEAD, b'data: {"choices":[{"delta":{%b}}]}\n\n' % calls)
    with pytest.raises(Unsupported, match="tool calls"):
        begun.continued()


@pytest.mark.parametrize(
    "fields",
    [
        b'"tool_calls":[]',
        b'"tool_calls":null',
        b'"function_call":null',
        b'"content":"\\"tool_calls\\":[{"',
    ],
)
async def test_no_tool_calls_are_none(fields: bytes) -> None:
    begun = await noted(HEAD, b'data: {"choices":[{"delta":{%b}}]}\n\n' % fields)
    assert begun.continued().id == "c-1"
