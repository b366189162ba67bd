"""What one model has for itself, over `[engine]`."""

from pathlib import Path

from reshore.config import load


def test_one_model_may_have_settings_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "reshore.toml").write_text(
        '[engine]\nthreads = 2\n[models."a:b"]\nkind = "echo"\ncontext_length = 99\n'
    )
    config = load(env={"RESHORE_HOME": str(tmp_path)})
    own = config.engine_for("a:b")
    assert (own.kind, own.context_length, own.threads) == ("echo", 99, 2)
    assert config.engine_for("other") is config.engine
