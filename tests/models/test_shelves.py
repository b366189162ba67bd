"""Finding models, in one store and in several."""

from __future__ import annotations

from pathlib import Path

import pytest

from reshore.errors import BadModelFile, UnknownModel
from reshore.models.store import Store
from tests.models.installing import install


def test_names_match_without_regard_to_case_and_keep_their_spelling(
    store: Store, tiny: bytes
) -> None:
    install(store, "Me/Model:Q4", tiny)
    assert store.resolve("me/mODEL:q4").name == "Me/Model:Q4"
    install(store, "ME/model:q4", tiny)
    assert [str(model.name) for model in store.list()] == ["Me/Model:Q4"]


def test_a_store_that_cannot_be_read_hides_no_other_and_is_told(
    store: Store, tiny: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(store, "m", tiny)
    both = Store(store.root, [tmp_path / ("x" * 300)])  # too long a name: there is no looking
    assert both.resolve("m").name == "m:latest"
    assert [str(model.name) for model in both.list()] == ["m:latest"]
    assert "cannot be read: File name too long" in caplog.text
    with pytest.raises(BadModelFile, match=r"manifest of n:latest in .*cannot be read"):
        both.get("n")


def test_an_unknown_model_names_the_nearest(store: Store, tiny: bytes) -> None:
    for name in ("smollm2:135m", "all-minilm", "other"):
        install(store, name, tiny)
    with pytest.raises(UnknownModel) as caught:
        store.resolve("smollm2")
    assert caught.value.nearest == ("smollm2:135m",)
    with pytest.raises(UnknownModel) as caught:
        store.resolve("all-minilmm")
    assert caught.value.nearest == ("all-minilm:latest",)
    with pytest.raises(UnknownModel) as caught:
        store.resolve("zzz")
    assert caught.value.nearest == ()
