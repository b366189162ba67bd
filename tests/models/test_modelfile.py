from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import BadRecipe
from reshore.models.modelfile import Modelfile, parse_modelfile, write_modelfile
from reshore.types import Message

WHOLE = '''\
# How we answer
from smollm2:135m
Parameter temperature 0.25
PARAMETER num_ctx 4096
PARAMETER stop "<|im_end|>"
PARAMETER stop User:
PARAMETER use_mmap false

SYSTEM """
You say "yes".
# Not a comment.
  FROM here on, nothing else.
"""
TEMPLATE """{{ .Prompt }}"""
MESSAGE user Is the sky blue?
message Assistant """Yes.
Always."""
ADAPTER ./lora.gguf
LICENSE "MIT"
LICENSE """two
lines"""
'''


def test_every_command_is_read():
    read = parse_modelfile(WHOLE)
    assert read == Modelfile(
        sources=("smollm2:135m",),
        adapters=("./lora.gguf",),
        template="{{ .Prompt }}",
        system='\nYou say "yes".\n# Not a comment.\n  FROM here on, nothing else.\n',
        licenses=("MIT", "two\nlines"),
        parameters={
            "temperature": 0.25,
            "num_ctx": 4096,
            "stop": ["<|im_end|>", "User:"],
            "use_mmap": False,
        },
        messages=(
            Message(role="user", content="Is the sky blue?"),
            Message(role="assistant", content="Yes.\nAlways."),
        ),
    )


def test_a_quote_within_a_line_ends_nothing():
    read = parse_modelfile('FROM a\nSYSTEM "say "hi" twice"\nLICENSE """a """ b"""')
    assert read.system == 'say "hi" twice'
    assert read.licenses == ('a """ b',)


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm():
    read = parse_modelfile("\ufeffFROM a\r\nPARAMETER top_k 5\r\nSYSTEM hi\r\n")
    assert (read.sources, read.parameters, read.system) == (("a",), {"top_k": 5}, "hi")


def test_the_last_word_counts_but_stops_add_up():
    read = parse_modelfile(
        "FROM a\nSYSTEM one\nSYSTEM two\nPARAMETER seed 1\nPARAMETER seed 2\n"
        "PARAMETER stop a\nPARAMETER stop b"
    )
    assert (read.system, read.parameters) == ("two", {"seed": 2, "stop": ["a", "b"]})


def test_an_empty_quote_is_an_empty_text():
    assert parse_modelfile('FROM a\nSYSTEM ""').system == ""


def test_options_that_ollama_once_had_are_named_not_refused():
    read = parse_modelfile("FROM a\nPARAMETER mirostat 2\nPARAMETER low_vram true")
    assert read.ignored == ("mirostat", "low_vram")
    assert read.parameters == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no FROM line"),
        ("SYSTEM hi", "no FROM line"),
        ("FROM", "line 1: FROM needs a value"),
        ("FROM a\n\nWHAT b", r"line 3: 'WHAT' is no command.*FROM, PARAMETER"),
        ("FROM a\n%!", "line 2"),
        ('FROM a\nSYSTEM """never\nclosed', "line 2: the quote that opens there is never closed"),
        ("FROM a\nPARAMETER", "line 2: PARAMETER needs a value"),
        ("FROM a\nPARAMETER temperature", "line 2: PARAMETER temperature needs a value"),
        ("FROM a\nPARAMETER temperature warm", 'line 2: option "temperature" must be of type numb'),
        ("FROM a\nPARAMETER temperature nan", "must be of type number"),
        ("FROM a\nPARAMETER num_ctx 2.5", 'option "num_ctx" must be of type integer'),
        ("FROM a\nPARAMETER use_mmap perhaps", "must be of type boolean"),
        ("FROM a\nPARAMETER wings 2", "unknown parameter 'wings'; known are .*temperature"),
        ("FROM a\nMESSAGE tool hi", "MESSAGE needs one of system, user, assistant"),
        ("FROM a\nRENDERER qwen3", "RENDERER: it names code inside Ollama.*Remove the line"),
        ("FROM a\nPARSER qwen3", "PARSER"),
        ("FROM a\nREQUIRES 0.14.0", "REQUIRES: it asks for a version of Ollama"),
        ("FROM a\nDRAFT ./d.gguf", "DRAFT: speculative decoding"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(text, says):
    with pytest.raises(BadRecipe, match=says):
        parse_modelfile(text)


def test_a_modelfile_without_end_is_refused():
    with pytest.raises(BadRecipe, match="characters"):
        parse_modelfile("#" * (5 << 20))


_texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\n #\r\t'))
_quotable = _texts.filter(lambda text: '"""' not in text)
_words = _quotable.filter(str.strip)
_modelfiles = st.builds(
    Modelfile,
    sources=st.lists(_words, min_size=1, max_size=2).map(tuple),
    adapters=st.lists(_words, max_size=2).map(tuple),
    template=st.none() | _quotable,
    system=st.none() | _quotable,
    licenses=st.lists(_quotable, max_size=2).map(tuple),
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(allow_nan=False, allow_infinity=False),
            "num_ctx": st.integers(-(2**63), 2**63 - 1),
            "use_mmap": st.booleans(),
            "stop": st.lists(_quotable, min_size=1, max_size=3),
        },
    ),
    messages=st.lists(
        st.builds(
            Message, role=st.sampled_from(["system", "user", "assistant"]), content=_quotable
        ),
        max_size=3,
    ).map(tuple),
)


@given(_modelfiles)
def test_what_is_written_is_read_back_the_same(modelfile):
    assert parse_modelfile(write_modelfile(modelfile)) == modelfile


@given(_texts)
def test_a_text_is_quoted_well_or_refused(text):
    modelfile = Modelfile(sources=("a",), system=text)
    try:
        written = write_modelfile(modelfile)
    except BadRecipe:
        assert '"""' in text
    else:
        assert parse_modelfile(written).system == text


@given(_texts)
def test_any_text_is_a_modelfile_or_an_error(text):
    with suppress(BadRecipe):
        read = parse_modelfile(text)
        assert read.sources
        assert all(math.isfinite(v) for v in read.parameters.values() if isinstance(v, float))
