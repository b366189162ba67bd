"""`[routes]` and `[privacy]` are read; what is wrong in them is named by its key."""

from pathlib import Path

import pytest

from reshore.config import Config, PrivacyConfig, RouteConfig, load
from reshore.errors import ConfigError


def read(home: Path, text: str, **env: str) -> Config:
    (home / "reshore.toml").write_text(text)
    return load(env={"RESHORE_HOME": str(home), **env})


def test_a_route_is_a_policy_or_a_table(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        '[routes]\n"gpt-4o" = "cloud"\n'
        '[routes."ft:gpt-4o:*"]\npolicy = "local"\nlocal = "m:1"\npins = false\n',
    )
    assert config.routes == {
        "gpt-4o": "cloud",
        "ft:gpt-4o:*": RouteConfig(policy="local", local="m:1", pins=False),
    }


def test_an_unknown_key_of_a_route_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"routes\.gpt-4o\.polcy: .*Did you mean .*policy"):
        read(tmp_path, '[routes."gpt-4o"]\npolicy = "local"\npolcy = "cloud"\n')


def test_a_route_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reshore\.toml: routes"):
        read(tmp_path, "[routes]\na = 3\n")


def test_privacy_rules_are_read(tmp_path: Path) -> None:
    config = read(tmp_path, "[privacy]\nnames = ['hr-*']\nkeys = ['0123abcd']\npatterns = ['a,b']")
    assert config.privacy == PrivacyConfig(names=("hr-*",), keys=("0123abcd",), patterns=("a,b",))


def test_a_pattern_in_a_variable_keeps_its_commas(tmp_path: Path) -> None:
    config = read(
        tmp_path, "", RESHORE_PRIVACY_PATTERNS=r"\d{3,4} x", RESHORE_PRIVACY_NAMES="hr-*, legal-*"
    )
    assert config.privacy.patterns == (r"\d{3,4} x",)
    assert config.privacy.names == ("hr-*", "legal-*")


def test_an_empty_variable_is_no_pattern(tmp_path: Path) -> None:
    assert read(tmp_path, "", RESHORE_PRIVACY_PATTERNS="").privacy.patterns == ()
