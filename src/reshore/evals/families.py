"""Which models are related: judges favour what sounds like themselves. Pure.

Self-preference of judges: Panickssery et al., arXiv 2404.13076; Zheng et al., arXiv 2306.05685,
section 3.3. Relation is told by names, for nothing else is known of a model behind an address.
"""

from __future__ import annotations

import re

# What a part of a name begins with, and whose models are called so. A model that was made of
# another one (a distillation, a fine-tune) has two families where its name tells both.
_NAMES = {
    "OpenAI": r"gpt|chatgpt|o[1-9](?=$|[-.:_])|text-davinci|davinci|codex",
    "Claude": r"claude",
    "Gemini": r"gemini|gemma|codegemma|medgemma|palm",
    "Llama": r"llama|codellama|tinyllama|vicuna|alpaca",
    "Qwen": r"qwen|qwq|qvq|codeqwen",
    "Mistral": r"mistral|mixtral|codestral|ministral|magistral|devstral|pixtral|mathstral|zephyr",
    "DeepSeek": r"deepseek",
    "Phi": r"phi(?=$|[-.:_\d])",
    "SmolLM": r"smollm|smolvlm",
    "Granite": r"granite",
    "Cohere": r"command(?=$|[-.:_])|aya(?=$|[-.:_])|c4ai",
    "Grok": r"grok",
    "Kimi": r"kimi|moonshot",
    "GLM": r"glm|chatglm|codegeex",
    "Nemotron": r"nemotron",
    "Nova": r"nova(?=$|[-.:_])",
    "OLMo": r"olmo|tulu",
    "Falcon": r"falcon",
    "Yi": r"yi(?=$|[-.:_])",
    "InternLM": r"internlm|internvl",
    "Hunyuan": r"hunyuan",
    "MiniMax": r"minimax",
    "MiniCPM": r"minicpm",
}
_FAMILIES = {name: re.compile(rf"(?<![a-z])(?:{begin})") for name, begin in _NAMES.items()}


def families(model: str) -> frozenset[str]:
    """Whose relative a model is, by its name (with or without its upstream); empty: not known."""
    name = model.lower()
    return frozenset(family for family, begins in _FAMILIES.items() if begins.search(name))


def related(one: str, other: str) -> str:
    """The family that two models share, or their name where it is the same; "" where none is
    known."""
    shared = families(one) & families(other)
    if shared:
        return min(shared)
    return bare(one) if bare(one) == bare(other) else ""


def bare(model: str) -> str:
    """A target's model: `cloud:openai/gpt-4o` is `gpt-4o`, of whatever upstream."""
    return model.lower().rpartition("/")[2].removeprefix("local:").removeprefix("cloud:")
