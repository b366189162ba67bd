"""Task prefixes of the well-known embedding models."""

from __future__ import annotations

import pytest

from reshore.models.prompts import known_prompts
from tests.models.test_capabilities import facts

PASSAGES = "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        ("nomic-embed-text:latest", "search_query: ", "search_document: "),
        ("nomic-embed-text:v1.5", "search_query: ", "search_document: "),
        ("mxbai-embed-large:335m", PASSAGES, ""),
        ("snowflake-arctic-embed:22m", PASSAGES, ""),
        ("snowflake-arctic-embed2:568m", "query: ", ""),
        ("hf.co/x/Snowflake-Arctic-Embed-L-v2.0-GGUF:Q8_0", "query: ", ""),
        ("bge-large:335m", PASSAGES, ""),
        ("qllama/bge-small-en-v1.5:latest", PASSAGES, ""),
        ("jeffh/intfloat-e5-base-v2:latest", "query: ", "passage: "),
        ("multilingual-e5-large:latest", "query: ", "passage: "),
        ("embeddinggemma:300m", "task: search result | query: ", "title: none | text: "),
    ],
)
def test_a_well_known_model_has_its_prefixes(name: str, query: str, document: str) -> None:
    prompts = known_prompts(name, facts())
    assert prompts["query"] == query
    assert prompts["document"] == document


@pytest.mark.parametrize("name", ["qwen3-embedding:0.6b", "multilingual-e5-large-instruct:latest"])
def test_instruction_models_instruct_the_query_alone(name: str) -> None:
    prompts = known_prompts(name, facts())
    assert prompts["query"].startswith("Instruct: ")
    assert prompts["document"] == ""


@pytest.mark.parametrize(
    "name", ["all-minilm:latest", "bge-m3:567m", "smollm2:135m", "phi5:latest"]
)
def test_other_models_have_none(name: str) -> None:
    assert known_prompts(name, facts()) == {}


def test_the_name_in_the_file_counts_more_than_what_the_model_is_called() -> None:
    header = facts(name="Nomic Embed Text v1.5")
    assert known_prompts("search:latest", header)["query"] == "search_query: "
    base = facts(metadata={"general.basename": "bge-base-en"})
    assert known_prompts("search:latest", base)["query"] == PASSAGES
