"""A request that goes elsewhere keeps every field as it came, but for the model's name."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import LimitsConfig
from reshore.errors import EmptyBody, RequestError
from reshore.wire.jsonbody import parse_body
from reshore.wire.openai.envelope import Envelope, read_envelope

LIMITS = LimitsConfig()


def read(body: bytes, *, needs_model: bool = True) -> Envelope:
    return read_envelope(body, LIMITS, needs_model=needs_model)


def test_what_decides_is_read() -> None:
    envelope = read(
        b'{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"user":"u"}'
    )
    assert (envelope.model, envelope.stream, envelope.user) == ("gpt-4o", True, "u")
    assert envelope.include_usage
    assert not envelope.hides_usage
    assert envelope.value("stream_options") == {"include_usage": True}
    assert envelope.value("messages") is None


@pytest.mark.parametrize(
    ("body", "stream", "include_usage", "user"),
    [
        (b'{"model":"m"}', False, False, None),
        (b'{"model":"m","stream":null,"user":7}', False, False, None),
        (b'{"model":"m","stream":true,"stream_options":null}', True, False, None),
        (b'{"model":"m","stream":true,"stream_options":{}}', True, False, None),
        (b'{"model":"m","stream_options":{"include_usage":true}}', False, False, None),
    ],
)
def test_what_is_absent_has_its_default(
    body: bytes, stream: bool, include_usage: bool, user: str | None
) -> None:
    envelope = read(body)
    assert (envelope.stream, envelope.include_usage, envelope.user) == (
        stream,
        include_usage,
        user,
    )


def test_an_endpoint_may_need_no_model() -> None:
    assert read(b'{"input":"x"}', needs_model=False).model == ""


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
VALUES = JSON.map(lambda value: json.dumps(value, ensure_ascii=True)) | st.sampled_from(
    [
        "1.50",
        "1e5",
        "-0.0",
        "123456789012345678901234567890",
        '"\\u00e9\\/"',
        "[ 1 , 2 ]",
        '{"a" :1}',
    ]
)
FIELDS = st.dictionaries(
    st.text(min_size=1).filter(lambda key: key not in ("model", "stream", "stream_options")),
    VALUES,
    max_size=6,
)


@given(fields=FIELDS, place=st.integers(0, 6), stream=st.booleans(), spaced=st.booleans())
def test_other_fields_keep_bytes_and_order(
    fields: dict[str, str], place: int, stream: bool, spaced: bool
) -> None:
    members = list(fields.items())
    members.insert(place, ("model", '"ask\\u0065d"'))
    if stream:
        members.append(("stream", "true"))
    joint = " :\n" if spaced else ":"
    body = "{" + ", ".join(json.dumps(key) + joint + text for key, text in members) + "}"
    sent = read(body.encode()).with_model("theirs")
    want = [(key, '"theirs"' if key == "model" else text) for key, text in members]
    got = msgspec.json.decode(sent, type=dict[str, msgspec.Raw])
    assert [(key, bytes(raw).decode()) for key, raw in got.items()] == want


@given(body=st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_a_body_that_is_no_object_is_the_same_error_as_for_a_local_model(body: bytes) -> None:
    assert told(lambda: read(body, needs_model=False)) == told(lambda: parse_body(body, LIMITS))


def told(reading: Callable[[], object]) -> tuple[type[RequestError], str] | None:
    """The error, if there is one."""
    try:
        reading()
    except RequestError as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"", EmptyBody, "empty"),
        (b"[]", RequestError, "must be a JSON object"),
        (b'{"model":"m","x":nul}', RequestError, "not valid JSON"),
        (b'{"model":"m","x":"\xff"}', RequestError, "not UTF-8"),
        (b'{"model":"m","x":"\\ud800"}', RequestError, "not valid JSON"),
        (b'{"model":"m","x":' + b"[" * 65 + b"]" * 65 + b"}", RequestError, "nested deeper"),
        (b'{"x":1}', RequestError, "Missing required parameter: 'model'"),
        (b'{"model":7}', RequestError, "Invalid type for 'model'"),
        (b'{"model":""}', RequestError, "must not be empty"),
        (b'{"model":"m","stream":"yes"}', RequestError, "Invalid type for 'stream'"),
        (b'{"model":"m","stream":1e999}', RequestError, "out of range"),
        (b'{"model":"m","stream":true,"stream_options":[]}', RequestError, "an object"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, kind: type[RequestError], says: str) -> None:
    with pytest.raises(kind, match=says):
        read(body)


def test_a_key_that_is_there_twice_goes_on_once() -> None:
    """What was decided on is what the upstream reads."""
    envelope = read(b'{"model":"cheap","n":1,"model":"dear","n":2}')
    assert envelope.model == "dear"
    assert envelope.with_model("dear") == b'{"model":"dear","n":2}'


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ("", '{"include_usage":true}'),
        (',"stream_options":null', '{"include_usage":true}'),
        (
            ',"stream_options":{"x":1.0,"include_usage":false}',
            '{"x":1.0,"include_usage":true}',
        ),
    ],
)
def test_token_counts_are_asked_for_beside_what_is_there(options: str, sent: str) -> None:
    envelope = read(f'{{"model":"m","stream":true{options}}}'.encode())
    assert envelope.hides_usage
    body = envelope.with_model("m", include_usage=True)
    assert body == f'{{"model":"m","stream":true,"stream_options":{sent}}}'.encode()


def test_token_counts_of_a_whole_reply_come_unasked() -> None:
    envelope = read(b'{"model":"m"}')
    assert envelope.with_model("m", include_usage=True) == b'{"model":"m"}'
    assert not envelope.hides_usage


def test_a_name_of_any_characters_is_escaped() -> None:
    assert read(b'{"model":"m"}').with_model('a"b\\') == b'{"model":"a\\"b\\\\"}'
