"""Settings: layers, durations, addresses, and errors that help."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import Config, Seconds, keys, load, parse_duration, parse_host, variable
from reshore.errors import ConfigError
from scripts import configuration

ROOT = Path(__file__).parent.parent


def env(tmp_path: Path, **values: str) -> dict[str, str]:
    return {"RESHORE_HOME": str(tmp_path), **values}


def test_defaults_need_no_file(tmp_path: Path) -> None:
    config = load(env=env(tmp_path))
    assert config.host == "127.0.0.1:11434"
    assert config.home == tmp_path


def test_each_layer_wins_over_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "reshore.toml").write_text("[engine]\nthreads = 2\nbatch = 64\nparallel = 3\n")
    config = load(
        env=env(tmp_path, RESHORE_ENGINE_BATCH="128", RESHORE_ENGINE_PARALLEL="5"),
        flags={"engine.parallel": 7, "host": None},
    )
    assert (config.engine.threads, config.engine.batch, config.engine.parallel) == (2, 128, 7)


def test_ollama_names_count_where_reshore_says_nothing(tmp_path: Path) -> None:
    config = load(
        env=env(
            tmp_path,
            OLLAMA_KEEP_ALIVE="-1",
            OLLAMA_NUM_PARALLEL="2",
            OLLAMA_FLASH_ATTENTION="1",
            OLLAMA_ORIGINS="https://a.example, https://b.example",
            RESHORE_ENGINE_PARALLEL="9",
        )
    )
    assert config.pool.keep_alive == -1
    assert config.engine.parallel == 9
    assert config.engine.flash_attention == "on"
    assert config.origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[engin]\nx = 1\n", "Did you mean engine"),
        ("[engine]\nthread = 1\n", "Did you mean engine.threads?"),
        ("[engine]\nthreads = -1\n", "engine.threads"),
        ("[engine]\nkind = 'vllm'\n", "engine.kind"),
        ("[pool]\nkeep_alive = 'soon'\n", "'soon' is not a duration"),
        ("[engine\n", "reshore.toml"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_the_file(
    tmp_path: Path, text: str, expected: str
) -> None:
    (tmp_path / "reshore.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"reshore\.toml") as caught:
        load(env=env(tmp_path))
    assert expected in str(caught.value)


def test_an_unknown_variable_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean RESHORE_ENGINE_KIND"):
        load(env=env(tmp_path, RESHORE_ENGIN_KIND="echo"))


def test_one_model_may_have_settings_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "reshore.toml").write_text(
        '[engine]\nthreads = 2\n[models."a:b"]\nkind = "echo"\ncontext_length = 99\n'
    )
    config = load(env=env(tmp_path))
    own = config.engine_for("a:b")
    assert (own.kind, own.context_length, own.threads) == ("echo", 99, 2)
    assert config.engine_for("other") is config.engine


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300", 300),
        (5, 5),
        (2.5, 2.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("-1", -1),
        ("-1m", -60),
        ("1.5s", 1.5),
        ("100ms", 0.1),
        ("0", 0),
    ],
)
def test_durations_are_seconds_or_go_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5 m", "m", "1d", "5m3", True, None, [], "--1s"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration"):
        parse_duration(text)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_of_seconds_survives(value: float) -> None:
    assert parse_duration(str(value)) == Seconds(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("127.0.0.1", 11434)),
        ("1.2.3.4", ("1.2.3.4", 11434)),
        ("1.2.3.4:", ("1.2.3.4", 11434)),
        (":1234", ("127.0.0.1", 1234)),
        ("1.2.3.4:1234", ("1.2.3.4", 1234)),
        ("example.com:56789", ("example.com", 56789)),
        ("http://1.2.3.4", ("1.2.3.4", 80)),
        ("https://1.2.3.4", ("1.2.3.4", 443)),
        ("http://1.2.3.4:8080/path", ("1.2.3.4", 8080)),
        ("[::1]", ("::1", 11434)),
        ("[::1]:1337", ("::1", 1337)),
        ("::1", ("::1", 11434)),
        ("'1.2.3.4'", ("1.2.3.4", 11434)),
        ("1.2.3.4:66000", ("1.2.3.4", 11434)),
        (" 0.0.0.0:5 ", ("0.0.0.0", 5)),
    ],
)
def test_addresses_are_read_as_ollama_reads_them(text: str, expected: tuple[str, int]) -> None:
    assert parse_host(text) == expected


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="not an address"):
        parse_host("1.2.3.4:http")


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
    loaded = load(env=env(tmp_path))
    defaults = load(env=env(tmp_path / "elsewhere"))
    for name in ("engine", "pool", "limits"):
        assert getattr(loaded, name) == getattr(defaults, name)


def test_every_setting_has_a_description() -> None:
    for key, entry in keys().items():
        if key not in configuration.TABLES:
            assert configuration._description(entry), key


def test_variables_follow_one_rule() -> None:
    assert variable("engine.kv_cache_type") == "RESHORE_ENGINE_KV_CACHE_TYPE"
    assert isinstance(msgspec.structs.fields(Config), tuple)
