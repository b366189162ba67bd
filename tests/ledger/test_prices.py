"""What attempts cost, and what the model asked for would have cost."""

from __future__ import annotations

import socket
from datetime import UTC, date, datetime

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import PriceConfig, UpstreamConfig
from reshore.ledger.prices import NANO, Price, Prices
from reshore.types import Target, Usage
from tests.ledger.samples import AT_S, LOCAL, PRICE, USAGE, attempt

UPSTREAMS = {
    "openai": UpstreamConfig(),
    "azure": UpstreamConfig(kind="azure", url="https://x.openai.azure.com"),
    "openrouter": UpstreamConfig(kind="openrouter"),
    "gpu-box": UpstreamConfig(kind="vllm", url="http://127.0.0.1:8000"),
    "anthropic": UpstreamConfig(url="https://api.anthropic.com/v1", price_as="anthropic"),
    "groq": UpstreamConfig(url="https://api.groq.com/openai/v1", price_as="groq"),
}


def cloud(upstream: str, model: str) -> Target:
    return Target(side="cloud", backend=upstream, model=model)


def cost(prices: Prices, upstream: str, model: str, usage: Usage | None = USAGE) -> Price | None:
    return prices.of(attempt(target=cloud(upstream, model), usage=usage), model, AT_S)


def with_override(name: str, *prices: PriceConfig) -> Prices:
    return Prices({name: list(prices)}, UPSTREAMS)


def test_a_list_price_counts_cached_tokens_apart_and_says_where_it_is_from() -> None:
    price = cost(Prices({}, UPSTREAMS), "openai", "gpt-4o-mini")
    assert price is not None
    assert price.nano_usd == PRICE
    assert price.source.startswith("genai-prices ")
    assert price.source.endswith(" openai/gpt-4o-mini")


@pytest.mark.parametrize(
    ("upstream", "provider", "model"),
    [
        ("openai", "openai", "gpt-4o-mini"),
        ("openai", "openai", "o3-mini"),
        ("openai", "openai", "text-embedding-3-small"),
        ("openai", "openai", "ft:gpt-4o-mini-2024-07-18:acme::a1"),
        ("azure", "azure", "gpt-4o"),
        ("openrouter", "openrouter", "openai/gpt-4o"),
        ("anthropic", "anthropic", "claude-sonnet-4-5"),
        ("groq", "groq", "llama-3.3-70b-versatile"),
    ],
)
@given(
    prompt=st.integers(0, 500_000),
    completion=st.integers(0, 200_000),
    share=st.floats(0, 1),
    at_s=st.floats(1_735_689_600, 1_790_000_000),
)
def test_it_agrees_with_the_lists_own_arithmetic(
    upstream: str,
    provider: str,
    model: str,
    prompt: int,
    completion: int,
    share: float,
    at_s: float,
) -> None:
    if "embedding" in model:
        completion = 0
    cached = int(prompt * share)
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached)
    price = Prices({}, UPSTREAMS).of(
        attempt(target=cloud(upstream, model), usage=usage), model, at_s
    )
    theirs = calc_price(
        TheirUsage(input_tokens=prompt, cache_read_tokens=cached, output_tokens=completion),
        model,
        provider_id=provider,
        genai_request_timestamp=datetime.fromtimestamp(at_s, UTC),
    )
    assert price is not None
    assert abs(price.nano_usd - theirs.total_price * NANO) <= 1


@pytest.mark.parametrize(
    ("upstream", "model"),
    [("openai", "nobody-has-this"), ("gpu-box", "gpt-4o-mini"), ("elsewhere", "gpt-4o-mini")],
)
def test_what_no_list_has_is_unknown(upstream: str, model: str) -> None:
    assert cost(Prices({}, UPSTREAMS), upstream, model) is None


def test_an_answer_without_token_counts_is_unknown() -> None:
    assert cost(Prices({}, UPSTREAMS), "openai", "gpt-4o-mini", None) is None


@pytest.mark.parametrize(
    "failed",
    [
        {"error": "Unreachable", "status": None},
        {"error": "CircuitOpen", "status": None},
        {"error": "UpstreamStatus", "status": 429},
        {"error": "UpstreamStatus", "status": 503},
    ],
)
@pytest.mark.parametrize("upstream", ["openai", "gpu-box"])
def test_what_was_refused_or_never_arrived_costs_nothing(
    failed: dict[str, object], upstream: str
) -> None:
    tried = attempt(target=cloud(upstream, "gpt-4o-mini"), usage=None, ttft_ms=None, **failed)
    price = Prices({}, UPSTREAMS).of(tried, "gpt-4o-mini", AT_S)
    assert price is not None
    assert price.nano_usd == 0


@pytest.mark.parametrize("error", ["Cancelled", "BackendTimeout", "BadReply", "Disconnected"])
def test_what_was_cut_off_in_the_cloud_may_be_charged_for(error: str) -> None:
    tried = attempt(usage=None, error=error, status=None, ttft_ms=None)
    assert Prices({}, UPSTREAMS).of(tried, "gpt-4o-mini", AT_S) is None


def test_this_machine_costs_nothing() -> None:
    prices = Prices({}, UPSTREAMS)
    for usage in (USAGE, None):
        assert prices.of(attempt(target=LOCAL, usage=usage), "x", AT_S) == Price(0, "local")


def test_this_machine_costs_what_is_said() -> None:
    prices = with_override("local/*", PriceConfig(hour=3.6))
    tried = attempt(target=LOCAL, total_ms=2000.0)
    assert prices.of(tried, "x", AT_S) == Price(2_000_000, "override")
    unfinished = attempt(target=LOCAL, total_ms=1000.0, usage=None, error="Cancelled")
    assert prices.of(unfinished, "x", AT_S) == Price(1_000_000, "override")


def test_a_target_without_a_model_is_the_one_that_was_asked_for() -> None:
    tried = attempt(target=cloud("openai", ""))
    assert Prices({}, UPSTREAMS).of(tried, "gpt-4o-mini", AT_S) is not None


def test_an_override_wins_over_the_lists() -> None:
    prices = with_override("gpt-4o-mini", PriceConfig(input=1, output=2))
    # Without a price of their own, cached tokens cost what others do.
    assert cost(prices, "openai", "gpt-4o-mini") == Price(1_200_000, "override")


def test_an_override_for_one_upstream_wins_over_one_for_the_model() -> None:
    prices = Prices(
        {
            "gpt-4o-mini": PriceConfig(input=1, output=1),
            "gpu-box/*": PriceConfig(input=0, output=0),
        },
        UPSTREAMS,
    )
    assert cost(prices, "gpu-box", "gpt-4o-mini") == Price(0, "override")
    assert cost(prices, "openai", "gpt-4o-mini") == Price(1_100_000, "override")


@pytest.mark.parametrize(
    ("day", "dollars"), [("2025-06-14", 1), ("2025-06-15", 2), ("2025-06-16", 2)]
)
def test_an_override_holds_from_its_day_on(day: str, dollars: int) -> None:
    prices = with_override(
        "m",
        PriceConfig(input=2, output=0, since=date(2025, 6, 15)),
        PriceConfig(input=1, output=0),
    )
    at_s = datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()
    price = prices.of(attempt(target=cloud("gpu-box", "m")), "m", at_s)
    assert price is not None
    assert price.nano_usd == dollars * 1_000_000
    assert price.source == ("override 2025-06-15" if dollars == 2 else "override")


def test_before_its_first_day_an_override_leaves_it_to_the_lists() -> None:
    prices = with_override("gpt-4o-mini", PriceConfig(input=9, output=9, since=date(2030, 1, 1)))
    price = cost(prices, "openai", "gpt-4o-mini")
    assert price is not None
    assert price.nano_usd == PRICE


def test_half_an_override_leaves_the_other_half_unknown() -> None:
    prices = with_override("m", PriceConfig(input=1))
    assert cost(prices, "gpu-box", "m") is None
    assert cost(prices, "gpu-box", "m", Usage(prompt_tokens=5)) == Price(5000, "override")


def test_thought_tokens_and_requests_may_have_prices_of_their_own() -> None:
    prices = with_override("m", PriceConfig(input=0, output=1, reasoning=3, request=0.5))
    usage = Usage(prompt_tokens=7, completion_tokens=100, reasoning_tokens=40)
    assert cost(prices, "gpu-box", "m", usage) == Price(180_000 + NANO // 2, "override")


MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("gpt-4o-transcribe", {"prompt_tokens": MILLION, "prompt_audio_tokens": MILLION}, 6),
        ("gpt-audio", {"prompt_tokens": MILLION, "prompt_audio_tokens": MILLION // 2}, 17.25),
        ("gpt-audio", {"completion_tokens": MILLION, "completion_audio_tokens": MILLION}, 64),
        ("gpt-image-1", {"prompt_tokens": MILLION, "prompt_image_tokens": MILLION}, 10),
        ("gpt-image-1.5", {"completion_tokens": MILLION, "completion_image_tokens": MILLION}, 32),
    ],
)
def test_audio_and_images_cost_what_the_list_says(
    model: str, usage: dict[str, int], dollars: float
) -> None:
    price = cost(Prices({}, UPSTREAMS), "openai", model, Usage(**usage))
    assert price is not None
    assert price.nano_usd == dollars * NANO


def test_a_list_that_tells_images_apart_in_prompts_alone_means_them_by_output() -> None:
    drawn = Usage(completion_tokens=MILLION, completion_image_tokens=MILLION)
    price = cost(Prices({}, UPSTREAMS), "openai", "gpt-image-1", drawn)
    assert price is not None
    assert price.nano_usd == 40 * NANO


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("gpt-4o-audio-preview", {"prompt_tokens": 9, "prompt_audio_tokens": 1}),
        ("gpt-4o-audio-preview", {"completion_tokens": 9, "completion_audio_tokens": 1}),
        ("gpt-4o-mini", {"completion_tokens": 9, "completion_image_tokens": 1}),
        # Which of them were cached?
        ("gpt-image-1", {"prompt_tokens": 9, "prompt_image_tokens": 8, "cached_tokens": 5}),
    ],
)
def test_audio_and_images_without_a_price_are_unknown(model: str, usage: dict[str, int]) -> None:
    assert cost(Prices({}, UPSTREAMS), "openai", model, Usage(**usage)) is None


@pytest.mark.parametrize("cached", [0, 4])
def test_an_override_is_for_audio_and_images_too(cached: int) -> None:
    prices = with_override("m", PriceConfig(input=1, output=3))
    usage = Usage(
        prompt_tokens=10,
        cached_tokens=cached,
        prompt_audio_tokens=6,
        prompt_image_tokens=4,
        completion_tokens=10,
        completion_audio_tokens=3,
    )
    assert cost(prices, "gpu-box", "m", usage) == Price(40_000, "override")
    assert Prices({}, {}).of(attempt(target=LOCAL, usage=usage), "m", AT_S) == Price(0, "local")


@pytest.mark.parametrize(("tokens", "nano"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_what_is_finer_than_a_nano_dollar_is_rounded_half_to_even(tokens: int, nano: int) -> None:
    prices = with_override("m", PriceConfig(input=0.0005, output=0))
    assert cost(prices, "gpu-box", "m", Usage(prompt_tokens=tokens)) == Price(nano, "override")


@given(
    counts=st.lists(st.integers(0, 10**6), max_size=50),
    micro=st.integers(0, 10**5).map(lambda thousandths: thousandths / 1000),
)
def test_a_sum_of_prices_of_three_decimals_loses_nothing(counts: list[int], micro: float) -> None:
    prices = with_override("m", PriceConfig(input=micro, output=0))
    parts = [cost(prices, "gpu-box", "m", Usage(prompt_tokens=count)) for count in counts]
    whole = cost(prices, "gpu-box", "m", Usage(prompt_tokens=sum(counts)))
    assert whole is not None
    assert sum(part.nano_usd for part in parts if part) == whole.nano_usd


@pytest.mark.parametrize(
    ("name", "priced"),
    [
        ("gpt-4o-mini", True),
        ("claude-sonnet-4-5", True),
        ("text-embedding-3-small", True),
        ("ft:gpt-4o-mini-2024-07-18:acme::a1", True),
        ("ft:unheard-of:acme::a1", False),
        ("llama3.2", False),
        ("qwen2.5:7b", False),
        ("mistral-nemo:12b", False),
        ("", False),
    ],
)
def test_the_price_of_a_name_is_that_of_its_maker(name: str, priced: bool) -> None:
    usage = Usage(prompt_tokens=1000)
    assert (Prices({}, {}).listed(name, usage, AT_S) is not None) is priced


def test_fine_tuned_models_cost_what_fine_tuned_ones_do() -> None:
    prices, usage = Prices({}, {}), Usage(prompt_tokens=1_000_000)
    tuned = prices.listed("ft:gpt-4o-mini-2024-07-18:acme::a1", usage, AT_S)
    plain = prices.listed("gpt-4o-mini-2024-07-18", usage, AT_S)
    assert tuned is not None
    assert plain is not None
    assert tuned.nano_usd > plain.nano_usd


def test_no_price_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a price was looked for on the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert cost(Prices({}, UPSTREAMS), "openai", "gpt-4o") is not None


def test_names_that_clients_make_up_are_not_remembered_for_ever() -> None:
    prices = Prices({}, {})
    for number in range(5000):
        prices.listed(f"made-up-{number}", USAGE, AT_S)
    assert len(prices._lists._found) <= 4096
