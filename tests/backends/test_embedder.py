"""Which models embed, and how those do that generate."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reshore.backends.embedder import HEADER, as_embedder
from reshore.errors import LacksCapability
from reshore.models.facts import Pooling
from reshore.testing import fake_model


def test_an_embedding_model_stays_as_it_is() -> None:
    model = msgspec.structs.replace(fake_model("m"), capabilities=("embedding",))
    assert as_embedder(model) == (model, {})


def test_a_generating_model_embeds_by_its_last_token_and_without_eyes() -> None:
    model = msgspec.structs.replace(
        fake_model("m"), capabilities=("completion", "vision"), projector_path=Path("p.gguf")
    )
    embedder, notices = as_embedder(model)
    assert embedder.embeds
    assert not model.embeds
    assert (embedder.name, embedder.digest) == (model.name, model.digest)
    assert embedder.facts.pooling == Pooling.LAST
    assert embedder.projector_path is None
    assert notices == {HEADER: "last"}


def test_a_model_that_ranks_gives_no_vectors() -> None:
    model = msgspec.structs.replace(fake_model("m"), capabilities=())
    with pytest.raises(LacksCapability, match="use an embedding model"):
        as_embedder(model)
