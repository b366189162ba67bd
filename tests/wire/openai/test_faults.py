"""Errors of upstreams are understood in whatever shape they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.types import Usage
from reshore.wire.openai.faults import Fault, decode_fault
from reshore.wire.openai.glance import glance


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (
            b'{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"c"}}',
            Fault(message="no", type="invalid_request_error", code="c", status=400),
        ),
        (b'{"error":{"message":"no","code":503}}', Fault(message="no", status=503)),
        (
            b'{"error":{"message":"no","type":null,"code":"rate_limit_exceeded"}}',
            Fault(message="no", code="rate_limit_exceeded", status=429),
        ),
        (b'{"error":"no"}', Fault(message="no")),
        (
            b'{"object":"error","message":"no","type":"BadRequestError","code":400}',
            Fault(message="no", type="BadRequestError", status=400),
        ),
        (b'{"detail":"Not Found"}', Fault(message="Not Found")),
        (b'{"detail":[{"msg":"field required"}]}', Fault(message='[{"msg":"field required"}]')),
        (b'{"error":{"odd":1}}', Fault(message='{"odd":1}')),
        (b"<html>bad gateway</html> ", Fault(message="<html>bad gateway</html>")),
        (b"", Fault(message="")),
        (b"[1]", Fault(message="[1]")),
    ],
)
def test_every_shape_has_a_message(body: bytes, fault: Fault) -> None:
    assert decode_fault(body) == fault


@given(st.binary(max_size=500))
def test_anything_at_all_is_a_fault(body: bytes) -> None:
    assert len(decode_fault(body).message) <= 600


def test_a_part_of_another_shape_counts_as_absent() -> None:
    """What goes by is not ours to judge; the rest of it is still learned."""
    seen = glance(b'{"model":"m","choices":"many","usage":{"prompt_tokens":3},"error":null}')
    assert (seen.model, seen.choices) == ("m", None)
    assert seen.usage is not None
    assert seen.usage.usage() == Usage(prompt_tokens=3)
    assert not seen.is_fault()
    for count in ("-1", "9223372036854775807"):
        assert glance(b'{"model":"m","usage":{"prompt_tokens":%b}}' % count.encode()).usage is None
    odd = glance(b'{"model":7,"choices":[{"finish_reason":"stop"}],"error":{"message":"x"}}')
    assert odd.model is None
    assert odd.choices is not None
    assert odd.choices[0].finish_reason == "stop"
    assert odd.is_fault()
