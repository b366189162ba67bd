"""`[models."name"]`: what one model has for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from reshore.config.durations import Seconds
from reshore.config.numbers import Count


class ModelConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one model, `[models."name"]`.

    The first ones are those of `[engine]`, from which comes what is unset.

    Attributes:
        chat_template: what makes its prompts: the name of a known format (`chatml`, `llama3`, …),
            or a path to a file with a Jinja template.
        force: have it answer although it was judged unfit; for engines that can do more.
        prompts: prefixes for embeddings by prompt name, over the known ones.
        prompt_name: the prefix for requests that name none.
    """

    kind: Literal["wheel", "llama-server", "echo"] | None = None
    path: str | None = None
    context_length: Count | None = None
    parallel: Count | None = None
    threads: Count | None = None
    batch: Count | None = None
    gpu_layers: int | None = None
    flash_attention: Literal["auto", "on", "off"] | None = None
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] | None = None
    load_timeout_s: Seconds | None = None
    token_timeout_s: Seconds | None = None
    chat_template: str | None = None
    force: bool = False
    prompts: dict[str, str] | None = None
    prompt_name: str | None = None


def model_settings(models: Mapping[str, ModelConfig], name: str) -> ModelConfig:
    """The settings of one model among `[models]`, as `Config.model`."""
    return models.get(name) or models.get(name.removesuffix(":latest")) or ModelConfig()
