"""A line is added to reshore.toml, and nothing else changes."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.cli.settings_file import with_read_model
from reshore.errors import ConfigError
from scripts import configuration

PATH = "/var/ollama/models"
LINE = f'read_models = ["{PATH}"]\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", LINE),
        ('host = ":1"', f'host = ":1"\n{LINE}'),
        ('host = ":1"\n\n# engines\n[engine]\n', f'host = ":1"\n{LINE}\n# engines\n[engine]\n'),
        ("[engine]\nthreads = 2\n", f"{LINE}[engine]\nthreads = 2\n"),
        (
            "# stores\n# read_models = []\nhost = ':1'\n",
            f"# stores\n# read_models = []\n{LINE}host = ':1'\n",
        ),
        ("read_models = []\n", f'read_models = ["{PATH}"]\n'),
        ("read_models = ['a']  # mine\n", f"read_models = ['a', \"{PATH}\"]  # mine\n"),
        (
            "read_models = [\n  'a', # ] first\n  \"b]\",\n]\nhost = ':1'\n",
            f"read_models = [\n  'a', # ] first\n  \"b]\", \"{PATH}\"\n]\nhost = ':1'\n",
        ),
        ("read_models = [\n  # none yet\n]\n", f'read_models = ["{PATH}"\n  # none yet\n]\n'),
    ],
)
def test_the_store_is_added_where_it_belongs(before: str, after: str) -> None:
    assert with_read_model(before, PATH) == after
    assert tomllib.loads(after)["read_models"][-1] == PATH


def test_a_store_that_is_there_changes_nothing() -> None:
    assert with_read_model(LINE, PATH) == LINE


def test_a_second_one_is_added_to_the_first() -> None:
    twice = with_read_model(with_read_model("", "/a"), "/b")
    assert tomllib.loads(twice) == {"read_models": ["/a", "/b"]}


def test_the_example_file_can_be_extended() -> None:
    text = configuration.example()
    after = with_read_model(text, PATH)
    assert tomllib.loads(after) == tomllib.loads(text) | {"read_models": [PATH]}
    assert [line for line in after.splitlines() if line not in text.splitlines()] == [LINE.strip()]


@pytest.mark.parametrize(
    "text", ['"read_models" = []\n', "x = '''\n[a]\n'''\n\"read_models\" = ['b']\n"]
)
def test_what_cannot_be_changed_safely_is_left_to_the_person(text: str) -> None:
    with pytest.raises(ConfigError, match="write into it: read_models = "):
        with_read_model(text, PATH)


def test_a_file_that_is_no_toml_is_refused() -> None:
    with pytest.raises(ConfigError, match="no TOML"):
        with_read_model("host = \n", PATH)


@given(
    stores=st.lists(st.text(st.characters(codec="utf-8"), max_size=12), max_size=3),
    path=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1),
)
def test_whatever_the_paths_are_the_file_says_them(stores: list[str], path: str) -> None:
    text = ""
    for store in stores:
        text = with_read_model(text, store)
    assert tomllib.loads(with_read_model(text, path))["read_models"][-1:] == [path] or (
        path in stores
    )
