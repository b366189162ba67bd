"""Which models are related."""

from __future__ import annotations

import pytest

from reshore.evals.families import families, related


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cloud:openai/gpt-4o-mini", {"OpenAI"}),
        ("gpt-oss:20b", {"OpenAI"}),
        ("o3-mini", {"OpenAI"}),
        ("claude-3-5-haiku-latest", {"Claude"}),
        ("gemma2:9b", {"Gemini"}),
        ("gemini-2.0-flash", {"Gemini"}),
        ("local:llama3.1:8b", {"Llama"}),
        ("tinyllama", {"Llama"}),
        ("hf.co/bartowski/Qwen2.5-7B-Instruct-GGUF:Q4_K_M", {"Qwen"}),
        ("qwq:32b", {"Qwen"}),
        ("mixtral:8x7b", {"Mistral"}),
        ("deepseek-r1-distill-llama-8b", {"DeepSeek", "Llama"}),
        ("phi3.5", {"Phi"}),
        ("phi-4", {"Phi"}),
        ("smollm2:135m", {"SmolLM"}),
        ("command-r", {"Cohere"}),
        ("our-own-model", set()),
        ("ollama/custom", set()),
        ("dolphin", set()),
        ("photo1-large", set()),
        ("", set()),
    ],
)
def test_a_family_is_told_by_the_name(name: str, found: set[str]) -> None:
    assert families(name) == found


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("cloud:openai/gpt-4o", "cloud:azure/gpt-4.1-mini", "OpenAI"),
        ("gemma2:9b", "gemini-2.5-pro", "Gemini"),
        ("deepseek-r1-distill-qwen-7b", "qwen2.5:7b", "Qwen"),
        ("local:custom", "cloud:here/custom", "custom"),
        ("gpt-4o", "claude-sonnet-4", ""),
        ("custom", "other", ""),
    ],
)
def test_relatives_share_a_family_or_a_name(one: str, other: str, shared: str) -> None:
    assert related(one, other) == related(other, one) == shared
