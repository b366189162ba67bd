"""Which local model stands for one of OpenAI's names, by what the machine can hold. Pure."""

from __future__ import annotations

from collections.abc import Mapping

GB = 10**9

# Needs at Q4_K_M with a context of 8192: llama3.3:70b 43 GB and mistral-nemo:12b 7.5 GB of weights
# (issue "Route" sets the lines), qwen2.5:7b 4.7 GB, llama3.2 2 GB.
_LARGE = (
    "gpt-4",
    "gpt-4-*",
    "gpt-4.1",
    "gpt-4.1-20*",
    "gpt-4o",
    "gpt-4o-20*",
    "chatgpt-4o-latest",
    "gpt-5",
    "gpt-5-20*",
    "gpt-5-chat-latest",
    "gpt-5.*",
    "o1",
    "o1-20*",
    "o1-preview*",
    "o3",
    "o3-20*",
    "ft:gpt-4-*",
    "ft:gpt-4.1-20*",
    "ft:gpt-4o-20*",
)
_SMALL = (
    "gpt-3.5-turbo*",
    "gpt-4.1-mini*",
    "gpt-4.1-nano*",
    "gpt-4o-mini",
    "gpt-4o-mini-20*",
    "gpt-5-mini*",
    "gpt-5-nano*",
    "o1-mini*",
    "o3-mini*",
    "o4-mini*",
    "ft:gpt-3.5-turbo*",
    "ft:gpt-4.1-mini*",
    "ft:gpt-4.1-nano*",
    "ft:gpt-4o-mini*",
)
_EMBEDDINGS = {
    "text-embedding-3-small": "nomic-embed-text",
    "text-embedding-ada-002": "nomic-embed-text",
    "text-embedding-3-large": "mxbai-embed-large",
}


def default_models(memory_bytes: int, gpu_bytes: int = 0) -> Mapping[str, str]:
    """OpenAI's names, and globs of them, with the local model that is their default here.

    Args:
        memory_bytes: main memory that models may use.
        gpu_bytes: memory of the largest GPU, 0 without one.
    """
    large, small = _large(memory_bytes, gpu_bytes), _small(memory_bytes, gpu_bytes)
    return dict.fromkeys(_LARGE, large) | dict.fromkeys(_SMALL, small) | _EMBEDDINGS


def is_embedding(name: str) -> bool:
    """Whether a name is one of OpenAI's embedding models."""
    return name in _EMBEDDINGS


def _large(memory_bytes: int, gpu_bytes: int) -> str:
    if memory_bytes >= 64 * GB:
        return "llama3.3:70b"
    return "mistral-nemo:12b" if gpu_bytes >= 12 * GB else _small(memory_bytes, gpu_bytes)


def _small(memory_bytes: int, gpu_bytes: int) -> str:
    fits_7b = memory_bytes >= 16 * GB or gpu_bytes >= 8 * GB
    return "qwen2.5:7b" if fits_7b else "llama3.2"
