"""What a file is to a model, and what is said of one that is nothing to it."""

from pathlib import Path

import pytest

from reshore.errors import BadRecipe, SourceError
from reshore.models.kinds import check_adapter, kind_of, kinds_of
from reshore.models.manifest import MODEL_TYPE, PROJECTOR_TYPE
from tests.models.tiny import write_tiny_gguf


def test_the_model_comes_first_whatever_the_order(tmp_path: Path) -> None:
    projector = write_tiny_gguf(tmp_path / "a.gguf", architecture="clip")
    model = write_tiny_gguf(tmp_path / "b.gguf")
    for paths in ([projector, model], [tmp_path]):
        assert list(kinds_of(paths).items()) == [(MODEL_TYPE, model), (PROJECTOR_TYPE, projector)]


@pytest.mark.parametrize("check", [kind_of, check_adapter])
def test_a_file_is_called_as_whoever_named_it_knows_it(tmp_path: Path, check: object) -> None:
    notes = tmp_path / "sha256-00"
    notes.write_text("no model")
    assert callable(check)
    with pytest.raises(BadRecipe, match=r"^files: notes\.gguf is n"):
        check(notes, "files: notes.gguf")
    with pytest.raises(SourceError, match=r"^files: gone\.gguf: No such file"):
        check(tmp_path / "gone", "files: gone.gguf")


def test_an_adapter_that_is_damaged_says_so(tmp_path: Path) -> None:
    damaged = tmp_path / "lora.gguf"
    damaged.write_bytes(b"GGUF\x03")
    with pytest.raises(BadRecipe, match=r"^lora: lora\.gguf .* ends in the middle"):
        check_adapter(damaged, "lora")
