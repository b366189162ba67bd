"""Task prefixes of embedding requests (`prompt_name`). Pure."""

from __future__ import annotations

import msgspec

from reshore.config import ModelConfig
from reshore.errors import RequestError
from reshore.models.facts import Servable
from reshore.models.prompts import known_prompts
from reshore.types import EmbedRequest

HEADER = "x-reshore-prompt"


def with_prompt(
    request: EmbedRequest, model: Servable, settings: ModelConfig
) -> tuple[EmbedRequest, dict[str, str]]:
    """The request with the prefix that it, or the configuration, asks for before every input.

    Returns:
        The request as it will be embedded, and the notice that says which prefix was added.

    Raises:
        RequestError: the model has no prompt of that name, or an input is token ids, before which
            no text can be put.
    """
    name = request.prompt_name or settings.prompt_name
    if not name:
        return request, {}
    prompts = prompts_of(model, settings)
    if name not in prompts:
        offers = f"it has: {', '.join(prompts)}" if prompts else "none is known for it"
        raise RequestError(
            f"{model.name} has no prompt '{name}'; {offers}. Texts of your own go into "
            f"`[models.'{model.name}'.prompts]` of reshore.toml.",
            param="prompt_name",
            code="invalid_value",
        )
    inputs = []
    for place, text in enumerate(request.inputs):
        if not isinstance(text, str):
            raise RequestError(
                f"input {place} is token ids, and the prompt '{name}' is text; send texts, or no "
                "prompt_name",
                param="prompt_name",
                code="invalid_value",
            )
        inputs.append(prompts[name] + text)
    return msgspec.structs.replace(request, inputs=tuple(inputs)), {HEADER: _header_safe(name)}


def prompts_of(model: Servable, settings: ModelConfig) -> dict[str, str]:
    """All prompts of a model: the known ones, and over them those of the configuration."""
    return known_prompts(model.name, model.facts) | (settings.prompts or {})


def _header_safe(name: str) -> str:
    return name.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ")
