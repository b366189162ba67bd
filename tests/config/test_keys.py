"""Every key is documented, and has one variable."""

import tomllib
from pathlib import Path

from reshore.config import is_table, keys, load, variable
from scripts import configuration

ROOT = Path(__file__).parent.parent.parent


def test_the_documentation_and_the_example_show_every_setting() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == configuration.documentation()
    text = (ROOT / "reshore.example.toml").read_text()
    assert text == configuration.example()
    assert all(key.rpartition(".")[2] in text for key in keys())


def test_the_example_is_valid_with_every_line_uncommented(tmp_path: Path) -> None:
    text = configuration.example()
    lines = [
        line.removeprefix("# ") if " = " in line or line.startswith("# [") else line
        for line in text.splitlines()
    ]
    tomllib.loads("\n".join(lines))
    (tmp_path / "reshore.toml").write_text("\n".join(lines))
    loaded = load(env={"RESHORE_HOME": str(tmp_path)})
    defaults = load(env={"RESHORE_HOME": str(tmp_path / "elsewhere")})
    for name in ("engine", "pool", "limits"):
        assert getattr(loaded, name) == getattr(defaults, name)


def test_every_setting_has_a_description() -> None:
    for key, entry in keys().items():
        if not is_table(entry):
            assert configuration._description(entry), key


def test_variables_follow_one_rule() -> None:
    assert variable("engine.kv_cache_type") == "RESHORE_ENGINE_KV_CACHE_TYPE"
