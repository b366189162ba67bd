"""The task prefixes that well-known embedding models were trained with.

Such a model gives vectors of lower quality when a search query and a document come without the
words that told them apart in training. The words are the client's business: they are added only
when a request or the configuration names them (`prompt_name`), never silently. The names `query`
and `document` are those of Sentence Transformers, and the texts are those of the model cards.
"""

from __future__ import annotations

import re

from msgspec import Struct

from reshore.models.facts import GgufFacts

_PASSAGES = "Represent this sentence for searching relevant passages: "
_WEB_SEARCH = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\n"
)


class Family(Struct, frozen=True, kw_only=True):
    """Models whose normalised name matches `pattern` take these `prompts`, by prompt name."""

    pattern: str
    prompts: dict[str, str]


# The first that matches; names are in lower case with `-` between words.
FAMILIES = (
    Family(
        pattern=r"nomic-embed-text",
        prompts={
            "query": "search_query: ",
            "document": "search_document: ",
            "classification": "classification: ",
            "clustering": "clustering: ",
        },
    ),
    Family(
        pattern=r"nomic-embed-code",
        prompts={"query": "Represent this query for searching relevant code: ", "document": ""},
    ),
    Family(pattern=r"mxbai-embed", prompts={"query": _PASSAGES, "document": ""}),
    Family(
        pattern=r"snowflake-arctic-embed(2-|2$|.*-v2)",
        prompts={"query": "query: ", "document": ""},
    ),
    Family(pattern=r"snowflake-arctic-embed", prompts={"query": _PASSAGES, "document": ""}),
    Family(pattern=r"bge-m3", prompts={}),
    Family(
        pattern=r"bge-(small|base|large)-zh",
        prompts={"query": "为这个句子生成表示以用于检索相关文章：", "document": ""},
    ),
    Family(pattern=r"bge-(small|base|large)", prompts={"query": _PASSAGES, "document": ""}),
    Family(
        pattern=r"(^|-)e5-.*instruct|e5-mistral",
        prompts={"query": f"{_WEB_SEARCH}Query: ", "document": ""},
    ),
    Family(
        pattern=r"(^|-)e5-(small|base|large)",
        prompts={"query": "query: ", "document": "passage: "},
    ),
    Family(pattern=r"qwen3-embedding", prompts={"query": f"{_WEB_SEARCH}Query:", "document": ""}),
    Family(
        pattern=r"embedding-?gemma",
        prompts={
            "query": "task: search result | query: ",
            "document": "title: none | text: ",
            "classification": "task: classification | query: ",
            "clustering": "task: clustering | query: ",
            "similarity": "task: sentence similarity | query: ",
        },
    ),
)


def known_prompts(name: str, facts: GgufFacts) -> dict[str, str]:
    """The prompts of an embedding model by their names; {} where none are known.

    A prompt that is empty is known to be: that side wants its text as it is.

    Args:
        name: what the model is called here. The name in its file counts, too, and more: people
            rename models.
    """
    for text in (facts.name or "", facts.metadata.get("general.basename"), name):
        words = "-".join(re.findall(r"[a-z0-9]+", str(text or "").lower()))
        for family in FAMILIES:
            if re.search(family.pattern, words):
                return family.prompts
    return {}
