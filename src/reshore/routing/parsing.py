"""From the text of a policy to the policy (`policy.py` has the types and examples). Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import NoReturn, TypeVar

from reshore.config.durations import parse_duration
from reshore.config.keys import did_you_mean
from reshore.routing.plan import REASONS, Reason
from reshore.routing.policy import (
    CHECKS,
    DEFAULT_CHECKS,
    RULES_THRESHOLD,
    Arm,
    Cascade,
    Check,
    Cloud,
    Fallback,
    Hedge,
    Hybrid,
    Local,
    Policy,
    Shadow,
    Split,
)
from reshore.routing.syntax import Call, read_call, wrong
from reshore.types import Side

T = TypeVar("T")
D = TypeVar("D")

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
ROUTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # it is a file's name
_HEADER = re.compile(r"header:[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # a token of RFC 9110


def parse_policy(text: str) -> Policy:
    """Read the text form of a policy; `parse_policy(str(policy)) == policy`.

    Raises:
        RouteError: says at which character, what was expected, and the nearest word known.
    """
    return _Parser(text).policy(read_call(text))


def parse_policy_words(*words: str) -> Policy:
    """Read a policy as it is typed in a shell, where parentheses need quotes.

    `split local=10,cloud=90 sticky=user` is `split(local=10, cloud=90, sticky=user)`, and
    `cloud openai/gpt-4o` is `cloud:openai/gpt-4o`.

    Raises:
        RouteError: as `parse_policy`.
    """
    first, *rest = words or ("",)
    if not rest or "(" in first:
        return parse_policy(" ".join(words))
    if first in ("local", "cloud"):
        return parse_policy(f"{first}:{' '.join(rest)}")
    return parse_policy(f"{first}({', '.join(word.strip(', ') for word in rest)})")


class _Parser:
    """Gives the calls of one text their meaning."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._kinds: dict[str, Callable[[_Arguments], Policy]] = {
            "split": self._split,
            "fallback": self._fallback,
            "hedge": self._hedge,
            "hybrid": self._hybrid,
            "cascade": self._cascade,
            "shadow": self._shadow,
        }

    def policy(self, call: Call) -> Policy:
        kind, colon, rest = call.word.partition(":")
        if kind in ("local", "cloud"):
            if call.items is not None:
                self._fail(call.at, f"{kind} takes no parentheses; write {kind} or {kind}:NAME")
            if colon and not rest:
                self._fail(call.at, f"expected a name behind '{kind}:'")
            return Local(rest) if kind == "local" else self._cloud(call.at, rest)
        build = self._kinds.get(call.word)
        if build is None:
            names = ["local", "cloud", *self._kinds]
            near = did_you_mean(kind, names)
            self._fail(
                call.at, f"'{call.word}' is no policy; expected one of {', '.join(names)}.{near}"
            )
        return build(_Arguments(self._text, call))

    def _cloud(self, at: int, rest: str) -> Cloud:
        upstream, slash, model = rest.partition("/")
        if slash and not model:
            self._fail(at, f"expected a model behind 'cloud:{upstream}/'")
        return Cloud(upstream, model)

    def _split(self, arguments: _Arguments) -> Split:
        sticky = arguments.option("sticky", _sticky, "conversation")
        arms = arguments.arms()
        if not arms:
            self._fail(arguments.at, "split has no sides; write split(local=10, cloud=90)")
        found = tuple(Arm(weight, self.policy(call)) for call, weight in arms)
        if not 0 < sum(arm.weight for arm in found) < math.inf:
            self._fail(arguments.at, "the weights of a split have no positive sum")
        return Split(found, sticky)

    def _fallback(self, arguments: _Arguments) -> Fallback:
        on = arguments.option("on", _reasons, frozenset(REASONS))
        resume = arguments.option("resume", _yes, False)
        calls = arguments.policies(2, None)
        return Fallback(tuple(self.policy(call) for call in calls), on, resume)

    def _hedge(self, arguments: _Arguments) -> Hedge:
        after_ms = arguments.option("after", _milliseconds, None)
        if after_ms is None:
            self._fail(arguments.at, "hedge needs a time to wait; add after=800ms")
        first, second = (self.policy(call) for call in arguments.policies(2, 2))
        return Hedge(first, second, after_ms)

    def _hybrid(self, arguments: _Arguments) -> Hybrid:
        by = arguments.option("by", _router, "")
        threshold = arguments.option("threshold", _share, None if by else RULES_THRESHOLD)
        local, cloud = self._pair(arguments)
        return Hybrid(local, cloud, threshold, by)

    def _cascade(self, arguments: _Arguments) -> Cascade:
        checks = list(arguments.option("checks", _checks, DEFAULT_CHECKS))
        agree_with = arguments.option("agree_with", str, "")
        min_logprob = arguments.option("min_logprob", _logprob, None)
        # Who says how a check is to be done wants it done.
        if agree_with and "agreement" not in checks:
            checks.append("agreement")
        if min_logprob is not None and "logprob" not in checks:
            checks.append("logprob")
        budget_ms = arguments.option("budget", _milliseconds, 10_000.0)
        late: Side = arguments.option("late", _side, "cloud")
        by = arguments.option("by", _router, "")
        threshold = arguments.option("threshold", _share, None)
        if threshold is not None and not by:
            self._fail(arguments.at, "the threshold of a cascade is that of a router; add by=NAME")
        local, cloud = self._pair(arguments)
        if not isinstance(local, Local):
            self._fail(arguments.at, "the first policy of a cascade is local or local:MODEL")
        return Cascade(
            local,
            cloud,
            tuple(checks),
            agree_with,
            -1.0 if min_logprob is None else min_logprob,
            budget_ms,
            late,
            by,
            threshold,
        )

    def _shadow(self, arguments: _Arguments) -> Shadow:
        share = arguments.option("share", _share, None)
        if share is None:
            self._fail(arguments.at, "shadow needs to know how many requests; add share=5%")
        primary, mirror = (self.policy(call) for call in arguments.policies(2, 2))
        if not isinstance(mirror, Local | Cloud):
            self._fail(arguments.at, "the second policy of a shadow is one local or cloud")
        return Shadow(primary, mirror, share)

    def _pair(self, arguments: _Arguments) -> tuple[Policy, Policy]:
        calls = arguments.policies(0, 2)
        if len(calls) == 1:
            self._fail(calls[0].at, f"{arguments.kind} takes both sides, or none: (local, cloud)")
        return (self.policy(calls[0]), self.policy(calls[1])) if calls else (Local(), Cloud())

    def _fail(self, at: int, problem: str) -> NoReturn:
        raise wrong(self._text, at, problem)


_OPTIONS = {
    "split": ("sticky",),
    "fallback": ("on", "resume"),
    "hedge": ("after",),
    "hybrid": ("threshold", "by"),
    "cascade": ("checks", "agree_with", "min_logprob", "budget", "late", "by", "threshold"),
    "shadow": ("share",),
}


class _Arguments:
    """What stands in the parentheses of one call: options, and policies (of a split: arms)."""

    def __init__(self, text: str, call: Call) -> None:
        self._text = text
        self.kind = call.word
        self.at = call.at
        self._known = _OPTIONS[call.word]
        self._left: list[Call] = []
        self._options: dict[str, Call] = {}
        for item in call.items or ():
            self._sort(item)

    def _sort(self, item: Call) -> None:
        if item.word in self._options:
            raise wrong(self._text, item.at, f"{item.word} is set twice")
        if item.value and item.word in self._known:
            self._options[item.word] = item
        elif item.value and self.kind != "split":
            known = ", ".join(f"{name}=…" for name in self._known)
            near = did_you_mean(item.word, self._known)
            raise wrong(
                self._text,
                item.at,
                f"'{item.word}' is no option of {self.kind}; expected {known}.{near}",
            )
        else:
            self._left.append(item)

    def option(self, name: str, read: Callable[[str], T], default: D) -> T | D:
        """The value of an option, `default` where it is not set."""
        item = self._options.get(name)
        if item is None:
            return default
        try:
            return read(item.value)
        except ValueError as error:
            raise wrong(self._text, item.value_at, f"{name}: {error}") from error

    def arms(self) -> list[tuple[Call, float]]:
        """What is no option, each with its weight."""
        arms: list[tuple[Call, float]] = []
        for item in self._left:
            if not item.value:
                raise wrong(self._text, item.at, f"expected a weight; write {item.word}=10")
            try:
                arms.append((item, _weight(item.value)))
            except ValueError as error:
                near = did_you_mean(item.word, self._known)
                raise wrong(self._text, item.value_at, f"{error}.{near}") from error
        return arms

    def policies(self, least: int, most: int | None) -> list[Call]:
        """What is no option, `least` to `most` of it (None: any number)."""
        if most is not None and len(self._left) > most:
            raise wrong(self._text, self._left[most].at, f"{self.kind} takes {most} policies")
        if len(self._left) < least:
            wanted = f"{least} policies" if most == least else f"at least {least} policies"
            raise wrong(self._text, self.at, f"{self.kind} takes {wanted}: (local, cloud)")
        return self._left


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"expected a number, found '{text}'")
    return float(text)


def _weight(text: str) -> float:
    weight = _number(text.removesuffix("%"))
    if not 0 <= weight < math.inf:
        raise ValueError(f"expected a weight of 0 or more, found '{text}'")
    return weight


def _share(text: str) -> float:
    share = _number(text.removesuffix("%"))
    if text.endswith("%"):
        share = float(Decimal(text[:-1]) / 100)  # 7% is 0.07, which 7.0 / 100 need not be
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share between 0 and 1 or 0% and 100%, found '{text}'")
    return share


def _logprob(text: str) -> float:
    value = _number(text)
    if not -math.inf < value <= 0:
        raise ValueError(f"expected a log-probability of 0 or less, found '{text}'")
    return value


def _milliseconds(text: str) -> float:
    milliseconds = round(parse_duration(text) * 1000, 3)  # to the microsecond
    if not 0 <= milliseconds < math.inf:
        raise ValueError(f"expected a time of 0 or more, found '{text}'")
    return milliseconds


def _sticky(text: str) -> str:
    if text not in ("conversation", "user", "none") and not _HEADER.fullmatch(text):
        raise ValueError(f"expected conversation, user, header:NAME or none, found '{text}'")
    return text


def _router(text: str) -> str:
    if not ROUTER_NAME.fullmatch(text):
        raise ValueError(f"expected the name of a trained router, found '{text}'")
    return text


def _yes(text: str) -> bool:
    return _one_of(text, "yes", "no") == "yes"


def _side(text: str) -> Side:
    return "local" if _one_of(text, "local", "cloud") == "local" else "cloud"


def _reasons(text: str) -> frozenset[Reason]:
    wanted = [_one_of(piece, *REASONS) for piece in text.split("+")]
    return frozenset(reason for reason in REASONS if reason in wanted)


def _checks(text: str) -> tuple[Check, ...]:
    wanted = dict.fromkeys(_one_of(piece, *CHECKS) for piece in text.split("+"))
    return tuple(check for piece in wanted for check in CHECKS if check == piece)


def _one_of(text: str, *known: str) -> str:
    if text not in known:
        raise ValueError(
            f"expected {', '.join(known[:-1])} or {known[-1]}, found '{text}'."
            f"{did_you_mean(text, known)}"
        )
    return text
