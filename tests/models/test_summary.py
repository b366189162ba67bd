"""Lists read a header once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reshore.models.create import create_from
from reshore.models.judge import Verdict
from reshore.models.store import Store
from reshore.models.summary import Summaries, Summary
from tests.models.tiny import write_tiny_gguf

SEEN = Summary(
    verdict=Verdict(notes=("a", "b")), architecture="llama", capabilities=("completion",)
)
FILE = (1, 2, 3, 4)


def test_what_was_put_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    memory = tmp_path / "summaries.json"
    Summaries(memory).put("d", (FILE,), SEEN)
    assert Summaries(memory).get("d", (FILE,)) == SEEN


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    summaries = Summaries(tmp_path / "summaries.json")
    summaries.put("d", (FILE,), SEEN)
    assert summaries.get("d", ((1, 2, 3, 5),)) is None
    assert summaries.get("other", (FILE,)) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version":"0","entries":{}}'])
def test_a_damaged_or_older_memory_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    memory = tmp_path / "summaries.json"
    memory.write_bytes(content)
    summaries = Summaries(memory)
    assert summaries.get("d", (FILE,)) is None
    summaries.put("d", (FILE,), SEEN)
    assert Summaries(memory).get("d", (FILE,)) == SEEN


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    summaries = Summaries(tmp_path / "file" / "summaries.json")
    summaries.put("d", (FILE,), SEEN)
    assert summaries.get("d", (FILE,)) == SEEN


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "models")
    create_from(store, "tiny", write_tiny_gguf(tmp_path / "tiny.gguf", context_length=77))
    return store


def test_a_summary_tells_what_the_header_says(store: Store) -> None:
    summary = store.summary(store.get("tiny"))
    assert summary.verdict.servable
    assert summary.architecture == "llama"
    assert summary.context_length == 77
    assert summary.embedding_length == 32
    assert summary.quantization == "F32"
    assert summary.capabilities == ("completion",)
    assert summary.template == "file"


def test_a_known_model_is_summarized_without_reading_its_file(store: Store) -> None:
    installed = store.get("tiny")
    known = store.summary(installed)
    path = store.resolve("tiny").model_path
    path.chmod(0)  # only looked at from now on: a `stat` needs no permission to read
    assert Store(store.root).summary(installed) == known


def test_a_model_whose_file_is_gone_is_damaged_and_says_so(store: Store) -> None:
    installed = store.get("tiny")
    store.summary(installed)
    path = store.resolve("tiny").model_path
    moved = path.with_name("elsewhere")
    os.rename(path, moved)
    verdict = store.summary(installed).verdict
    assert verdict.state == "damaged"
    assert path.name in verdict.reason
    os.rename(moved, path)
    assert store.summary(installed).verdict.servable
