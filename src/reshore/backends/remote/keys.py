"""Several API keys for one upstream: those that it limits or refuses rest while others work. Pure.

The first key that works is used, not one after the other: an upstream caches prompts per account.
"""

from __future__ import annotations

from collections.abc import Sequence

from reshore.clock import Clock

# A key that was refused may have been put in order; asking again costs one request a minute.
REFUSED_REST_S = 60.0
# A wait that nobody asked for: long enough for the others to take over.
UNASKED_REST_S = 1.0
# An upstream that wants a longer wait is asked now and then all the same.
_LONGEST_REST_S = 600.0
# Limits are kept per model; more models than this are not told apart for long.
_MODELS = 256


class Key:
    """An API key that shows itself to nobody but `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """For the header of a request, and for nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "Key(…)"


class AllResting(Exception):
    """Every key has been told to wait; the soonest may be used again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"all keys rest for another {seconds:.1f} s")
        self.seconds = seconds


class KeyRing:
    """The keys of one upstream. Belongs to the event loop's thread.

    Rate limits are kept per key and model, as upstreams count them; refusals per key.
    """

    def __init__(self, keys: Sequence[str], clock: Clock) -> None:
        self._keys = tuple(Key(key) for key in keys)
        self._clock = clock
        self._limited: dict[tuple[Key, str], tuple[float, bool]] = {}
        self._refused: dict[Key, float] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def pick(self, model: str, first: int = 0) -> Key | None:
        """A key that may be used now; None for an upstream without keys.

        If all rest, it is the one whose rest ends soonest, unless the upstream itself has said how
        long to wait: then asking would only make it longer.

        Args:
            first: which of them is asked for first.

        Raises:
            AllResting: none may be used before the time that the upstream has named.
        """
        if not self._keys:
            return None
        if not self._limited and not self._refused:
            return self._keys[first % len(self._keys)]
        now = self._clock.monotonic()
        soonest: tuple[float, bool, Key] | None = None
        for step in range(len(self._keys)):
            key = self._keys[(first + step) % len(self._keys)]
            until, asked = self._rest(key, model)
            if until <= now:
                return key
            if soonest is None or until < soonest[0]:
                soonest = until, asked, key
        assert soonest is not None
        until, asked, key = soonest
        if asked:
            raise AllResting(until - now)
        return key

    def limited(self, key: Key | None, model: str, retry_after_s: float | None) -> None:
        """The upstream answered 429 to `key`, and perhaps said how long to wait."""
        if key is not None:
            rest_s = UNASKED_REST_S if retry_after_s is None else retry_after_s
            until = self._clock.monotonic() + min(rest_s, _LONGEST_REST_S)
            self._forget_rested()
            self._limited[key, model] = until, retry_after_s is not None

    def refused(self, key: Key | None) -> None:
        """The upstream answered 401 to `key`."""
        if key is not None:
            self._refused[key] = self._clock.monotonic() + REFUSED_REST_S

    def redact(self, data: bytes) -> bytes:
        """`data` without any of the keys, which some servers put into their errors."""
        for key in self._keys:
            data = data.replace(key.reveal().encode(), b"[key]")
        return data

    def _rest(self, key: Key, model: str) -> tuple[float, bool]:
        until, asked = self._limited.get((key, model), (0.0, False))
        refused = self._refused.get(key, 0.0)
        return (refused, False) if refused > until else (until, asked)

    def _forget_rested(self) -> None:
        if len(self._limited) >= _MODELS:
            now = self._clock.monotonic()
            self._limited = {entry: rest for entry, rest in self._limited.items() if rest[0] > now}
