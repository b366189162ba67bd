"""Where events of rollouts go, and the secret that signs them."""

from pathlib import Path

import pytest

from reshore.config import load
from reshore.config.rollout import SECRET_VARIABLE, read_webhook_secret
from reshore.errors import ConfigError

URL = "https://hooks.example.com/reshore"


def settings(home: Path, text: str = f'webhook = "{URL}"\n', **env: str):
    (home / "reshore.toml").write_text(f"[rollout]\n{text}")
    return load(env={"RESHORE_HOME": str(home), **env}).rollout


def test_the_secret_comes_from_its_variable_or_its_file(tmp_path: Path) -> None:
    (tmp_path / "hook.key").write_text("# for the hook\nfrom-a-file\n")
    config = settings(tmp_path, f'webhook = "{URL}"\nwebhook_secret_file = "hook.key"\n')
    assert read_webhook_secret(config, home=tmp_path, env={}) == b"from-a-file"
    env = {SECRET_VARIABLE: "from-a-variable"}
    assert settings(tmp_path, **env).webhook == URL
    assert read_webhook_secret(config, home=tmp_path, env=env) == b"from-a-variable"


def test_a_webhook_needs_one_secret(tmp_path: Path) -> None:
    config = settings(tmp_path)
    with pytest.raises(ConfigError, match="needs one secret"):
        read_webhook_secret(config, home=tmp_path, env={})
    (tmp_path / "two").write_text("alpha\nbeta\n")
    config = settings(tmp_path, f'webhook = "{URL}"\nwebhook_secret_file = "two"\n')
    with pytest.raises(ConfigError, match="2 were given") as caught:
        read_webhook_secret(config, home=tmp_path, env={})
    assert "alpha" not in str(caught.value)


def test_without_a_webhook_nothing_is_read(tmp_path: Path) -> None:
    config = settings(tmp_path, 'webhook_secret_file = "is-not-there"\n')
    assert read_webhook_secret(config, home=tmp_path, env={}) is None


@pytest.mark.parametrize(
    "text",
    [
        'webhook = "hooks.example.com"',
        'webhook = "ftp://hooks.example.com"',
        'webhook = "https://me:secret@hooks.example.com"',
        f'webhook = "{URL}#x"',
        f'webhook = "{URL}"\nwebhook_timeout_s = 0',
    ],
)
def test_an_address_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="rollout"):
        settings(tmp_path, text)
