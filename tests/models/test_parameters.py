from __future__ import annotations

import pytest

from reshore.errors import RequestError
from reshore.models.parameters import KINDS, typed_parameter, typed_parameters


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("temperature", "0.5", 0.5),
        ("temperature", "1", 1.0),
        ("num_ctx", "4096", 4096),
        ("num_predict", "-1", -1),
        ("use_mmap", "True", True),
        ("use_mmap", "0", False),
        ("stop", " a b", " a b"),
    ],
)
def test_text_becomes_a_value_of_the_options_type(name, text, value):
    typed = typed_parameter(name, text)
    assert (typed, type(typed)) == (value, type(value))


def test_json_values_take_the_options_type():
    typed = typed_parameters(
        {"temperature": 1, "num_ctx": 4096.0, "stop": "a", "use_mmap": False, "seed": None}
    )
    assert typed == {"temperature": 1.0, "num_ctx": 4096, "stop": ["a"], "use_mmap": False}
    assert isinstance(typed["temperature"], float)
    assert isinstance(typed["num_ctx"], int)


def test_retired_options_are_left_out():
    assert typed_parameters({"mirostat": 2, "tfs_z": 1.0, "top_k": 1}) == {"top_k": 1}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "warm"),
        ("temperature", True),
        ("num_ctx", 1.5),
        ("num_ctx", "4096"),
        ("num_ctx", 1 << 64),
        ("use_mmap", 1),
        ("stop", [1]),
        ("stop", 1),
    ],
)
def test_values_of_another_type_are_refused_by_name(name, value):
    with pytest.raises(RequestError, match=f'option "{name}" must be of type') as caught:
        typed_parameters({name: value})
    assert caught.value.param == f"parameters.{name}"


def test_unknown_options_are_refused_with_those_there_are():
    with pytest.raises(RequestError, match="unknown parameter 'wings'; known are") as caught:
        typed_parameters({"wings": 2})
    assert all(name in str(caught.value) for name in KINDS)
