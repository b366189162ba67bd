"""Which local model stands for OpenAI's names."""

import pytest

from reshore.routing.patterns import Patterns
from reshore.routing.tiers import GB, default_models


@pytest.mark.parametrize(
    ("memory_gb", "gpu_gb", "large", "small"),
    [
        (8, 0, "llama3.2", "llama3.2"),
        (16, 0, "qwen2.5:7b", "qwen2.5:7b"),
        (8, 8, "qwen2.5:7b", "qwen2.5:7b"),
        (32, 12, "mistral-nemo:12b", "qwen2.5:7b"),
        (8, 24, "mistral-nemo:12b", "qwen2.5:7b"),
        (64, 0, "llama3.3:70b", "qwen2.5:7b"),
        (128, 24, "llama3.3:70b", "qwen2.5:7b"),
    ],
)
def test_tiers(memory_gb: int, gpu_gb: int, large: str, small: str) -> None:
    models = Patterns(default_models(memory_gb * GB, gpu_gb * GB).items())
    assert (models.find("gpt-4o"), models.find("gpt-4o-mini")) == (large, small)
    assert models.find("text-embedding-3-small") == "nomic-embed-text"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("gpt-4", "large"),
        ("gpt-4-0613", "large"),
        ("gpt-4-turbo", "large"),
        ("gpt-4o-2024-08-06", "large"),
        ("gpt-4.1", "large"),
        ("gpt-5.1", "large"),
        ("o3", "large"),
        ("ft:gpt-4o-2024-08-06:acme::1", "large"),
        ("gpt-3.5-turbo-0125", "small"),
        ("gpt-4o-mini-2024-07-18", "small"),
        ("gpt-4.1-nano", "small"),
        ("gpt-5-mini", "small"),
        ("o4-mini", "small"),
        ("ft:gpt-4o-mini-2024-07-18:acme::1", "small"),
        ("text-embedding-3-large", "mxbai-embed-large"),
        ("text-embedding-ada-002", "nomic-embed-text"),
        ("gpt-4o-audio-preview", None),
        ("gpt-4o-realtime-preview", None),
        ("gpt-4o-mini-tts", None),
        ("whisper-1", None),
        ("dall-e-3", None),
        ("llama3.2", None),
    ],
)
def test_names_have_the_size_that_openai_gave_them(name: str, size: str | None) -> None:
    models = Patterns(default_models(64 * GB, 0).items())
    sizes = {"llama3.3:70b": "large", "qwen2.5:7b": "small"}
    found = models.find(name)
    assert sizes.get(found or "", found) == size
