"""The KV cache: which layers have one, how long it is there, and in which precision."""

from __future__ import annotations

from fractions import Fraction

from reshore.config import EngineConfig
from reshore.models.facts import GgufFacts

# Bytes per element; quantised blocks hold 32 elements and one or more 16-bit scales.
TYPE_BYTES = {"f16": Fraction(2), "q8_0": Fraction(34, 32), "q4_0": Fraction(18, 32)}
_BLOCK = 32
_CELLS = 256  # llama.cpp rounds the cells of a cache up to a multiple of this

# Architectures in which llama.cpp gives all layers but every n-th a cache of window length. The
# others get full-length caches whatever their header says.
_FULL_EVERY = {
    "gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "gpt-oss": 2, "exaone4": 4,
}  # fmt: skip


def kv_bytes_per_layer(
    facts: GgufFacts, cache_type: str, *, context: int, slots: int, micro_batch: int
) -> tuple[int, ...]:
    """Bytes of each layer's cache over all slots; zeros for an encoder, which keeps none.

    A layer takes `head_count_kv * (key_length + value_length)` elements per cell. A sliding-window
    layer has cells for its window and one physical batch, the others for the whole context.
    """
    if not facts.causal:
        return (0,) * facts.block_count
    full = _rounded(context)
    window = min(full, _rounded(facts.sliding_window + micro_batch))
    size = TYPE_BYTES[cache_type] * (facts.key_length + facts.value_length)
    every = _FULL_EVERY.get(facts.architecture, 1) if facts.sliding_window else 1
    return tuple(
        int(heads * size) * slots * (full if layer % every == every - 1 else window)
        for layer, heads in enumerate(facts.head_count_kv)
    )


def cell_bytes(facts: GgufFacts, cache_type: str) -> int:
    """Bytes that one token takes over all layers of full length."""
    size = TYPE_BYTES[cache_type] * (facts.key_length + facts.value_length)
    return int(sum(facts.head_count_kv) * size)


def usable_cache_type(
    facts: GgufFacts, settings: EngineConfig
) -> tuple[bool | None, str, tuple[str, ...]]:
    """Flash attention, precision of the cache, and notices where the settings cannot be had.

    A quantised cache needs flash attention (the values are stored row by row only then) and heads
    whose length is a multiple of the quantisation's block.
    """
    flash = {"auto": None, "on": True, "off": False}[settings.flash_attention]
    wanted = settings.kv_cache_type
    if wanted == "f16" or not facts.causal:
        return flash, "f16", ()
    if flash is False:
        return flash, "f16", (f"KV cache in f16: {wanted} needs flash attention, which is off",)
    if facts.key_length % _BLOCK or facts.value_length % _BLOCK:
        reason = f"heads of {facts.key_length} and {facts.value_length} elements"
        return flash, "f16", (f"KV cache in f16: {wanted} does not go with {reason}",)
    return True, wanted, ()


def _rounded(cells: int) -> int:
    return -(-cells // _CELLS) * _CELLS
