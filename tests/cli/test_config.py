import json

import pytest


def _settings(ended):
    return {setting["key"]: setting for setting in json.loads(ended.out)}


def test_each_setting_says_where_it_comes_from(cli, home, monkeypatch):
    (home / "reshore.toml").write_text(
        'lenient = true\nhost = "127.0.0.1:1"\n[engine]\nparallel = 3\nthreads = 2\n'
    )
    monkeypatch.setenv("RESHORE_HOST", "127.0.0.1:2")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:3")
    monkeypatch.setenv("OLLAMA_NUM_PARALLEL", "7")
    settings = _settings(cli("config", "--json"))
    file = str(home / "reshore.toml")

    def shown(key):
        return settings[key]["value"], settings[key]["source"]

    assert shown("home") == (str(home), "RESHORE_HOME")
    assert shown("host") == ("127.0.0.1:2", "RESHORE_HOST")
    assert shown("engine.parallel") == (7, "OLLAMA_NUM_PARALLEL")
    assert shown("engine.threads") == (2, file)
    assert shown("lenient") == (True, file)
    assert shown("pool.keep_alive") == (300, "default")


@pytest.mark.parametrize("key", ["api_key", "admin_key"])
def test_keys_are_never_shown(cli, monkeypatch, key):
    monkeypatch.setenv(f"RESHORE_{key.upper()}", "sesame")
    ended = cli("config")
    assert "sesame" not in ended.out
    assert _settings(cli("config", "--json"))[key]["value"] == "(set)"


def test_the_path_of_a_webhook_is_never_shown(cli, home):
    (home / "reshore.toml").write_text('[rollout]\nwebhook = "https://hooks.example.com/sesame"\n')
    assert "sesame" not in cli("config").out
    assert _settings(cli("config", "--json"))["rollout.webhook"]["value"] == "(set)"


def test_the_password_of_the_ledger_is_never_shown(cli, monkeypatch):
    monkeypatch.setenv("RESHORE_LEDGER_URL", "postgresql://ada:sesame@db/x")
    assert "sesame" not in cli("config").out
    shown = _settings(cli("config", "--json"))["ledger.url"]["value"]
    assert shown == "postgresql://ada:***@db/x"


def test_prices_with_dates_are_shown(cli, home):
    (home / "reshore.toml").write_text('[prices."m"]\ninput = 1\nfrom = 2026-01-31\n')
    assert '"from":"2026-01-31"' in cli("config").out


def test_the_table_shows_models_and_aliases(cli, home):
    (home / "reshore.toml").write_text('[aliases]\na = "b"\n[models.b]\nload_timeout_s = "5m"\n')
    ended = cli("config")
    assert ended.code == 0
    assert '{"a":"b"}' in ended.out
    assert '"load_timeout_s":300' in ended.out
