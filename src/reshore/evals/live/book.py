"""All evidence in memory, and when it is written to the disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from reshore.clock import Clock
from reshore.evals.live.evidence import Evidence
from reshore.evals.live.keeping import Keeping, encode
from reshore.types import Target

log = logging.getLogger("reshore.evaluation")

# A kill loses the evidence of so long at most.
SAVE_S = 5.0
# Of one route: where a glob or a split leads to ever other models, those least seen are forgotten.
_MOST_OF_A_ROUTE = 8
_MOST = 256

Key = tuple[str, Target, Target]


class Book:
    """Evidence by route and models. Its state belongs to the event loop's thread.

    Args:
        keeping: where it is kept; it alone writes there.
    """

    def __init__(self, keeping: Keeping, clock: Clock) -> None:
        self._keeping = keeping
        self._clock = clock
        self._known: dict[Key, Evidence] = {}  # that which changed last at the end
        self._latest: dict[str, Evidence] = {}
        self._changed: set[Key] = set()
        self._forgotten: set[str] = set()
        self._saving: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None

    async def load(self) -> None:
        """Read what an earlier process knew."""
        found = await asyncio.to_thread(self._keeping.load)
        for evidence in sorted(found, key=lambda each: each.changed_s):
            self._known[_key(evidence)] = evidence
            self._latest[evidence.route] = evidence

    async def aclose(self) -> None:
        """Write what has changed. Raises nothing: what cannot be written is logged."""
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)
        if self._writing is not None:  # a thread that has begun is not to be overtaken
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._save()

    def all(self) -> list[Evidence]:
        """By route, and of one route that which changed last first."""
        newest = sorted(self._known.values(), key=lambda each: -each.changed_s)
        return sorted(newest, key=lambda each: each.route)

    def current(self) -> list[Evidence]:
        """The latest of each route."""
        return list(self._latest.values())

    def latest(self, route: str) -> Evidence | None:
        """Of the two models of a route that were compared last; None before there were any."""
        return self._latest.get(route)

    def open(self, route: str, local: Target, cloud: Target) -> Evidence:
        """The evidence of two models, which is now the latest of its route. May be a new one."""
        key = (route, local, cloud)
        now_s = self._clock.wall()
        evidence = self._known.pop(key, None)
        if evidence is None:
            evidence = Evidence(
                route=route, local=local, cloud=cloud, since_s=now_s, changed_s=now_s
            )
            self._make_room(route)
        self._known[key] = self._latest[route] = evidence
        return evidence

    def touch(self, evidence: Evidence) -> None:
        """It has changed: it will be written within `SAVE_S`."""
        evidence.changed_s = self._clock.wall()
        self._changed.add(_key(evidence))
        self._save_soon()

    def forget(self, route: str) -> int:
        """Begin anew with a route; of how many pairs of models something was known."""
        keys = [key for key in self._known if key[0] == route]
        self._drop(keys)
        self._save_soon()
        return len(keys)

    def _make_room(self, route: str) -> None:
        of_route = [key for key in self._known if key[0] == route]
        self._drop(of_route[: max(0, len(of_route) + 1 - _MOST_OF_A_ROUTE)])
        self._drop(list(self._known)[: max(0, len(self._known) + 1 - _MOST)])

    def _drop(self, keys: Iterable[Key]) -> None:
        for key in keys:
            evidence = self._known.pop(key)
            if self._latest.get(key[0]) is evidence:
                del self._latest[key[0]]
            self._changed.discard(key)
            self._forgotten.add(self._keeping.name(*key))

    def _save_soon(self) -> None:
        if self._saving is None:
            self._saving = asyncio.create_task(self._keep_saving())

    async def _keep_saving(self) -> None:
        while self._changed or self._forgotten:
            await self._clock.sleep(SAVE_S)
            await self._save()
        self._saving = None

    async def _save(self) -> None:
        """Write what has changed; what cannot be written is tried again."""
        if not (self._changed or self._forgotten):
            return
        changed, forgotten = self._changed, self._forgotten
        self._changed, self._forgotten = set(), set()
        files = {self._keeping.name(*key): encode(self._known[key]) for key in changed}
        self._writing = asyncio.ensure_future(
            asyncio.to_thread(self._write, files, forgotten - set(files))
        )
        try:
            await asyncio.shield(self._writing)
        except asyncio.CancelledError:
            # At the end: nobody hears what comes of it, so it is written once more.
            self._put_back(changed, forgotten)
            raise
        except OSError as error:
            self._put_back(changed, forgotten)
            log.error("what evaluation knows could not be written, and will be again: %s", error)
        else:
            log.debug("what evaluation knows is on the disk", extra={"files": sorted(files)})

    def _put_back(self, changed: set[Key], forgotten: set[str]) -> None:
        self._changed |= {key for key in changed if key in self._known}
        self._forgotten |= forgotten

    def _write(self, files: dict[str, bytes], forgotten: set[str]) -> None:
        if files:
            self._keeping.save(files)
        for name in forgotten:
            self._keeping.remove(name)


def _key(evidence: Evidence) -> Key:
    return evidence.route, evidence.local, evidence.cloud
