"""What a model is, read from its manifest, the headers of its files and its small layers.

Blocks on the disk; no weights are read.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from reshore.errors import BadModelFile, ConfigError, RequestError
from reshore.models.capabilities import capabilities
from reshore.models.facts import GgufFacts, Servable
from reshore.models.gguf import read_facts
from reshore.models.judge import Verdict, broken, judge_files, judge_manifest
from reshore.models.layout import Installed, Shelf
from reshore.models.manifest import (
    ADAPTER_TYPE,
    LICENSE_TYPE,
    MESSAGES_TYPE,
    PARAMS_TYPE,
    SYSTEM_TYPE,
    TEMPLATE_TYPE,
    TEXT_LIMIT,
    Layer,
    Manifest,
    model_layer,
    projector_layer,
)
from reshore.models.parameters import stored_parameters
from reshore.models.summary import Summary
from reshore.models.templates import NAMED, choose, configured, with_template
from reshore.models.verified import open_blob
from reshore.types import Message


class Description(Struct, frozen=True, kw_only=True):
    """What `show` says about a model. The weights were not hashed for it.

    Attributes:
        template: the Go template that came with it, which is kept and not run.
        chat_template: what makes the prompts: `file`, the name of a known format, the text of the
            Jinja template that the settings name, None.
        config: the manifest's config blob, {} if it is none of Ollama's form.
    """

    installed: Installed
    facts: GgufFacts
    projector: GgufFacts | None
    capabilities: tuple[str, ...]
    parameters: dict[str, Any]
    system: str | None
    template: str | None
    licenses: tuple[str, ...]
    verdict: Verdict
    chat_template: str | None
    config: dict[str, Any]
    messages: tuple[Message, ...] = ()


def describe(shelf: Shelf, installed: Installed, wanted: str | None) -> Description:
    """Read the headers and the small layers of a model.

    Args:
        wanted: the chat template that the settings name.

    Raises:
        BadModelFile: a file is missing or damaged, or the manifest makes no model.
        ConfigError: the template cannot be read.
    """
    manifest, what = installed.manifest, str(installed.name)
    facts = read_facts(shelf.blob(model_layer(manifest, what).digest))
    layer = projector_layer(manifest)
    projector = read_facts(shelf.blob(layer.digest)) if layer else None
    _check_adapters(shelf, manifest)

    def texts(media_type: str) -> tuple[str, ...]:
        return _texts(shelf, manifest, media_type)

    go_template = next(iter(texts(TEMPLATE_TYPE)), None)
    chat_template = configured(wanted, what) if wanted else choose(facts, go_template)
    if wanted and chat_template:
        facts = with_template(facts, chat_template)
    config = read_config(shelf, manifest.config)
    return Description(
        installed=installed,
        facts=facts,
        projector=projector,
        capabilities=capabilities(facts, projector=projector is not None),
        verdict=judge_files(
            manifest,
            facts,
            name=installed.name,
            projector=projector,
            config=config,
            go_template=go_template,
            template=NAMED if wanted else chat_template,
        ),
        chat_template=chat_template,
        config=config,
        parameters=_parameters(texts(PARAMS_TYPE), what),
        system=next(iter(texts(SYSTEM_TYPE)), None),
        template=go_template,
        licenses=texts(LICENSE_TYPE),
        messages=_messages(texts(MESSAGES_TYPE), what),
    )


def check_layers(shelf: Shelf, manifest: Manifest, what: str) -> None:
    """Read what comes beside a model's weights, as its first answer would.

    Raises:
        BadModelFile: something of it is missing or damaged.
    """
    _check_adapters(shelf, manifest)
    _parameters(_texts(shelf, manifest, PARAMS_TYPE), what)
    _messages(_texts(shelf, manifest, MESSAGES_TYPE), what)


def _check_adapters(shelf: Shelf, manifest: Manifest) -> None:
    for layer in manifest.of(ADAPTER_TYPE):
        read_facts(shelf.blob(layer.digest))


def summarize(shelf: Shelf, installed: Installed, wanted: str | None) -> Summary:
    """What lists tell of a model; a verdict says what is wrong with it, and nothing is raised.

    Args:
        wanted: the chat template that the settings name.
    """
    verdict = judge_manifest(
        installed.manifest, read_config(shelf, installed.manifest.config), installed.name
    )
    if verdict is not None:
        return Summary(verdict=verdict)
    try:
        found = describe(shelf, installed, wanted)
    except (BadModelFile, ConfigError) as error:
        return Summary(verdict=broken(str(error)))
    return Summary(
        verdict=found.verdict,
        architecture=found.facts.architecture,
        parameter_count=found.facts.parameter_count,
        quantization=found.facts.quantization,
        context_length=found.facts.context_length,
        embedding_length=found.facts.embedding_length,
        capabilities=found.capabilities,
        template=found.chat_template,
    )


def servable(shelf: Shelf, description: Description) -> Servable:
    """A described model as an engine can load it. Its blobs have been verified by the caller."""
    installed = description.installed
    projector = projector_layer(installed.manifest)
    adapters = [shelf.blob(layer.digest) for layer in installed.manifest.of(ADAPTER_TYPE)]
    return Servable(
        name=str(installed.name),
        digest=installed.digest,
        model_path=shelf.blob(model_layer(installed.manifest, str(installed.name)).digest),
        projector_path=shelf.blob(projector.digest) if projector else None,
        facts=description.facts,
        capabilities=description.capabilities,
        parameters=description.parameters,
        system=description.system,
        size=installed.size,
        modified_s=installed.modified_s,
        template=description.chat_template,
        messages=description.messages,
        adapter_paths=tuple(adapters),
    )


def read_config(shelf: Shelf, layer: Layer) -> dict[str, Any]:
    """A config blob, {} if it is none of Ollama's form or cannot be read: `resolve` checks it."""
    try:
        return msgspec.json.decode(_text(shelf, layer), type=dict[str, Any])
    except (BadModelFile, msgspec.DecodeError, RecursionError):
        return {}


def _texts(shelf: Shelf, manifest: Manifest, media_type: str) -> tuple[str, ...]:
    return tuple(_text(shelf, layer) for layer in manifest.of(media_type))


def _text(shelf: Shelf, layer: Layer) -> str:
    if layer.size > TEXT_LIMIT:
        raise BadModelFile(f"layer {layer.digest} has {layer.size} bytes of text; that is too long")
    with open(open_blob(shelf.blob(layer.digest)), "rb") as file:
        return file.read(TEXT_LIMIT).decode("utf-8", "replace")


def _parameters(texts: tuple[str, ...], what: str) -> dict[str, Any]:
    try:
        stored = msgspec.json.decode(texts[0], type=dict[str, Any]) if texts else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadModelFile(f"the parameters of {what} are no JSON object: {error}") from error
    try:
        return stored_parameters(stored)
    except RequestError as error:
        raise BadModelFile(f"among the parameters of {what}, {error}") from error


class _Saved(Struct):
    """A message of a messages layer; what else it may hold belongs to no example turn."""

    role: Literal["system", "user", "assistant"]
    content: str = ""


def _messages(texts: tuple[str, ...], what: str) -> tuple[Message, ...]:
    try:
        saved = msgspec.json.decode(texts[0], type=tuple[_Saved, ...]) if texts else ()
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadModelFile(f"the messages of {what} are no list of turns: {error}") from error
    return tuple(Message(role=turn.role, content=turn.content) for turn in saved)
