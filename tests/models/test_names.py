from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import BadName
from reshore.models.names import Name, parse_name


@pytest.mark.parametrize(
    ("text", "full", "shown"),
    [
        ("llama3", "registry.ollama.ai/library/llama3:latest", "llama3:latest"),
        ("smollm2:135m", "registry.ollama.ai/library/smollm2:135m", "smollm2:135m"),
        ("me/x", "registry.ollama.ai/me/x:latest", "me/x:latest"),
        ("library/x:1", "registry.ollama.ai/library/x:1", "x:1"),
        ("hf.co/a/B-GGUF:Q4_K_M", "hf.co/a/B-GGUF:Q4_K_M", "hf.co/a/B-GGUF:Q4_K_M"),
        ("localhost:5000/ns/m", "localhost:5000/ns/m:latest", "localhost:5000/ns/m:latest"),
        ("localhost:5000/ns/m:t", "localhost:5000/ns/m:t", "localhost:5000/ns/m:t"),
        ("https://h/n/m:t", "h/n/m:t", "h/n/m:t"),
        ("_x", "registry.ollama.ai/library/_x:latest", "_x:latest"),
        ("Registry.Ollama.AI/Library/x", "Registry.Ollama.AI/Library/x:latest", "x:latest"),
        ("a" * 80 + ":" + "t" * 80, None, "a" * 80 + ":" + "t" * 80),
        ("h" * 350 + "/n/m:t", "h" * 350 + "/n/m:t", "h" * 350 + "/n/m:t"),
    ],
)
def test_names_get_their_defaults(text: str, full: str | None, shown: str) -> None:
    name = parse_name(text)
    assert str(name) == shown
    assert full is None or name.full == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "x:",
        ":x",
        "/x",
        "x/",
        "a/b/c/d",
        "..",
        "../x",
        "a/../b",
        "x:../../etc/passwd",
        "..%2f..%2fx",
        "%2e%2e/x",
        ".hidden",
        "-flag",
        "x:-y",
        "a.b/x",
        "x\0",
        "x\n",
        "x\r\nHost: y",
        "x y",
        "a\\b",
        "x\u2024y",
        "\uff0e\uff0e/x",
        "mod\u00e9l",
        "x@sha256:0123",
        "a" * 81,
        "x:" + "t" * 81,
        "n" * 81 + "/x",
        "h" * 351 + "/n/x",
        "x" * 5000,
        "ftp://h/n/m",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(BadName) as caught:
        parse_name(text)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_case_makes_no_difference_to_the_key() -> None:
    assert parse_name("Llama3:8B").key == parse_name("llama3:8b").key


def test_the_scheme_is_kept_but_no_part_of_the_identity() -> None:
    plain, http = parse_name("h/n/m"), parse_name("http://h/n/m")
    assert (http.scheme, plain.scheme) == ("http", None)
    assert http.key == plain.key


@given(st.text(max_size=120) | st.text("abAB01_.-:/\0\n ", max_size=40))
def test_any_text_is_a_name_or_refused_and_names_make_safe_paths(text: str) -> None:
    try:
        name = parse_name(text)
    except BadName:
        return
    path = PurePosixPath("root").joinpath(*name.parts)
    assert len(path.parts) == 5
    assert not any(part.startswith((".", "-")) for part in path.parts)
    assert name.full.isascii()


_START = "abzAZ09_"
_PART = st.from_regex(r"\A[a-zA-Z0-9_][a-zA-Z0-9_-]{0,79}\Z")


@given(_PART, _PART, _PART, _PART)
def test_shown_and_full_names_parse_back(host: str, ns: str, model: str, tag: str) -> None:
    name = Name(host=host, namespace=ns, model=model, tag=tag)
    assert parse_name(name.full) == name
    assert parse_name(str(name)).key == name.key
