"""Legacy completion requests."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import LimitsConfig
from reshore.errors import RequestError, Unsupported
from reshore.types import CompletionRequest, Sampling
from reshore.wire.openai.completions import decode_completion

from .arbitrary import bodies

LIMITS = LimitsConfig()


def decode(**fields: Any) -> Any:
    return decode_completion({"model": "m", "prompt": "p"} | fields, lenient=False, limits=LIMITS)


def error(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode(**fields)
    return caught.value


def test_the_smallest_request_ends_after_sixteen_tokens_as_at_openai() -> None:
    assert decode().request == CompletionRequest(
        model="m", prompts=("p",), sampling=Sampling(max_tokens=16)
    )


@pytest.mark.parametrize(
    ("sent", "prompts"),
    [
        ("", ("",)),
        (["a", ""], ("a", "")),
        ([1, 2], ((1, 2),)),
        ([1.0, 2], ((1, 2),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
    ],
)
def test_prompts(sent: Any, prompts: Any) -> None:
    assert decode(prompt=sent).request.prompts == prompts


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suffix", "s"),
        ("echo", True),
        ("n", 3),
        ("best_of", 4),
        ("logprobs", 5),
        ("logprobs", 0),
    ],
)
def test_a_field_is_honoured(field: str, value: Any) -> None:
    decoded = decode(**{field: value})
    assert getattr(decoded.request, field) == value
    assert decoded.refused is None


def test_sampling_and_options_are_shared_with_chat() -> None:
    request = decode(temperature=0.5, max_tokens=3, keep_alive="5m", num_ctx=512).request
    assert request.sampling == Sampling(temperature=0.5, max_tokens=3)
    assert (request.options.keep_alive_s, request.options.num_ctx) == (300.0, 512)


def test_best_of_may_be_streamed_when_it_chooses_nothing() -> None:
    assert decode(n=2, best_of=2, stream=True).request.best_of == 2


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": {}}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": [None]}, "prompt[0]"),
        ({"prompt": [True]}, "prompt[0]"),
        ({"prompt": ["a", 1]}, "prompt[1]"),
        ({"prompt": [1, "a"]}, "prompt[1]"),
        ({"prompt": [1, -1]}, "prompt[1]"),
        ({"prompt": [1, 2**31]}, "prompt[1]"),
        ({"prompt": [[1], ["a"]]}, "prompt[1][0]"),
        ({"prompt": [[1], "a"]}, "prompt[1]"),
        ({"prompt": ["a"] * 2049}, "prompt"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"echo": "yes"}, "echo"),
        ({"suffix": 5}, "suffix"),
        ({"best_of": 0}, "best_of"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"messages": []}, "messages"),
        ({"max_completion_tokens": 5}, "max_completion_tokens"),
    ],
)
def test_a_malformed_field_is_named(fields: dict[str, Any], param: str) -> None:
    assert error(**fields).param == param


def test_a_prompt_is_required() -> None:
    with pytest.raises(RequestError, match="Missing required parameter: 'prompt'"):
        decode_completion({"model": "m"}, lenient=False, limits=LIMITS)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"echo": True, "logprobs": 0}, "echo"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 17}, "n"),
        ({"best_of": 20}, "best_of"),
    ],
)
def test_what_only_openai_could_honour_is_remembered(fields: dict[str, Any], param: str) -> None:
    decoded = decode(**fields)
    assert isinstance(decoded.refused, Unsupported)
    assert decoded.refused.param == param


def test_user_is_harmless() -> None:
    assert decode(user="u").ignored == ("user",)


@given(bodies("CreateCompletionRequest", model="m", prompt="p"), st.booleans())
def test_any_json_gives_a_request_or_a_request_error(body: dict[str, Any], lenient: bool) -> None:
    with suppress(RequestError):
        decoded = decode_completion(body, lenient=lenient, limits=LIMITS)
        assert decoded.request.prompts
        msgspec.json.encode(decoded.request)
