"""`[ledger]` and `[prices]`."""

from datetime import date
from pathlib import Path

import pytest

from reshore.config import load, without_password
from reshore.errors import ConfigError


def read(home: Path, text: str, **env: str):
    (home / "reshore.toml").write_text(text)
    return load(env={"RESHORE_HOME": str(home), **env})


def test_a_model_may_have_one_price_or_several_by_date(tmp_path: Path) -> None:
    prices = read(
        tmp_path,
        '[prices."a"]\ninput = 1\n'
        '[[prices."b/*"]]\nhour = 2\n[[prices."b/*"]]\nfrom = 2026-01-31\nhour = 3\n',
    ).prices
    assert prices["a"].input == 1
    assert [each.since for each in prices["b/*"]] == [None, date(2026, 1, 31)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[ledger]\nurl = "mysql://ada:secret@h/db"\n', "PostgreSQL"),
        ("[ledger]\nredact = ['(']\n", "regular expression"),
        ("[ledger]\nflush_ms = 5000\n", "750"),
        ("[ledger]\ntexts = 2\n", "1"),
        ('[prices."m"]\ninput = -1\n', "0"),
        ('[prices."m"]\nimput = 1\n', "Did you mean"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as raised:
        read(tmp_path, text)
    assert "secret" not in str(raised.value)


def test_a_pattern_in_a_variable_may_hold_commas(tmp_path: Path) -> None:
    config = read(tmp_path, "", RESHORE_LEDGER_REDACT=r"\d{4,8}")
    assert config.ledger.redact == (r"\d{4,8}",)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:s%40e@db:5432/x", "postgresql://ada:***@db:5432/x"),
        ("postgresql://ada@db:5432/x", "postgresql://ada@db:5432/x"),
        ("postgresql:///x?host=/run", "postgresql:///x?host=/run"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
