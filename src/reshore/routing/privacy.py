"""Requests that may not leave this machine: by name, by key, or by what they say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from reshore.config.routes import PrivacyConfig
from reshore.errors import ConfigError
from reshore.routing.asking import Asking

_KEY_ID = re.compile(r"[0-9a-f]{8}")


class Privacy:
    """The rules of `[privacy]`; each of them alone keeps a request local, whatever its route says.

    Args:
        names: globs of the names that clients send, without regard to case.
        keys: ids of API keys (the first 8 hex digits of their SHA-256).
        patterns: regular expressions that are searched in every text of the request; one that is
            given as token ids stays here as well, for nothing can be searched in them. Images and
            files are not looked into.

    Raises:
        ConfigError: a pattern is no regular expression, or a key is no id.
    """

    def __init__(
        self, names: Sequence[str] = (), keys: Sequence[str] = (), patterns: Sequence[str] = ()
    ) -> None:
        self._names = [name.casefold() for name in names]
        self._keys = frozenset(_key_id(i, key) for i, key in enumerate(keys))
        self._patterns = [_compiled(i, pattern) for i, pattern in enumerate(patterns)]

    @classmethod
    def from_config(cls, config: PrivacyConfig) -> Privacy:
        """The rules of the settings; raises ConfigError as the constructor does."""
        return cls(config.names, config.keys, config.patterns)

    def __bool__(self) -> bool:
        """Whether there are any rules."""
        return bool(self._names or self._keys or self._patterns)

    @property
    def reads_names(self) -> bool:
        """Whether the name that is asked for must be known before a request may leave."""
        return bool(self._names)

    @property
    def reads_texts(self) -> bool:
        """Whether a request must be looked into before it may leave."""
        return bool(self._patterns)

    def reasons(self, asking: Asking) -> Iterator[str]:
        """Why the request stays here, cheapest rules first; nothing if it may leave.

        A reason names the rule and never repeats the request's text.
        """
        name = asking.name.casefold()
        for glob in self._names:
            if fnmatchcase(name, glob):
                yield f"privacy: its name matches {glob}"
        if asking.key in self._keys:
            yield f"privacy: key {asking.key}"
        if self._patterns and asking.has_token_ids():
            yield "privacy: token ids cannot be searched for patterns"
        elif self._patterns:
            found = list(asking.texts())
            for i, pattern in enumerate(self._patterns):
                if any(pattern.search(text) for text in found):
                    yield f"privacy: pattern {i + 1} is in its text"


def _key_id(index: int, key: str) -> str:
    if not _KEY_ID.fullmatch(key):
        # The value stays unsaid: somebody may have put the key itself there.
        raise ConfigError(
            f"privacy.keys[{index}] is no id of a key; write the first 8 hex digits of the key's "
            "SHA-256, as `reshore requests` shows them"
        )
    return key


def _compiled(index: int, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"privacy.patterns[{index}]: {pattern!r} is no regular expression: {error}"
        ) from error
