"""Upstreams in `reshore.toml`, and keys that are nowhere in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reshore.config import Config, UpstreamConfig, key_variable, load, read_keys
from reshore.errors import ConfigError


def loaded(home: Path, text: str, **env: str) -> Config:
    (home / "reshore.toml").write_text(text)
    return load(env={"RESHORE_HOME": str(home), **env})


@pytest.mark.parametrize(
    ("lines", "base"),
    [
        ("", "https://api.openai.com/v1"),
        ('kind = "openrouter"', "https://openrouter.ai/api/v1"),
        ('url = "http://box:8000"\nkind = "vllm"', "http://box:8000/v1"),
        ('url = "http://box:8000/"\nkind = "vllm"', "http://box:8000/v1"),
        ('url = "http://box:8000/llm/v1/"\nkind = "vllm"', "http://box:8000/llm/v1"),
        (
            'url = "https://x.openai.azure.com"\nkind = "azure"',
            "https://x.openai.azure.com/openai/v1",
        ),
    ],
)
def test_the_url_may_be_left_to_the_kind(tmp_path: Path, lines: str, base: str) -> None:
    config = loaded(tmp_path, f"[upstreams.cloud]\n{lines}\n")
    assert config.upstreams["cloud"].base_url() == base


def test_limits_are_as_usual_for_the_kind_unless_set(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        '[upstreams.a]\n[upstreams.b]\nkind = "vllm"\nurl = "http://box"\ntotal_timeout_s = "1h"\n'
        "token_timeout_s = -1\n",
    )
    cloud, own = config.upstreams["a"].timeouts(), config.upstreams["b"].timeouts()
    assert (cloud.first_token_s, cloud.token_s, cloud.total_s) == (60, 30, 600)
    assert (own.first_token_s, own.token_s, own.total_s) == (120, 0, 3600)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('url = "box:8000"', "url must be that of an API"),
        ('kind = "azure"', "url must be that of an API"),
        ('url = "https://sk-secret@api.example/v1"', "key_file"),
        ('url = "https://api.example/v1?key=sk-secret"', "key_file"),
        ('key = "sk-secret"', "keys are not kept in reshore.toml"),
        ('keys = ["sk-secret"]', "RESHORE_UPSTREAM_<NAME>_KEY"),
        ("first_token_timeout = 3", "Did you mean upstreams.cloud.first_token_timeout_s?"),
    ],
)
def test_a_wrong_upstream_says_what_to_do_and_shows_no_key(
    tmp_path: Path, lines: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"[upstreams.cloud]\n{lines}\n")
    assert says in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_the_upstream_that_is_wrong_is_named(tmp_path: Path) -> None:
    lines = '[upstreams.one]\nurl = "http://a"\n[upstreams.two]\nurl = "ftp://b"\n'
    with pytest.raises(ConfigError, match=r"reshore\.toml: upstreams\.two: url must be that"):
        loaded(tmp_path, lines)


@pytest.mark.parametrize("name", ["local", "Cloud", "a.b", "ä", "x" * 33])
def test_a_name_that_cannot_stand_in_a_policy_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="an upstream's name has"):
        loaded(tmp_path, f'[upstreams."{name}"]\n')


def test_two_names_may_not_share_a_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RESHORE_UPSTREAM_A_B_KEY; rename one"):
        loaded(tmp_path, "[upstreams.a-b]\n[upstreams.a_b]\n")


def test_a_variable_with_keys_is_no_setting_and_is_in_none(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[upstreams.open-ai]\n", RESHORE_UPSTREAM_OPEN_AI_KEY="sk-secret")
    assert "sk-secret" not in repr(config)
    assert key_variable("open-ai") == "RESHORE_UPSTREAM_OPEN_AI_KEY"


def test_a_variable_for_an_upstream_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean RESHORE_UPSTREAM_OPENAI_KEY") as caught:
        loaded(tmp_path, "[upstreams.openai]\n", RESHORE_UPSTREAM_OPENIA_KEY="sk-secret")
    assert "sk-secret" not in str(caught.value)


def test_keys_come_from_the_variable_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "cloud.key").write_text("# of the team\nsk-1\n\n sk-2 \nsk-1\n")
    upstream = UpstreamConfig(key_file="cloud.key")
    assert read_keys("cloud", upstream, home=tmp_path, env={}) == ("sk-1", "sk-2")
    env = {"RESHORE_UPSTREAM_CLOUD_KEY": "sk-3, sk-4,"}
    assert read_keys("cloud", upstream, home=tmp_path, env=env) == ("sk-3", "sk-4")
    assert read_keys("cloud", UpstreamConfig(), home=tmp_path, env={}) == ()


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"", "no key in it"), (b"\xff", "not text"), (b"sk se", "a space")],
)
def test_a_key_file_of_no_use_is_named_and_its_content_is_not_shown(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "cloud.key").write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        read_keys("cloud", UpstreamConfig(key_file="cloud.key"), home=tmp_path, env={})
    assert "cloud.key" in str(caught.value)
    assert "sk se" not in str(caught.value)
