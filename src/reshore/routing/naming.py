"""Which model a `local` or `cloud` of a policy means, for the name that a client sent. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from reshore.routing.policy import Cloud, Local, Policy, Route
from reshore.routing.sides import parts
from reshore.routing.table import Table
from reshore.routing.world import World
from reshore.types import Side, Target

# What a tag says of the precision alone: `q4_K_M` of `0.6b-q4_K_M`. The rest of it is often a size
# or a version, in Ollama's catalog (`snowflake-arctic-embed:22m`): vectors of another space.
_PRECISION = re.compile(
    r"(?:^|[-_.])(?:ud-)?(?:i?q[1-8]_[0-9a-z_]+|tq[12]_0|mxfp4|bf16|fp?(?:16|32)|latest)$"
)


class Naming(Struct, frozen=True):
    """What the parts of one route's policy mean for one name."""

    name: str
    route: Route
    table: Table
    world: World

    def target(self, part: Local | Cloud) -> Target:
        """Who is meant. Of a cloud without any upstream, `backend` is "".

        A bare `local` is the route's model; then what the name is an alias of; the name itself if
        it is installed; its default on this machine; the name.
        """
        if isinstance(part, Local):
            return Target(side="local", backend="local", model=part.model or self._local())
        upstream, _, model = self.route.cloud.partition("/")
        if part.upstream and part.upstream != upstream:
            upstream, model = part.upstream, ""
        return Target(
            side="cloud",
            backend=upstream or self.world.upstream,
            model=part.model or model or self.name,
        )

    def stand_in(self, side: Side, *, guess: bool) -> Policy | None:
        """Who answers on a side that the policy does not name; None if nobody can be meant.

        Args:
            guess: also what the route does not say: an alias, a model of that name, the default of
                one of OpenAI's names; and the default upstream for one of OpenAI's names.
        """
        if side == "local":
            return Local() if self.route.local or (guess and self._has_local()) else None
        known = self.world.upstream and self.world.tiers.find(self.name)
        return Cloud() if self.route.cloud or (guess and known) else None

    def models(self, policy: Policy) -> frozenset[str]:
        """The models whose answers clients may get, without what does not change their vectors.

        Owner and quantisation are dropped: another quantisation of one model is another
        approximation of the same space.
        """
        return frozenset(_space(self.target(part).model) for part in parts(policy, mirrors=False))

    def _local(self) -> str:
        return (
            self.route.local
            or self.table.alias(self.name)
            or (None if self.world.installed(self.name) else self.world.tiers.find(self.name))
            or self.name
        )

    def _has_local(self) -> bool:
        return bool(self.table.alias(self.name)) or self.world.installed(self._local())


def _space(model: str) -> str:
    name, _, tag = model.rpartition("/")[2].casefold().partition(":")
    tag = _PRECISION.sub("", tag)
    return f"{name}:{tag}" if tag else name
