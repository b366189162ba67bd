"""What the native API tells of models: `details`, `model_info`, parameters as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from reshore.errors import BadRecipe
from reshore.models.assemble import parameter_size
from reshore.models.description import Description
from reshore.models.gguf import Contents
from reshore.models.layout import Installed
from reshore.models.modelfile import Modelfile, write_modelfile
from reshore.models.summary import Summary
from reshore.types import Message
from reshore.wire.ollama.encode import timestamp_s

# Longer arrays (vocabularies) are left empty unless they are asked for (facts, section 1.8).
SHOWN_ELEMENTS = 5


def details(summary: Summary, *, projector: bool = False) -> dict[str, Any]:
    """The `details` of a model; what is not known is left empty."""
    families = [summary.architecture, *(["clip"] if projector else [])]
    return {
        "parent_model": "",
        "format": "gguf",
        "family": summary.architecture,
        "families": families if summary.architecture else [],
        "parameter_size": parameter_size(summary.parameter_count),
        "quantization_level": summary.quantization,
        "context_length": summary.context_length,
        "embedding_length": summary.embedding_length,
    }


def shown(model: Description, contents: Contents, *, verbose: bool) -> dict[str, Any]:
    """The reply of `/api/show`.

    Args:
        contents: the model file's metadata; long arrays are blanked unless `verbose`.
    """
    installed = model.installed
    reply: dict[str, Any] = {
        "license": "\n".join(model.licenses),
        "modelfile": _modelfile(model),
        "parameters": parameter_lines(model.parameters),
        "template": model.template or model.facts.chat_template or "",
        "system": model.system or "",
        "renderer": str(model.config.get("renderer") or ""),
        "parser": str(model.config.get("parser") or ""),
        "details": details(
            Summary(
                verdict=model.verdict,
                architecture=model.facts.architecture,
                parameter_count=model.facts.parameter_count,
                quantization=model.facts.quantization,
                context_length=model.facts.context_length,
                embedding_length=model.facts.embedding_length,
            ),
            projector=model.projector is not None,
        ),
        "messages": [_message(message) for message in model.messages],
        "model_info": model_info(contents, model.facts.parameter_count, verbose=verbose),
        "capabilities": model.capabilities,
        "modified_at": timestamp_s(installed.modified_s),
        "reshore": {"verdict": model.verdict, "source": installed.source},
    }
    if model.projector is not None:
        reply["projector_info"] = _blanked(model.projector.metadata)
    if verbose:
        reply["tensors"] = [
            {"name": tensor.name, "type": tensor.type, "shape": tensor.shape}
            for tensor in contents.tensors
        ]
    # What the model does not have is left out, except for what clients insist on.
    return {key: value for key, value in reply.items() if value or key in _ALWAYS}


def unreadable(installed: Installed, summary: Summary) -> dict[str, Any]:
    """The same for a model whose files cannot be read; its verdict says why."""
    return {
        "modelfile": f"FROM {installed.name}\n",
        "template": "",
        "details": details(summary),
        "model_info": {},
        "capabilities": summary.capabilities,
        "modified_at": timestamp_s(installed.modified_s),
        "reshore": {"verdict": summary.verdict, "source": installed.source},
    }


_ALWAYS = ("modelfile", "template", "details", "model_info", "capabilities", "modified_at")


def model_info(contents: Contents, parameter_count: int, *, verbose: bool) -> dict[str, Any]:
    """The GGUF metadata by key; the chat template is elsewhere in the reply."""
    values = contents.metadata if verbose else _blanked(contents.metadata)
    values = {"general.parameter_count": parameter_count, **values}
    return {key: values[key] for key in sorted(values) if key != "tokenizer.chat_template"}


def parameter_lines(parameters: dict[str, Any]) -> str:
    """Parameters as `show` writes them: a line each, names padded to 30, texts in quotes."""
    lines = []
    for name, value in parameters.items():
        values = value if isinstance(value, list) else [value]
        lines += [f"{name:<30} {_literal(each)}" for each in values]
    return "\n".join(lines)


def _literal(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # as Go writes it
    return msgspec.json.encode(value).decode()


def _blanked(metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        key: [] if isinstance(value, list) and len(value) > SHOWN_ELEMENTS else value
        for key, value in metadata.items()
    }


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content or ""}


def _modelfile(model: Description) -> str:
    """A Modelfile that makes this model again, from itself."""
    name = str(model.installed.name)
    recipe = Modelfile(
        sources=(name,),
        template=model.template,
        system=model.system,
        licenses=_texts(model.licenses),
        parameters=model.parameters,
        messages=model.messages,
    )
    try:
        return f"# Made by reshore from the installed model {name}.\n\n{write_modelfile(recipe)}"
    except BadRecipe as error:
        return f"# {error}\nFROM {name}\n"


def _texts(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if text.strip())
