"""The launch plan: what is chosen, what is given up when memory is short, what is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import EngineConfig
from reshore.engine.base import LaunchPlan
from reshore.engine.hardware import Gpu, Hardware
from reshore.engine.kv import kv_bytes_per_layer
from reshore.engine.plan import NOTHING, Attached, compute_bytes, make_plan
from reshore.errors import OutOfMemory
from reshore.models.facts import GgufFacts
from tests.engine.samples import GB, HARDWARE, encoder, facts

MIB = 1 << 20


def plan(
    header: GgufFacts | None = None,
    settings: EngineConfig | None = None,
    *,
    budget: int = 8 * GB,
    gpus: tuple[Gpu, ...] = (),
    attached: Attached = NOTHING,
    **more: object,
) -> LaunchPlan:
    hardware = msgspec.structs.replace(HARDWARE, gpus=gpus)
    return make_plan(
        header or facts(),
        settings or EngineConfig(),
        hardware,
        budget_bytes=budget,
        embedding=bool(more.get("embedding")),
        attached=attached,
    )


def gpu(free: int, *, unified: bool = False) -> Gpu:
    return Gpu(name="GPU", total_bytes=free, free_bytes=free, unified=unified)


def test_the_defaults_are_four_slots_of_the_trained_length() -> None:
    made = plan()
    assert (made.context_length, made.slots) == (8192, 4)
    assert (made.batch, made.micro_batch, made.threads) == (2048, 512, 2)
    assert (made.flash_attention, made.kv_cache_type, made.gpu_layers) == (None, "f16", 0)
    assert made.notices == ()


def test_a_longer_trained_length_is_cut_to_the_default() -> None:
    assert plan(facts(context_length=131072)).context_length == 8192


def test_a_file_without_a_trained_length_gets_a_modest_one() -> None:
    assert plan(facts(context_length=0)).context_length == 4096


def test_settings_are_followed() -> None:
    settings = EngineConfig(context_length=1000, parallel=7, threads=5, batch=100)
    made = plan(settings=settings)
    assert (made.context_length, made.slots, made.threads) == (1000, 7, 5)
    assert (made.batch, made.micro_batch) == (100, 100)


def test_more_context_than_trained_is_clamped_and_declared() -> None:
    made = plan(settings=EngineConfig(context_length=10_000))
    assert made.context_length == 8192
    assert "10000 clamped to 8192" in made.notices[0]


def test_the_kv_cache_is_what_the_engine_allocates() -> None:
    """180 MiB in f16 and 95.62 MiB in q8_0 were logged for 4 slots of 2048."""
    f16 = kv_bytes_per_layer(facts(), "f16", context=2048, slots=4, micro_batch=512)
    q8 = kv_bytes_per_layer(facts(), "q8_0", context=2048, slots=4, micro_batch=512)
    assert sum(f16) == 180 * MIB
    assert sum(q8) / MIB == pytest.approx(95.62, abs=0.01)


@pytest.mark.parametrize(
    ("context", "slots", "micro_batch", "flash", "logged_mib"),
    [
        (512, 4, 512, True, 15.14),
        (2048, 4, 512, True, 16.64),
        (8192, 1, 512, True, 22.64),
        (8192, 1, 2048, True, 90.57),
        (8192, 1, 128, True, 5.66),
        (2048, 4, 512, False, 47.51),
    ],
)
def test_the_compute_buffer_is_near_what_the_engine_logged(
    context: int, slots: int, micro_batch: int, flash: bool, logged_mib: float
) -> None:
    estimate = compute_bytes(
        facts(),
        context=context,
        slots=slots,
        micro_batch=micro_batch,
        flash=flash,
        embedding=False,
    )
    assert logged_mib * 0.99 <= estimate / MIB <= logged_mib * 1.2 + 1.5


def test_slots_are_given_up_before_context() -> None:
    whole = plan()
    one_slot = whole.kv_bytes // 4
    tight = whole.memory_bytes - whole.prompt_cache_bytes - one_slot
    made = plan(budget=tight)
    assert (made.slots, made.context_length) == (3, 8192)
    assert made.notices == ("slots lowered from 4 to 3 to fit the memory",)


def test_context_is_given_up_when_one_slot_is_too_much() -> None:
    made = plan(budget=260_000_000)
    assert made.slots == 1
    assert 512 <= made.context_length < 8192
    assert any("context length lowered" in notice for notice in made.notices)


def test_what_cannot_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(OutOfMemory, match=r"SmolLM2 135M Instruct needs at least 18\d MB.*10 MB"):
        plan(budget=10_000_000)


def test_an_encoder_sees_any_legal_input_in_one_batch_and_keeps_no_kv() -> None:
    made = plan(encoder(), EngineConfig(context_length=100), embedding=True)
    assert made.context_length == made.batch == made.micro_batch == 512
    assert (made.kv_bytes, made.prompt_cache_bytes, made.pooling) == (0, 0, 1)


def test_an_encoders_context_is_not_lowered() -> None:
    with pytest.raises(OutOfMemory):
        plan(encoder(), embedding=True, budget=60_000_000)


def test_a_causal_embedder_with_mean_pooling_sees_its_input_whole() -> None:
    made = plan(facts(pooling=1), embedding=True)
    assert made.micro_batch == made.context_length
    assert plan(facts(pooling=3), embedding=True).micro_batch == 512


@pytest.mark.parametrize(
    ("settings", "header", "kept"),
    [
        ({"kv_cache_type": "q8_0"}, {}, (True, "q8_0")),
        ({"kv_cache_type": "q4_0", "flash_attention": "on"}, {}, (True, "q4_0")),
        ({"kv_cache_type": "q8_0", "flash_attention": "off"}, {}, (False, "f16")),
        ({"kv_cache_type": "q8_0"}, {"key_length": 80}, (None, "f16")),
        ({"flash_attention": "off"}, {}, (False, "f16")),
    ],
)
def test_a_quantised_cache_needs_flash_attention_and_whole_blocks(
    settings: dict[str, str], header: dict[str, int], kept: tuple[bool | None, str]
) -> None:
    wanted = msgspec.convert(settings, EngineConfig)
    made = plan(facts(**header), wanted)
    assert (made.flash_attention, made.kv_cache_type) == kept
    assert bool(made.notices) == (wanted.kv_cache_type != made.kv_cache_type)


def test_sliding_window_layers_keep_their_window_only() -> None:
    gemma = facts(architecture="gemma3", sliding_window=512, context_length=32768)
    layers = kv_bytes_per_layer(gemma, "f16", context=32768, slots=1, micro_batch=512)
    cell = 3 * 128 * 2
    assert layers[:6] == (1024 * cell,) * 5 + (32768 * cell,)


def test_an_unknown_architecture_with_a_window_is_taken_for_the_worst() -> None:
    other = facts(architecture="novel", sliding_window=512)
    layers = kv_bytes_per_layer(other, "f16", context=8192, slots=1, micro_batch=512)
    assert set(layers) == {8192 * 3 * 128 * 2}


def test_layers_without_kv_heads_cost_none() -> None:
    hybrid = facts(head_count_kv=(0, 3) * 15)
    assert plan(hybrid).kv_bytes * 2 == plan().kv_bytes


def test_a_mixture_counts_the_experts_that_a_token_uses() -> None:
    def width(metadata: dict[str, object]) -> int:
        header = facts(metadata=metadata)
        return compute_bytes(
            header, context=512, slots=1, micro_batch=512, flash=True, embedding=False
        )

    experts = {"llama.expert_feed_forward_length": 512, "llama.expert_used_count": 3}
    assert width(experts) == width({"llama.feed_forward_length": 1536})
    assert width({"llama.feed_forward_length": [100, 1536]}) == width(experts)
    assert width({}) == width({"llama.feed_forward_length": 4 * 576})


def test_a_projector_is_part_of_the_memory() -> None:
    seeing = plan(attached=Attached(projector_bytes=100))
    assert seeing.weights_bytes == plan().weights_bytes + 150


def test_adapters_are_part_of_the_memory() -> None:
    tuned = plan(attached=Attached(adapter_bytes=3000))
    assert tuned.memory_bytes == plan().memory_bytes + 3000
    room = plan().memory_bytes - plan().prompt_cache_bytes
    assert plan(budget=room).slots == 4
    assert plan(budget=room, attached=Attached(adapter_bytes=3000)).slots == 3


def test_what_is_attached_takes_its_part_of_a_gpu() -> None:
    alone, small = plan(gpus=(gpu(8 * GB),)), (gpu(800_000_000),)
    for more in (Attached(adapter_bytes=30_000), Attached(projector_bytes=20_000)):
        made = plan(gpus=(gpu(8 * GB),), attached=more)
        assert made.gpu_layers == 31
        assert made.gpu_bytes == alone.gpu_bytes + 30_000
        assert made.memory_bytes == alone.memory_bytes
    for large in (Attached(adapter_bytes=100 * MIB), Attached(projector_bytes=100 * MIB)):
        made = plan(gpus=small, attached=large)
        assert 0 < made.gpu_layers < plan(gpus=small).gpu_layers
        assert made.gpu_bytes <= 800_000_000 - 512 * MIB


def test_a_large_gpu_takes_every_layer_and_the_output() -> None:
    made = plan(gpus=(gpu(8 * GB),))
    assert made.gpu_layers == 31
    assert made.tensor_split == ()
    assert made.gpu_bytes >= made.weights_bytes + made.kv_bytes
    assert made.memory_bytes < plan().memory_bytes


def test_a_small_gpu_takes_the_last_layers_that_fit() -> None:
    made = plan(gpus=(gpu(800_000_000),))
    assert 0 < made.gpu_layers < 31
    assert made.gpu_bytes <= 800_000_000 - 512 * MIB


def test_a_gpu_that_is_full_is_left_alone() -> None:
    made = plan(gpus=(gpu(100_000_000),))
    assert (made.gpu_layers, made.gpu_bytes) == (0, 0)
    assert "no layer fits" in made.notices[0]


def test_layers_are_dealt_over_several_gpus() -> None:
    made = plan(gpus=(gpu(900_000_000), gpu(8 * GB)))
    assert made.gpu_layers == 31
    assert sum(made.tensor_split) == 30
    assert min(made.tensor_split) > 0


def test_asked_gpu_layers_are_followed_as_far_as_they_fit() -> None:
    assert plan(settings=EngineConfig(gpu_layers=5), gpus=(gpu(8 * GB),)).gpu_layers == 5
    assert plan(settings=EngineConfig(gpu_layers=0), gpus=(gpu(8 * GB),)).gpu_layers == 0
    assert plan(settings=EngineConfig(gpu_layers=999), gpus=(gpu(8 * GB),)).notices == ()
    fewer = plan(settings=EngineConfig(gpu_layers=20), gpus=(gpu(800_000_000),))
    assert fewer.notices == (f"{fewer.gpu_layers} of 20 asked layers fit on the GPU",)


def test_memory_of_an_integrated_gpu_is_main_memory() -> None:
    made = plan(gpus=(gpu(8 * GB, unified=True),))
    assert made.gpu_layers == 31
    assert made.gpu_bytes == 0
    assert made.memory_bytes > plan().memory_bytes - plan().prompt_cache_bytes


headers = st.builds(
    lambda layers, heads, length, context, vocab, window, arch, causal, weight: facts(
        architecture=arch,
        block_count=layers,
        head_count_kv=(heads,) * layers,
        key_length=length,
        value_length=length,
        context_length=context,
        vocab_size=vocab,
        sliding_window=window,
        causal=causal,
        layer_bytes=(weight,) * layers,
    ),
    st.integers(1, 80),
    st.integers(0, 16),
    st.sampled_from([32, 64, 80, 128]),
    st.sampled_from([0, 128, 512, 8192, 131072]),
    st.integers(1, 260_000),
    st.sampled_from([0, 512, 4096]),
    st.sampled_from(["llama", "gemma3", "gpt-oss"]),
    st.booleans(),
    st.integers(0, 10**8),
)
wishes = st.builds(
    EngineConfig,
    context_length=st.sampled_from([0, 1, 700, 8192, 10**6]),
    parallel=st.integers(0, 16),
    batch=st.sampled_from([0, 32, 4096]),
    gpu_layers=st.integers(-1, 90),
    flash_attention=st.sampled_from(["auto", "on", "off"]),
    kv_cache_type=st.sampled_from(["f16", "q8_0", "q4_0"]),
)
machines = st.builds(
    lambda sizes, unified: Hardware(
        cores=2,
        total_bytes=GB,
        free_bytes=GB,
        gpus=tuple(gpu(size, unified=unified) for size in sizes),
    ),
    st.lists(st.integers(0, 24 * GB), max_size=3),
    st.booleans(),
)
budgets = st.integers(0, 32 * GB)
beside = st.builds(
    Attached, projector_bytes=st.integers(0, 2 * GB), adapter_bytes=st.integers(0, 2 * GB)
)


def attempt(
    header: GgufFacts,
    wish: EngineConfig,
    machine: Hardware,
    budget: int,
    attached: Attached = NOTHING,
) -> LaunchPlan | None:
    try:
        return make_plan(
            header,
            wish,
            machine,
            budget_bytes=budget,
            embedding=not header.causal,
            attached=attached,
        )
    except OutOfMemory:
        return None


@given(headers, wishes, machines, budgets, beside)
def test_no_plan_is_over_its_budget_or_its_gpus(
    header: GgufFacts, wish: EngineConfig, machine: Hardware, budget: int, attached: Attached
) -> None:
    made = attempt(header, wish, machine, budget, attached)
    if made is not None:
        assert 0 <= made.memory_bytes <= budget
        assert made.gpu_bytes <= sum(each.free_bytes for each in machine.gpus)
        assert 1 <= made.micro_batch <= made.batch
        assert made.slots >= 1


@given(headers, wishes, machines, budgets, budgets)
def test_more_memory_never_gives_less(
    header: GgufFacts, wish: EngineConfig, machine: Hardware, one: int, other: int
) -> None:
    less = attempt(header, wish, machine, min(one, other))
    more = attempt(header, wish, machine, max(one, other))
    if less is not None:
        assert more is not None
        assert more.slots >= less.slots
        assert more.context_length >= less.context_length
