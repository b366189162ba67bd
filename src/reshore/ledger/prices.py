"""What an attempt cost, and what the model that the client asked for would have cost. Pure.

Prices come from `[prices]`, else from the dated lists of `genai-prices` (its bundled data: nothing
is fetched). Who answers on this machine costs nothing unless `[prices]` says otherwise. What is
not known stays None and is never 0.

Money is whole nano-dollars (1e-9 USD): every price of at most three decimals per million tokens,
which is nearly every one, is then exact per token. What is finer is rounded once per attempt, half
to even, so that a sum over n attempts is off by less than n / 2 nano-dollars and in no direction.
64 bits hold nine billion dollars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from reshore.config import PriceConfig, UpstreamConfig, UpstreamKind
from reshore.routing.patterns import Patterns
from reshore.types import Attempt, Target, Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

NANO = 1_000_000_000
_MILLION = 1_000_000
_HOUR_MS = 3_600_000
_DAY_S = 86_400
_EPOCH = date(1970, 1, 1).toordinal()

# Whose list holds for an upstream that does not say (`price_as`). The others are engines of
# somebody's own, which have no list.
_PROVIDERS: Mapping[UpstreamKind, str] = {
    "openai": "openai",
    "azure": "azure",
    "openrouter": "openrouter",
}

# Errors after which there was nothing to pay for: nothing was sent.
_FREE_ERRORS = frozenset({"Unreachable", "CircuitOpen"})

# Names come from clients: what is remembered of them has an end.
_REMEMBERED = 4096


class Price(Struct, frozen=True):
    """An amount, and where its price was read (`genai-prices 0.2.3 openai/gpt-4o`)."""

    nano_usd: int
    source: str


class Rates(Struct, frozen=True, kw_only=True):
    """What one model costs: nano-dollars per million tokens, per request, per hour of work.

    Attributes:
        cached, reasoning: None: as `input`, as `output`.
        input_audio, input_image, output_audio, output_image: None: not known, for they cost many
            times what text does.
        tiers: prompts of more tokens than the number have all their tokens at other rates;
            longest first.
    """

    source: str
    input: int | None = None
    cached: int | None = None
    output: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    input_image: int | None = None
    output_audio: int | None = None
    output_image: int | None = None
    request: int = 0
    hour: int = 0
    tiers: tuple[tuple[int, Rates], ...] = ()

    def price(self, usage: Usage | None, busy_ms: float) -> Price | None:
        """The price of these tokens; None where it depends on something unknown.

        Cached tokens are some of the prompt's, thought ones some of the completion's; audio and
        images some of either.
        """
        for beyond, rates in self.tiers:
            if usage is not None and usage.prompt_tokens > beyond:
                return rates.price(usage, busy_ms)
        tokens = self._tokens(usage)
        if tokens is None:
            return None
        nano = _divide(tokens, _MILLION) + self.request + round(self.hour * busy_ms / _HOUR_MS)
        return Price(nano, self.source)

    def _tokens(self, usage: Usage | None) -> int | None:
        """Nano-dollars times a million."""
        if usage is None:
            costs = any((self.input, self.cached, self.output, self.reasoning))
            return None if costs or (self.input is None and not self.hour) else 0
        if usage.cached_tokens and self._is_mixed(usage):
            return None
        total = 0
        for number, rate in (*self._prompt(usage), *self._completion(usage)):
            if number and rate is None and not self.hour:
                return None
            total += number * (rate or 0)
        return total

    def _is_mixed(self, usage: Usage) -> bool:
        """Whether it matters of which kind the cached tokens are, which nobody says."""
        return any(
            number and rate != self.input
            for number, rate in (
                (usage.prompt_audio_tokens, self.input_audio),
                (usage.prompt_image_tokens, self.input_image),
            )
        )

    def _prompt(self, usage: Usage) -> Iterator[tuple[int, int | None]]:
        return _shares(
            usage.prompt_tokens,
            self.input,
            (usage.cached_tokens, self.input if self.cached is None else self.cached),
            (usage.prompt_audio_tokens, self.input_audio),
            (usage.prompt_image_tokens, self.input_image),
        )

    def _completion(self, usage: Usage) -> Iterator[tuple[int, int | None]]:
        return _shares(
            usage.completion_tokens,
            self.output,
            (
                usage.reasoning_tokens or 0,
                self.output if self.reasoning is None else self.reasoning,
            ),
            (usage.completion_audio_tokens, self.output_audio),
            (usage.completion_image_tokens, self.output_image),
        )


def _shares(
    tokens: int, rate: int | None, *kinds: tuple[int, int | None]
) -> Iterator[tuple[int, int | None]]:
    """Tokens of each kind with their rate, and what is left, which is text. Never more than
    `tokens` altogether, whatever an upstream counts."""
    for number, own in kinds:
        share = min(number, tokens)
        tokens -= share
        yield share, own
    yield tokens, rate


def _for_all(rates: Rates) -> Rates:
    """The same for whatever is in prompts and completions: its owner says no more than that."""
    return structs.replace(
        rates,
        input_audio=rates.input,
        input_image=rates.input,
        output_audio=rates.output,
        output_image=rates.output,
    )


FREE = _for_all(Rates(source="local", input=0, output=0))


class Prices:
    """All prices. Owned by one thread.

    Args:
        overrides: `[prices]`. A key is a model or `backend/model`, or a glob of either; the second
            form wins.
        upstreams: `[upstreams]`, for whose list holds where.
    """

    def __init__(
        self,
        overrides: Mapping[str, PriceConfig | list[PriceConfig]],
        upstreams: Mapping[str, UpstreamConfig],
    ) -> None:
        self._overrides = Patterns((name, _dated(each)) for name, each in overrides.items())
        self._providers = {
            name: upstream.price_as or _PROVIDERS.get(upstream.kind, "")
            for name, upstream in upstreams.items()
        }
        self._lists = _Lists()

    def of(self, attempt: Attempt, asked: str, wall_s: float) -> Price | None:
        """What an attempt cost, begun at `wall_s` seconds since the epoch; None: not known.

        Args:
            asked: the name that the client sent, for targets without a model of their own.
        """
        target = attempt.target
        rates = self._rates(target, asked, wall_s)
        if attempt.usage is None and _free(attempt):
            return Price(0, rates.source if rates else "not answered")
        return rates.price(attempt.usage, attempt.total_ms) if rates else None

    def listed(self, name: str, usage: Usage, wall_s: float) -> Price | None:
        """What the model that a client calls `name` costs where it is at home; None: not known."""
        rates = self._override("", name, wall_s) or self._lists.anywhere(name, wall_s)
        return rates.price(usage, 0.0) if rates else None

    def _rates(self, target: Target, asked: str, wall_s: float) -> Rates | None:
        model = target.model or asked
        own = self._override(target.backend, model, wall_s)
        if own is not None or target.side == "local":
            return own or FREE
        provider = self._providers.get(target.backend, "")
        return self._lists.at(provider, model, wall_s) if provider else None

    def _override(self, backend: str, model: str, wall_s: float) -> Rates | None:
        found = self._overrides.find(f"{backend}/{model}") if backend else None
        found = found or self._overrides.find(model)
        if found is None:
            return None
        day = wall_s // _DAY_S
        return next((rates for since, rates in found if since <= day), None)


class _Lists:
    """The lists of `genai-prices`, loaded when the first price is asked for."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[Provider, ModelInfo] | None] = {}
        self._rates: dict[int, tuple[ModelPrice, Rates]] = {}

    def at(self, provider: str, model: str, wall_s: float) -> Rates | None:
        """The rates of a model in one provider's list."""
        return self._of(provider, model, wall_s)

    def anywhere(self, model: str, wall_s: float) -> Rates | None:
        """The rates of a model at OpenAI, for whom applications were written, or at its maker."""
        return self._of("openai", model, wall_s) or self._of("", model, wall_s)

    def _of(self, provider: str, model: str, wall_s: float) -> Rates | None:
        key = (provider, model)
        if key not in self._found:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[key] = _find(provider, model)
        found = self._found[key]
        if found is None:
            return None
        where, info = found
        price = info.get_prices(datetime.fromtimestamp(wall_s, UTC))
        known = self._rates.get(id(price))
        if known is None:
            # The price is kept with its rates, so that its id stays its own.
            known = price, _read(price, f"{_release()} {where.id}/{info.id}")
            self._rates[id(price)] = known
        return known[1]


def _find(provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
    # 90 ms of CPU and 14 MB with what it brings: not before there is a price to be found.
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, provider or None, None)
    except LookupError:
        return None


def _release() -> str:
    from genai_prices import __version__  # as above

    return f"genai-prices {__version__}"


def _read(price: ModelPrice, source: str) -> Rates:
    """The rates for tokens in a price of the list, with its tiers."""
    from genai_prices.types import TieredPrices  # as above

    starts = {
        tier.start
        for value in vars(price).values()
        if isinstance(value, TieredPrices)
        for tier in value.tiers
    }

    def rates(tokens: int) -> Rates:
        def per_million(key: str) -> int | None:
            value = getattr(price, key, None)
            if isinstance(value, TieredPrices):
                met = [tier.price for tier in value.tiers if tier.start < tokens]
                value = met[-1] if met else value.base
            return None if value is None else _nano(value)

        input_audio, output_audio = _told_apart("audio", per_million)
        input_image, output_image = _told_apart("image", per_million)
        return Rates(
            source=source,
            input=per_million("input_mtok"),
            cached=per_million("cache_read_mtok"),
            output=per_million("output_mtok"),
            reasoning=per_million("output_reasoning_mtok"),
            input_audio=input_audio,
            input_image=input_image,
            output_audio=output_audio,
            output_image=output_image,
            request=_divide(per_million("requests_kcount") or 0, 1000),
        )

    base = rates(0)
    tiers = tuple((start, rates(start + 1)) for start in sorted(starts, reverse=True))
    return structs.replace(base, tiers=tiers) if tiers else base


def _told_apart(
    kind: str, per_million: Callable[[str], int | None]
) -> tuple[int | None, int | None]:
    """The rates of one kind of content in prompts and in completions.

    A list that tells it apart on one side means it by the usual rate of the other: those of
    `gpt-image-1` have no images in completions, which are nothing else.
    """
    sides = [(per_million(f"{side}_{kind}_mtok"), f"{side}_mtok") for side in ("input", "output")]
    if all(rate is None for rate, _ in sides):
        return None, None
    taken, given = (per_million(usual) if rate is None else rate for rate, usual in sides)
    return taken, given


def _dated(prices: PriceConfig | list[PriceConfig]) -> tuple[tuple[int, Rates], ...]:
    """Rates with the first day on which they hold (days since the epoch), latest first."""
    listed = [prices] if isinstance(prices, PriceConfig) else prices
    dated = [(_day(each.since), _own(each)) for each in listed]
    return tuple(sorted(dated, key=lambda entry: -entry[0]))


def _day(since: date | None) -> int:
    return 0 if since is None else since.toordinal() - _EPOCH


def _own(price: PriceConfig) -> Rates:
    rates = Rates(
        source=f"override {price.since}" if price.since else "override",
        input=_nano_of(price.input),
        cached=_nano_of(price.cached),
        output=_nano_of(price.output),
        reasoning=_nano_of(price.reasoning),
        request=_nano_of(price.request) or 0,
        hour=_nano_of(price.hour) or 0,
    )
    return _for_all(rates)


def _free(attempt: Attempt) -> bool:
    """Whether it failed before anybody could charge for it."""
    if attempt.error in _FREE_ERRORS or (attempt.status or 0) >= 400:
        return True
    failed = attempt.error is not None and attempt.ttft_ms is None
    return failed and attempt.target.side == "local"


def _nano_of(dollars: float | None) -> int | None:
    # By its shortest text: 0.15 is meant as 15 hundredths, not as the float nearest to it.
    return None if dollars is None else _nano(Decimal(str(dollars)))


def _nano(dollars: Decimal) -> int:
    return round(dollars * NANO)


def _divide(amount: int, by: int) -> int:
    """The quotient as a whole number, half to even."""
    whole, rest = divmod(amount, by)
    return whole + (2 * rest > by or (2 * rest == by and whole % 2 == 1))
