"""Trained routers in files: `RESHORE_HOME/routes/models/NAME.json`.

A file is written once and never changed: a route that names it can be rolled back to, and decides
as it did. What is trained anew gets a new name, most simply the next number: `support-2.json`
beside `support-1.json`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import msgspec

from reshore.errors import LearnError
from reshore.models.disk import write_atomic
from reshore.routing.learned import LearnedModel, LearnedRouter
from reshore.routing.parsing import ROUTER_NAME

# A router of 5,000 pairs takes some 20 MB; few are in use, or gone back to, at a time.
_REMEMBERED = 8
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class TrainedRouters:
    """The routers of one folder. May be asked from any thread; a first time takes 100 ms.

    Args:
        folder: is made with the first router.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.load = lru_cache(maxsize=_REMEMBERED)(self._load)

    def names(self) -> list[str]:
        """What there is, in the order of the names."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def versions(self, name: str) -> list[str]:
        """Those of a name with a number, oldest first."""
        numbers = (each.removeprefix(f"{name}-") for each in self.names())
        found = sorted(int(number) for number in numbers if _NUMBER.fullmatch(number))
        return [f"{name}-{number}" for number in found]

    def find(self, name: str) -> str:
        """A router by its own name, or the newest one with a number: `support` for `support-2`."""
        if name in self.names():
            return name
        return next(reversed(self.versions(name)), name)

    def next_name(self, name: str) -> str:
        """What the next router of a name is called.

        Raises:
            LearnError: it is no name.
        """
        newest = next(reversed(self.versions(name)), f"{name}-0")
        following = f"{name}-{int(newest.rpartition('-')[2]) + 1}"
        self._path(following)
        return following

    def save_next(self, name: str, model: LearnedModel) -> str:
        """Keep a router beside the earlier ones of its name; gives the name that it got.

        Raises:
            LearnError: as `save`.
        """
        following = self.next_name(name)
        self.save(following, model)
        return following

    def save(self, name: str, model: LearnedModel) -> Path:
        """Keep a router under a new name.

        Raises:
            LearnError: the name is no name or taken already, or the folder cannot be written.
        """
        path = self._path(name)
        if path.exists():
            raise LearnError(f"there is a router '{name}' already ({path}); choose another name")
        try:
            # It has words out of prompts.
            write_atomic(path, msgspec.json.encode(model), mode=0o600)
        except OSError as error:
            raise LearnError(
                f"the router '{name}' cannot be written: {path}: {error.strerror or error}"
            ) from error
        return path

    def _load(self, name: str) -> LearnedRouter:
        """The router of a name, read once.

        Raises:
            LearnError: there is none, or its file is damaged.
        """
        path = self._path(name)
        try:
            model = msgspec.json.decode(path.read_bytes(), type=LearnedModel)
        except FileNotFoundError as error:
            known = ", ".join(self.names()) or "none"
            raise LearnError(
                f"there is no trained router '{name}' in {self._folder}; there: {known}."
            ) from error
        except OSError as error:
            raise LearnError(f"{path} cannot be read: {error.strerror or error}.") from error
        except (msgspec.MsgspecError, RecursionError) as error:
            raise LearnError(f"{path} is damaged ({error}); train the router again.") from error
        return LearnedRouter(model)

    def _path(self, name: str) -> Path:
        if not ROUTER_NAME.fullmatch(name):
            raise LearnError(
                f"'{name}' is no name for a router: letters, digits, dots, dashes and underscores."
            )
        return self._folder / f"{name}.json"
