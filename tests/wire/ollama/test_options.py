"""`options`: types as Ollama checks them, values the samplers can use, names without effect."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import RequestError, WrongOptionType
from reshore.types import Sampling
from reshore.wire.ollama.options import OPTIONS, read_options


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("temperature", 0.3, "temperature", 0.3),
        ("temperature", -1, "temperature", 0.0),
        ("top_k", 7, "top_k", 7),
        ("top_k", 7.9, "top_k", 7),
        ("top_k", -1, "top_k", 0),
        ("top_p", 0.4, "top_p", 0.4),
        ("min_p", 0.1, "min_p", 0.1),
        ("typical_p", 0.5, "typical_p", 0.5),
        ("repeat_last_n", 33, "repeat_last_n", 33),
        ("repeat_last_n", -1, "repeat_last_n", -1),
        ("repeat_penalty", 1.2, "repeat_penalty", 1.2),
        ("presence_penalty", 3, "presence_penalty", 3.0),
        ("frequency_penalty", -3, "frequency_penalty", -3.0),
        ("seed", 42, "seed", 42),
        ("seed", -1, "seed", -1),
        ("num_predict", 5, "max_tokens", 5),
        ("num_predict", -2, "max_tokens", -1),
        ("stop", ["a", "b", ""], "stop", ("a", "b")),
        ("stop", "a", "stop", ("a",)),
    ],
)
def test_a_known_option_is_read(name: str, value: Any, field: str, expected: Any) -> None:
    read = read_options({name: value})
    assert getattr(read.sampling, field) == expected
    assert not read.ignored


def test_num_ctx_belongs_to_the_engine_and_not_to_the_sampling() -> None:
    read = read_options({"num_ctx": 4096})
    assert (read.num_ctx, read.sampling) == (4096, Sampling())


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("num_predict", "100", "integer"),
        ("num_ctx", True, "integer"),
        ("num_thread", "4", "integer"),
        ("temperature", "hot", "float32"),
        ("top_p", True, "float32"),
        ("use_mmap", 1, "boolean"),
        ("stop", 5, "array"),
    ],
)
def test_a_wrong_type_is_told_in_ollamas_words(name: str, value: Any, kind: str) -> None:
    with pytest.raises(WrongOptionType) as failure:
        read_options({name: value})
    assert str(failure.value) == f'option "{name}" must be of type {kind}'


def test_an_array_of_other_things_is_no_stop() -> None:
    with pytest.raises(WrongOptionType, match='option "stop" must be of an array of strings'):
        read_options({"stop": ["a", 1]})


def test_old_and_unknown_options_are_tolerated_and_named() -> None:
    read = read_options({"mirostat": 2, "tfs_z": "x", "f16_kv": True, "num_gpu": 1, "top_k": 3})
    assert read.ignored == ("mirostat", "tfs_z", "f16_kv", "num_gpu")
    assert read.sampling == Sampling(top_k=3)


def test_null_is_as_if_the_option_were_not_there() -> None:
    nothing = read_options(dict.fromkeys([*OPTIONS, "mirostat"]))
    assert (nothing.sampling, nothing.ignored) == (Sampling(), ())
    assert read_options(None).sampling == Sampling()


@given(
    st.dictionaries(
        st.sampled_from(sorted(OPTIONS)),
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from([10**400, -(10**400), 1e308, -1e308])
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=3)
        | st.lists(st.text(max_size=3) | st.integers(), max_size=3),
    )
)
def test_any_value_is_read_within_its_limits_or_refused(options: dict[str, Any]) -> None:
    try:
        read = read_options(options)
    except RequestError:
        return
    for option in OPTIONS.values():
        value = getattr(read.sampling, option.field) if option.field else None
        assert value is None or option.low <= value <= option.high
