"""The layers, where a setting came from, and errors that help."""

from pathlib import Path

import pytest

from reshore.config import Layers, load, read_layers
from reshore.errors import ConfigError


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


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300), ("60", 60), ("-1", -1), ("0", 0)])
def test_ollamas_keep_alive_is_a_number_or_a_duration(
    tmp_path: Path, text: str, seconds: float
) -> None:
    assert load(env=env(tmp_path, OLLAMA_KEEP_ALIVE=text)).pool.keep_alive == seconds


def test_a_keep_alive_that_is_neither_is_no_silent_default(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"OLLAMA_KEEP_ALIVE: .*'1d' is not a duration"):
        load(env=env(tmp_path, OLLAMA_KEEP_ALIVE="1d"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[engin]\nx = 1\n", "Did you mean engine"),
        ("[engine]\nthread = 1\n", "Did you mean engine.threads?"),
        ("[engine]\nthreads = -1\n", "engine.threads"),
        ("[engine]\nkind = 'vllm'\n", "engine.kind"),
        ("[pool]\nkeep_alive = 'soon'\n", "'soon' is not a duration"),
        ("[models.a]\nthread = 1\n", "Did you mean models.a.threads?"),
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


def layers(tmp_path: Path) -> Layers:
    (tmp_path / "reshore.toml").write_text(
        '[engine]\nthreads = 2\nbatch = 64\nparallel = 3\n[models."a:b"]\nkind = "echo"\n'
    )
    return read_layers(
        env=env(tmp_path, RESHORE_ENGINE_BATCH="128", OLLAMA_HOST=":1", OLLAMA_NUM_PARALLEL="2"),
        flags={"engine.parallel": 7, "api_key": "k", "lenient": None},
        flag_names={"engine.parallel": "--parallel", "api_key": "--api-key-file"},
    )


@pytest.mark.parametrize(
    ("key", "source"),
    [
        ("home", "RESHORE_HOME"),
        ("engine.threads", "reshore.toml"),
        ("models", "reshore.toml"),
        ("engine.batch", "RESHORE_ENGINE_BATCH"),
        ("host", "OLLAMA_HOST"),
        ("engine.parallel", "--parallel"),
        ("api_key", "--api-key-file"),
        ("lenient", "default"),
        ("engine.echo.tokens", "default"),
    ],
)
def test_each_setting_says_where_it_came_from(tmp_path: Path, key: str, source: str) -> None:
    assert layers(tmp_path).source(key).removeprefix(f"{tmp_path}/") == source


def test_layers_are_the_settings(tmp_path: Path) -> None:
    config = layers(tmp_path).config()
    assert (config.engine.threads, config.engine.batch, config.engine.parallel) == (2, 128, 7)
    assert (config.host, config.api_key, config.lenient) == (":1", "k", False)


def test_a_wrong_flag_is_named_as_people_write_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--api-key-file: api_key: Expected `str`"):
        load(env=env(tmp_path), flags={"api_key": []}, flag_names={"api_key": "--api-key-file"})


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^RESHORE_ENGINE_THREADS: engine\.threads: "):
        load(env=env(tmp_path, RESHORE_ENGINE_THREADS="two"))


def test_a_variable_cannot_set_what_is_in_a_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown setting RESHORE_MODELS"):
        load(env=env(tmp_path, RESHORE_MODELS="{}"))


def test_a_variable_of_a_section_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reshore.toml").write_text("engine = 3\n")
    with pytest.raises(ConfigError, match="engine must be a table"):
        load(env=env(tmp_path, RESHORE_ENGINE_THREADS="2"))
