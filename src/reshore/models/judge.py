"""Whether llama.cpp can answer with a model, judged from its manifest and headers alone. Pure.

A store of Ollama's holds models that llama.cpp as published cannot load, or loads and then answers
nonsense with. They are named before anybody switches over, with the reason and with what to do.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from msgspec import Struct

from reshore.models.facts import GgufFacts
from reshore.models.manifest import DRAFT_TYPE, MODEL_TYPE, TENSOR_TYPE, Manifest
from reshore.models.names import Name
from reshore.models.ollama_files import RENAMED, difference, renamed
from reshore.models.templates import FILE, NAMED

State = Literal["servable", "needs a fix", "unsupported", "damaged"]


class Repair(Struct, frozen=True, kw_only=True):
    """Metadata that makes a file servable; the weights stay as they are.

    `file` says whose header `changes` belong to; values are text.
    """

    file: Literal["model", "projector"]
    changes: dict[str, str]


class Verdict(Struct, frozen=True, kw_only=True):
    """What a model was judged to be.

    Attributes:
        state: `servable`; `needs a fix`: can be had servable, `fix` says how; `unsupported`: no
            llama.cpp can serve it; `damaged`: a file is missing or broken.
        reason: why it is not servable, "" if it is.
        fix: what to do, as a sentence; "" if nothing can be done, or needs to be.
        notes: what is different from Ollama although it is servable.
        repair: the metadata to change, None where that alone cures nothing.
    """

    state: State = "servable"
    reason: str = ""
    fix: str = ""
    notes: tuple[str, ...] = ()
    repair: Repair | None = None

    @property
    def servable(self) -> bool:
        return self.state == "servable"

    @property
    def unfit(self) -> bool:
        """Whether the files are sound, and llama.cpp cannot answer with them all the same."""
        return self.state in ("needs a fix", "unsupported")

    @property
    def summary(self) -> str:
        """The reason and the fix, or the notes, in one line."""
        return " ".join(filter(None, (_sentence(self.reason), self.fix))) or " ".join(self.notes)


def judge_manifest(manifest: Manifest, config: dict[str, Any], name: Name) -> Verdict | None:
    """What the layers alone tell; None if the files have to be looked at.

    Args:
        config: the manifest's config blob, {} when it cannot be read.
    """
    if config.get("remote_host") or config.get("remote_model"):
        return _unsupported(
            "it runs in Ollama's cloud: nothing of it is on this machine",
            f"Pull a model that is: `reshore pull {name.model}`.",
        )
    if manifest.of(TENSOR_TYPE) or config.get("model_format") == "safetensors":
        return _unsupported(
            "it is stored as separate tensors (safetensors, MLX), which llama.cpp cannot load",
            _upstream(name, ""),
        )
    files = len(manifest.of(MODEL_TYPE))
    if files == 0:
        return _unsupported("it has no model file", "")
    if files > 1:
        return _needs(
            f"its weights are split into {files} files, and one is needed",
            "Join them with `llama-gguf-split --merge`, then `reshore create NAME --from FILE`.",
        )
    return None


def judge_family(config: dict[str, Any], name: Name) -> Verdict | None:
    """What the config blob alone tells of a file that is not here yet; None if nothing.

    Ollama writes the architecture in the file's header there. Those whose name alone gives a file
    of its own converter away are judged as `judge_files` will judge them.
    """
    named = config.get("model_families")
    families = [config.get("model_family"), *(named if isinstance(named, list) else ())]
    for family in families:
        if isinstance(family, str) and family in RENAMED:
            return _renamed(family, name)
    return None


def judge_files(
    manifest: Manifest,
    facts: GgufFacts,
    *,
    name: Name,
    projector: GgufFacts | None = None,
    config: dict[str, Any],
    go_template: str | None = None,
    template: str | None = None,
) -> Verdict:
    """What the headers tell, after `judge_manifest` had nothing to say.

    Args:
        go_template: the manifest's template layer.
        template: what `templates.choose` gave, or `NAMED`.
    """
    if facts.architecture == "clip":
        return _unsupported("it is a projector without a model", "")
    if facts.architecture in RENAMED:
        return _renamed(facts.architecture, name)
    if reason := difference(facts):
        return _needs(reason, _upstream(name, facts.architecture))
    repair = _old_llama3(facts) or _old_llava(projector)
    if repair is not None:
        key, value = next(iter(repair.changes.items()))
        return _needs(
            f"its {repair.file}'s metadata lacks {key} = {value}",
            f"Make a corrected copy: `reshore import-ollama --fix {name}`.",
            repair,
        )
    if projector is not None and not _says_type(projector):
        return _needs("its projector does not say its type", _upstream(name, facts.architecture))
    return Verdict(notes=_notes(manifest, facts, config, go_template, template))


def broken(reason: str) -> Verdict:
    """The verdict on a model whose files are missing or damaged."""
    return Verdict(state="damaged", reason=reason)


# Old conversions of Llama 3: they load, but split text as if there were no rules for it.
_LLAMA3_VOCABULARY = 128_256


def _old_llama3(facts: GgufFacts) -> Repair | None:
    meta = facts.metadata
    if facts.architecture != "llama" or meta.get("tokenizer.ggml.model") != "gpt2":
        return None
    if meta.get("tokenizer.ggml.pre", "default") not in ("", "default"):
        return None
    if facts.vocab_size != _LLAMA3_VOCABULARY:
        return None
    if facts.special_tokens.get("bos") != "<|begin_of_text|>":
        return None
    return Repair(file="model", changes={"tokenizer.ggml.pre": "llama-bpe"})


def _says_type(projector: GgufFacts) -> bool:
    """`clip.projector_type`, or one for each sense where there are several."""
    return any(
        key.startswith("clip.") and key.endswith("projector_type") for key in projector.metadata
    )


def _old_llava(projector: GgufFacts | None) -> Repair | None:
    """LLaVA's first projectors: two linear layers, from before there was more than one type."""
    if projector is None or _says_type(projector):
        return None
    projecting = {name for name in projector.tensors if name.startswith("mm.")}
    if projecting != {"mm.*.weight", "mm.*.bias"}:
        return None
    return Repair(file="projector", changes={"clip.projector_type": "mlp"})


def _notes(
    manifest: Manifest,
    facts: GgufFacts,
    config: dict[str, Any],
    go_template: str | None,
    template: str | None,
) -> tuple[str, ...]:
    notes = []
    if manifest.of(DRAFT_TYPE):
        notes.append("Its draft model is not used: answers are the same, not as fast.")
    if not facts.causal or facts.pooling is not None:
        return tuple(notes)
    if template is None:
        notes.append("It has no chat template that llama.cpp can run: chat is refused.")
    elif template == NAMED:
        notes.append("Prompts are made with the template that reshore.toml names.")
    elif template != FILE:
        notes.append(f"Its Go template is recognised: prompts have the format {template}.")
    elif go_template or config.get("renderer") or config.get("parser"):
        notes.append(
            "Prompts are made with the Jinja template in its file, and not as Ollama makes them."
        )
    return tuple(notes)


# Uploads of llama.cpp's own project, by architecture in Ollama's file; {size} as in 4b.
_UPLOADS = {
    "gptoss": "ggml-org/gpt-oss-{size}-GGUF",
    "gemma3": "ggml-org/gemma-3-{size}-it-GGUF",
    "qwen25vl": "ggml-org/Qwen2.5-VL-{size}-Instruct-GGUF",
}
_SIZE = re.compile(r"[0-9]+(?:\.[0-9]+)?[bm]")


def _upstream(name: Name, architecture: str) -> str:
    """Where a file of the same model is that llama.cpp's converter wrote."""
    size = _SIZE.match(name.tag.lower())
    upload = _UPLOADS.get(architecture)
    if upload and size:
        written = size[0].upper() if "Qwen" in upload else size[0]
        return f"Pull llama.cpp's own: `reshore pull hf.co/{upload.format(size=written)}`."
    return "Pull a GGUF that llama.cpp's converter wrote: `reshore pull hf.co/OWNER/REPO:QUANT`."


def _renamed(architecture: str, name: Name) -> Verdict:
    judge = _unsupported if RENAMED[architecture] is None else _needs
    return judge(renamed(architecture), _upstream(name, architecture))


def _needs(reason: str, fix: str, repair: Repair | None = None) -> Verdict:
    return Verdict(state="needs a fix", reason=reason, fix=fix, repair=repair)


def _unsupported(reason: str, fix: str) -> Verdict:
    return Verdict(state="unsupported", reason=reason, fix=fix)


def _sentence(text: str) -> str:
    """With a capital, unless it begins with a name that is written small (llama.cpp, sha256-…)."""
    first, _, _ = text.partition(" ")
    begin = text[:1].upper() if first.removesuffix("'s").isalpha() else text[:1]
    return text and begin + text[1:].rstrip(".") + "."
