"""Scripts from files, and faults by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from reshore.errors import ConfigError
from reshore.testing import FAULTS, Scenario, Script, load_scenario, named_fault

SCENARIO = """
seed = 7

[[step]]
times = 3
status = 429
retry_after_s = 2

[[step]]
rate = 0.1
fault = "cut"
fault_after = 5
tool_calls = [{ name = "look", arguments = { at = "this" } }]
headers = [["x-ratelimit-remaining-requests", "0"]]
"""


def test_a_scenario_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "outage.toml"
    file.write_text(SCENARIO)
    scenario = load_scenario(file)
    first, second = scenario.step
    assert (scenario.seed, first) == (7, Script(times=3, status=429, retry_after_s=2))
    assert (second.fault, second.fault_after, second.rate) == ("cut", 5, 0.1)
    assert second.tool_calls[0].text == '{"at":"this"}'
    assert second.headers == (("x-ratelimit-remaining-requests", "0"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[step]]\nfault = 'fire'", r"fault|enum"),
        ("[[step]]\nstatus = 99", r"status"),
        ("[[steps]]", r"steps"),
        ("step = []", r"needs a step"),
        ("[[step", r"end of"),
    ],
)
def test_what_is_wrong_in_a_scenario_is_told_with_its_file(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"wrong\.toml: .*({says})"):
        load_scenario(file)


def test_a_scenario_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.toml"):
        load_scenario(tmp_path / "none.toml")


def test_a_scenario_without_a_file_answers_plainly() -> None:
    assert Scenario().step == (Script(),)


def test_every_error_status_is_a_fault_by_its_number() -> None:
    assert named_fault("503") == Script(status=503)
    assert named_fault("cut") is FAULTS["cut"]


@pytest.mark.parametrize("name", ["fire", "200", "600", ""])
def test_an_unknown_fault_is_told_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match="there are refuse, silent, "):
        named_fault(name)
