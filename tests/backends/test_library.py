"""Installed models as backends see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reshore.backends.library import Library
from reshore.errors import UnfitModel, UnknownModel
from reshore.models.create import create_from
from reshore.models.store import Store
from tests.models.ollama_store import OllamaStore
from tests.models.tiny import write_tiny_gguf

TOOLS = "{% if tools %}{{ tools }}{% endif %}{{ messages }}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """`both` is ours with tools and Ollama's without; `odd` is Ollama's alone, and unfit."""
    theirs = OllamaStore(tmp_path / "ollama")
    store = Store(tmp_path / "models", [theirs.root])
    create_from(store, "both", write_tiny_gguf(tmp_path / "a.gguf", chat_template=TOOLS))
    theirs.add("both", model=write_tiny_gguf(tmp_path / "b.gguf").read_bytes())
    odd = write_tiny_gguf(tmp_path / "c.gguf", architecture="olmo3", context_length=99)
    theirs.add("odd", model=odd.read_bytes())
    return store


async def test_of_a_name_that_two_stores_have_ours_is_listed_and_answers(store: Store) -> None:
    library = Library(store)
    infos = {info.name: info for info in await library.infos()}
    assert infos.keys() == {"both:latest", "odd:latest"}
    assert infos["both:latest"].capabilities == ("completion", "tools")
    assert (await library.find("both")).capabilities == ("completion", "tools")


async def test_an_unfit_model_is_listed_and_refused(store: Store) -> None:
    library = Library(store)
    infos = {info.name: info for info in await library.infos()}
    assert infos["odd:latest"].context_length == 99
    with pytest.raises(UnfitModel, match="olmo2"):
        await library.find("odd")


async def test_an_unknown_model_is_named_as_it_was_asked_for(store: Store) -> None:
    with pytest.raises(UnknownModel, match="BOOTH") as caught:
        await Library(store).find("BOOTH")
    assert caught.value.nearest == ("both:latest",)
    with pytest.raises(UnknownModel):
        await Library(store).find("../x")


async def test_an_unknown_model_that_was_to_be_listed_names_the_nearest(store: Store) -> None:
    library = Library(store)
    assert await library.listed("BOTH") == "both:latest"
    with pytest.raises(UnknownModel, match="booth") as caught:
        await library.listed("booth")
    assert caught.value.nearest == ("both:latest",)
    with pytest.raises(UnknownModel):
        await library.listed("../x")
