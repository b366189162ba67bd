"""What reshore needs to know about a model file, read once from its GGUF header."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Any

from msgspec import Struct

from reshore.types import Message


class Pooling(IntEnum):
    """How an embedding model makes one vector of its tokens', in llama.cpp's numbers."""

    NONE = 0
    MEAN = 1
    CLS = 2
    LAST = 3
    RANK = 4


class GgufFacts(Struct, frozen=True, kw_only=True):
    """The header of a checked GGUF file, without the weights.

    Lengths are in tokens or elements, sizes in bytes. Per-layer tuples have `block_count` entries.

    Attributes:
        architecture: `general.architecture` (llama, bert, gemma3, clip, …).
        context_length: trained context length; 0 when the file does not say.
        head_count_kv: KV heads of each layer (0 for a layer without a KV cache).
        key_length, value_length: elements of one head's key and value.
        layer_bytes: weight bytes of each layer; `other_bytes`: embeddings, output, norms.
        pooling: `{arch}.pooling_type`, a `Pooling` as far as we know it; None if not given.
        causal: whether attention is causal; False for BERT-like encoders.
        special_tokens: token text by role (bos, eos, fim_pre, fim_suf, fim_mid …) as far as given.
        metadata: every scalar key of the header, and short arrays; long arrays are left out.
        text_arrays: the keys that hold an array of strings.
        tensors: names with their numbers as `*` (`blk.*.attn_q.weight`) -> shape of the first one.
    """

    architecture: str
    name: str | None
    quantization: str
    parameter_count: int
    context_length: int
    embedding_length: int
    block_count: int
    head_count: int
    head_count_kv: tuple[int, ...]
    key_length: int
    value_length: int
    vocab_size: int
    sliding_window: int
    pooling: int | None
    causal: bool
    chat_template: str | None
    special_tokens: dict[str, str]
    layer_bytes: tuple[int, ...]
    other_bytes: int
    file_bytes: int
    metadata: dict[str, Any]
    text_arrays: frozenset[str] = frozenset()
    tensors: dict[str, tuple[int, ...]] = {}

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(self.layer_bytes) + self.other_bytes


class Servable(Struct, frozen=True, kw_only=True):
    """An installed model, ready to be loaded by an engine.

    Attributes:
        name: as `reshore list` shows it (`smollm2:135m`).
        digest: sha256 of the manifest, hex.
        model_path: the GGUF blob; its bytes were verified when this was made.
        projector_path: the vision projector's blob, None without one.
        capabilities: among completion, tools, vision, embedding, thinking, insert.
        parameters: the model's own default options (Ollama's params layer), {} without one.
        system: the model's own system prompt, None without one.
        template: what makes the prompts: `file` (the one in the GGUF file), the name of a format
            of `models.templates`, a Jinja text, None without any: then it can complete, not chat.
        messages: example turns that go before every conversation (Modelfile's MESSAGE).
        adapter_paths: LoRA adapters' blobs, applied to the model when it is loaded.
        size: bytes of all blobs.
        modified_s: when the manifest was written, seconds since the epoch.
    """

    name: str
    digest: str
    model_path: Path
    projector_path: Path | None
    facts: GgufFacts
    capabilities: tuple[str, ...]
    parameters: dict[str, Any]
    system: str | None
    size: int
    modified_s: float
    template: str | None = "file"
    messages: tuple[Message, ...] = ()
    adapter_paths: tuple[Path, ...] = ()

    @property
    def embeds(self) -> bool:
        """Whether its engine embeds; it generates otherwise."""
        return "embedding" in self.capabilities
