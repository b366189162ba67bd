"""The launch plan: what an engine is started with, and the memory it will take.

Pure arithmetic over a GGUF header, settings and hardware. The formulas follow what llama.cpp
allocates (it logs its buffers at verbosity 4); measured with SmolLM2-135M Q4_1 on a CPU, after a
full batch (tests/engine/test_plan_measured.py does so again):

    KV cache        exact (180 MiB for 4 slots of 2048, f16; 95.6 MiB in q8_0)
    compute buffer  14.6 MiB + attention mask for 512-token batches: exact with flash attention,
                    15 % too high without
    whole process   554 MB planned, 550 resident (4 slots of 4096); 377, 373 (the same in q8_0);
                    220, 220 (4 slots of 512); all-minilm: 174, 157
    LoRA adapters   their files' size: 9.8 MB on the disk made 10.6 more resident, 156.3 made 157.1
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from reshore.config import EngineConfig
from reshore.engine.base import LaunchPlan
from reshore.engine.hardware import Gpu, Hardware
from reshore.engine.kv import cell_bytes, kv_bytes_per_layer, usable_cache_type
from reshore.errors import OutOfMemory
from reshore.models.facts import GgufFacts, Pooling

MIB = 1 << 20
DEFAULT_CONTEXT = 8192
DEFAULT_SLOTS = 4
DEFAULT_BATCH = 2048
MICRO_BATCH = 512  # llama.cpp's own default: larger ones prefill no faster on a CPU
SMALLEST_CONTEXT = 512
UNKNOWN_CONTEXT = 4096  # for the rare file that does not say what it was trained with

# Python, the library and its static tables: 40 MiB; the vocabulary's strings, hashes and merge
# ranks: about 350 bytes a token (55 MiB in all were measured for 49,152 tokens).
_PROCESS_BYTES = 40 * MIB
_BYTES_PER_TOKEN = 350
# A prompt whose slot was taken over is kept in main memory up to this, to be restored unread.
_PROMPT_CACHE_BYTES = 256 * MIB
# llama.cpp leaves this much of a GPU free for its driver and for the display.
_GPU_RESERVE_BYTES = 512 * MIB


class Attached(Struct, frozen=True, kw_only=True):
    """What is loaded beside the model's own file: sizes of the files, in bytes.

    Attributes:
        projector_bytes: the vision projector, 0 without one.
        adapter_bytes: all LoRA adapters together.
    """

    projector_bytes: int = 0
    adapter_bytes: int = 0

    @property
    def projector_memory(self) -> int:
        """A projector's graph works on a whole image at once; half its weights are allowed it."""
        return self.projector_bytes + self.projector_bytes // 2


NOTHING = Attached()


class _Shape(Struct, frozen=True, kw_only=True):
    """The settled part of a plan, before slots and context are cut to the memory."""

    facts: GgufFacts
    batch: int
    cache_type: str
    flash: bool | None
    embedding: bool
    gpu_layers: int
    attached: Attached
    hardware: Hardware
    threads: int
    notices: tuple[str, ...]


def make_plan(
    facts: GgufFacts,
    settings: EngineConfig,
    hardware: Hardware,
    *,
    budget_bytes: int,
    embedding: bool,
    attached: Attached = NOTHING,
    model: str = "",
) -> LaunchPlan:
    """The best plan that keeps to `budget_bytes` of main memory.

    Slots are given up first (another request waits a little), then context (a request fails).

    Args:
        facts: the model's header.
        settings: what the operator asked for; 0 and -1 leave the choice to the plan.
        budget_bytes: main memory that the engine may take.
        embedding: plan for embedding, not for generating.
        attached: what is loaded beside the model's file.
        model: name for error messages; the header's own name if empty.

    Raises:
        OutOfMemory: one slot with the smallest context is over the budget; says what it needs.
    """
    trained = facts.context_length or UNKNOWN_CONTEXT
    context, notices = _context(facts, settings, trained)
    slots = settings.parallel or DEFAULT_SLOTS
    flash, cache_type, more = usable_cache_type(facts, settings)
    shape = _Shape(
        facts=facts,
        batch=settings.batch or DEFAULT_BATCH,
        cache_type=cache_type,
        flash=flash,
        embedding=embedding,
        gpu_layers=settings.gpu_layers,
        attached=attached,
        hardware=hardware,
        threads=settings.threads or hardware.cores,
        notices=notices + more,
    )
    smallest: LaunchPlan | None = None
    for fewer_slots, shorter in _steps(slots, context, fixed_context=not facts.causal):
        smallest = _plan(shape, fewer_slots, shorter, lowered_from=(slots, context))
        if smallest.memory_bytes <= budget_bytes:
            return _with_prompt_cache(smallest, shape, budget_bytes)
    assert smallest is not None  # _steps gives at least one
    name = model or facts.name or facts.architecture
    raise OutOfMemory(
        f"{name} needs at least {_human(smallest.memory_bytes)} of memory (one slot of "
        f"{smallest.context_length} tokens), but only {_human(budget_bytes)} may be used. Unload "
        "other models, choose a smaller quantisation, or raise `pool.memory_fraction`.",
        model=name,
    )


def _context(facts: GgufFacts, settings: EngineConfig, trained: int) -> tuple[int, tuple[str, ...]]:
    """Tokens per slot before memory has its say."""
    if not facts.causal:
        # Positions of an encoder are learned: neither more than trained nor a reason for less.
        return trained, ()
    if not settings.context_length:
        return min(trained, DEFAULT_CONTEXT), ()
    if settings.context_length > trained:
        return trained, (
            f"context length {settings.context_length} clamped to {trained}, "
            "which the model was trained with",
        )
    return settings.context_length, ()


def _steps(slots: int, context: int, *, fixed_context: bool) -> Iterator[tuple[int, int]]:
    """Slots and context from the best to the least."""
    for fewer in range(slots, 0, -1):
        yield fewer, context
    floor = context if fixed_context else min(context, SMALLEST_CONTEXT)
    while context > floor:
        # Steps of an eighth waste little memory and end after a few dozen tries at any length.
        context = max(floor, context - max(256, context // 8 // 256 * 256))
        yield 1, context


def _plan(shape: _Shape, slots: int, context: int, *, lowered_from: tuple[int, int]) -> LaunchPlan:
    facts = shape.facts
    batch, micro_batch = _batches(shape, slots, context)
    kv_layers = kv_bytes_per_layer(
        facts, shape.cache_type, context=context, slots=slots, micro_batch=micro_batch
    )
    compute = compute_bytes(
        facts,
        context=context,
        slots=slots,
        micro_batch=micro_batch,
        flash=shape.flash is not False,
        embedding=shape.embedding,
    )
    placed = _place(shape, kv_layers, compute)
    attached = shape.attached
    return LaunchPlan(
        context_length=context,
        slots=slots,
        batch=batch,
        micro_batch=micro_batch,
        threads=shape.threads,
        gpu_layers=placed.layers,
        flash_attention=shape.flash,
        kv_cache_type=shape.cache_type,
        embedding=shape.embedding,
        pooling=facts.pooling,
        weights_bytes=facts.weight_bytes + attached.projector_memory + attached.adapter_bytes,
        kv_bytes=sum(kv_layers),
        compute_bytes=compute * (1 + placed.devices),
        process_bytes=_PROCESS_BYTES + _BYTES_PER_TOKEN * facts.vocab_size,
        gpu_bytes=placed.gpu_bytes,
        tensor_split=placed.split,
        notices=shape.notices + placed.notices + _lowered(lowered_from, slots, context),
    )


def _batches(shape: _Shape, slots: int, context: int) -> tuple[int, int]:
    """Logical and physical prefill batch.

    An input that is embedded with anything but last-token pooling, or without causal attention,
    must be seen whole: llama.cpp refuses what is longer than one physical batch.
    """
    whole = not shape.facts.causal or (shape.embedding and shape.facts.pooling != Pooling.LAST)
    if whole:
        return context, context
    if shape.embedding:  # llama.cpp then takes no logical batch that is more than one physical
        return (min(MICRO_BATCH, context),) * 2
    batch = min(shape.batch, context * slots)
    return batch, min(MICRO_BATCH, batch)


def compute_bytes(
    facts: GgufFacts, *, context: int, slots: int, micro_batch: int, flash: bool, embedding: bool
) -> int:
    """Scratch memory of one forward pass, in bytes.

    llama.cpp reserves the graph's widest moment for one physical batch, in 32-bit floats:

    - activations per token: five vectors of the embedding's width (input, residual, norm, and the
      attention's in- and output) and three of the feed-forward's (gate, up, their product);
    - attention per token and cached cell: a 16-bit mask with flash attention; without it a 32-bit
      mask and one score per head;
    - logits for each slot, in the graph and again in the buffer that is read. An embedder has
      outputs for each token of the batch instead: its buffer has room for their logits as well,
      though nobody reads them, and is cleared, hence resident (58 MB were measured for 472 tokens
      of all-minilm, whose vocabulary has 30,522). A decoder's graph computes them, too (197 MB in
      all for SmolLM2's 49,152 with batches of 512).
    """
    width = 5 * facts.embedding_length + 3 * _feed_forward(facts)
    per_cell = 2 if flash else 4 + 4 * facts.head_count
    if embedding:
        times = 2 if facts.causal else 1
        outputs = 4 * micro_batch * (times * facts.vocab_size + facts.embedding_length)
    else:
        outputs = 2 * 4 * slots * facts.vocab_size
    return micro_batch * (4 * width + context * per_cell) + outputs


def _feed_forward(facts: GgufFacts) -> int:
    """Width of the feed-forward layers that one token passes (of a mixture: the experts used)."""
    arch, known = facts.architecture, facts.metadata
    dense = known.get(f"{arch}.feed_forward_length")
    expert = known.get(f"{arch}.expert_feed_forward_length")
    used = known.get(f"{arch}.expert_used_count")
    if isinstance(expert, int) and isinstance(used, int):
        return expert * used
    if isinstance(dense, list | tuple):
        return max((width for width in dense if isinstance(width, int)), default=0)
    # Four times the width is what transformers have had since the first one.
    return dense if isinstance(dense, int) else 4 * facts.embedding_length


class _Placed(Struct, frozen=True, kw_only=True):
    """Where the layers went."""

    layers: int = 0
    devices: int = 0
    gpu_bytes: int = 0
    split: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()


def _place(shape: _Shape, kv_layers: tuple[int, ...], compute: int) -> _Placed:
    """As many of the last layers on GPUs as fit there with their KV and one compute buffer each.

    llama.cpp counts the output matrix as one more layer, offloaded last of all. Adapters lie where
    the layers are that they change; a projector lies on the first GPU, layers or not.
    """
    gpus, facts = shape.hardware.gpus, shape.facts
    adapted = shape.attached.adapter_bytes // max(1, facts.block_count)
    sizes = [w + k + adapted for w, k in zip(facts.layer_bytes, kv_layers, strict=True)]
    every = len(sizes) + 1
    wanted = every if shape.gpu_layers < 0 else min(shape.gpu_layers, every)
    if not gpus or not wanted:
        return _Placed()
    for count in range(wanted, 0, -1):
        offloaded = min(count, len(sizes))
        pieces = sizes[len(sizes) - offloaded :]
        if count == every:
            pieces[-1] += facts.other_bytes
        split = _pack(pieces, gpus, compute, shape.attached.projector_memory)
        if split is not None:
            return _placed(shape, count, pieces, split, compute)
    return _Placed(notices=("no layer fits on a GPU; all of them run on the CPU",))


def _placed(
    shape: _Shape, count: int, pieces: list[int], split: tuple[int, ...], compute: int
) -> _Placed:
    gpus, start, on_gpus = shape.hardware.gpus, 0, 0
    for gpu, layers in zip(gpus, split, strict=True):
        if layers and not gpu.unified:
            on_gpus += sum(pieces[start : start + layers]) + compute
        start += layers
    if split[0] and not gpus[0].unified:
        on_gpus += shape.attached.projector_memory
    fewer = 0 <= count < shape.gpu_layers <= len(shape.facts.layer_bytes) + 1
    return _Placed(
        layers=count,
        devices=sum(1 for layers in split if layers),
        gpu_bytes=on_gpus,
        split=split if len(gpus) > 1 else (),
        notices=(f"{count} of {shape.gpu_layers} asked layers fit on the GPU",) if fewer else (),
    )


def _pack(
    pieces: list[int], gpus: tuple[Gpu, ...], compute: int, on_first: int
) -> tuple[int, ...] | None:
    """Layers per GPU when they are filled in order, None if some are left over."""
    split, start = [], 0
    for gpu in gpus:
        room, end = gpu.free_bytes - _GPU_RESERVE_BYTES - compute - on_first, start
        on_first = 0
        while end < len(pieces) and pieces[end] <= room:
            room -= pieces[end]
            end += 1
        split.append(end - start)
        start = end
    return tuple(split) if start == len(pieces) else None


def _lowered(wanted: tuple[int, int], slots: int, context: int) -> tuple[str, ...]:
    notices = []
    if slots < wanted[0]:
        notices.append(f"slots lowered from {wanted[0]} to {slots} to fit the memory")
    if context < wanted[1]:
        notices.append(f"context length lowered from {wanted[1]} to {context} to fit the memory")
    return tuple(notices)


def _with_prompt_cache(plan: LaunchPlan, shape: _Shape, budget_bytes: int) -> LaunchPlan:
    """Room for one prompt beyond the slots, as far as the budget leaves some."""
    if plan.embedding or not plan.kv_bytes:
        return plan
    one_slot = cell_bytes(shape.facts, plan.kv_cache_type) * plan.context_length
    spare = budget_bytes - plan.memory_bytes
    cache = min(one_slot, _PROMPT_CACHE_BYTES, spare) // MIB * MIB
    return msgspec.structs.replace(plan, prompt_cache_bytes=cache)


def _human(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
