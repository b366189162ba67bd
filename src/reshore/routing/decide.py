"""Who answers a request, and why: pure, so that it can be explained, tested and repeated.

In the order of their power: a privacy rule keeps a request on this machine; the panic switch sends
everything to one side; a client pins its side where the route allows it; the route's policy.
"""

from __future__ import annotations

from reshore.errors import Forbidden, NoTarget, RequestError, UnknownModel
from reshore.routing.asking import Asking
from reshore.routing.naming import Naming
from reshore.routing.plan import (
    Ask,
    CascadePlan,
    FallbackPlan,
    HedgePlan,
    Plan,
    Ruling,
    ShadowPlan,
    targets,
)
from reshore.routing.policy import (
    Cascade,
    Cloud,
    Fallback,
    Hedge,
    Hybrid,
    Local,
    Policy,
    Route,
    Shadow,
    Split,
)
from reshore.routing.sides import on_side, parts, side_of
from reshore.routing.sticky import place, point
from reshore.routing.table import View
from reshore.routing.world import World
from reshore.types import Decision, Side, Target


def decide(asking: Asking, view: View, world: World) -> Ruling:
    """Resolve what the route of `asking` says into a plan.

    Raises:
        UnknownModel: the name has no route, and nothing answers to it.
        Forbidden: a privacy rule keeps the request here, where nothing can answer it.
        NoTarget: the side that was asked for has no target, or an upstream is not configured.
        RequestError: the route does not allow the pin, or would mix embeddings of several models.
    """
    return _Case(asking, view, world).ruling()


class _Case:
    """One request on its way to a ruling; collects the reasons. Belongs to one call of `decide`."""

    def __init__(self, asking: Asking, view: View, world: World) -> None:
        self._asking = asking
        self._view = view
        self._world = world
        self._why: list[str] = []
        self._score: float | None = None
        self._private = False
        self._splits = 0
        route = view.table.match(asking.name)
        self._route = self._unrouted() if route is None else route
        self._naming = Naming(asking.name, self._route, view.table, world)

    def ruling(self) -> Ruling:
        policy = self._allowed()
        if self._asking.kind == "embedding":
            self._check_space(policy)
        plan = self._plan(policy)
        decision = Decision(
            side=next(targets(plan)).side,
            route=self._route.pattern,
            policy=self._route.text,
            why="; ".join(self._why) or f"route {self._route.pattern}",
            version=self._view.number,
            score=self._score,
            private=self._private,
        )
        return Ruling(decision=decision, plan=plan)

    # Which route

    def _unrouted(self) -> Route:
        """What stands in for a route: names do what people expect who never wrote one."""
        return Route(pattern="", policy=self._meant())

    def _meant(self) -> Policy:
        name, world = self._asking.name, self._world
        if self._asking.kind != "forward":
            alias = self._view.table.alias(name)
            if alias is not None:
                self._why.append(f"alias of {alias}")
                return Local(alias)
            if world.installed(name):
                self._why.append("installed here")
                return Local(name)
        if world.upstream:
            self._why.append("no route, not installed here")
            return Cloud(world.upstream)
        default = world.tiers.find(name) or ""
        if not (default and world.installed(default)):
            raise UnknownModel(name, nearest=world.nearest(name), stand_in=default)
        self._why.append(f"default for {name} on this machine")
        return Local(default)

    # Which side may answer

    def _allowed(self) -> Policy:
        policy = self._route.policy
        if reason := self._secret(policy):
            self._private = True
            self._why.append(reason)
            return self._kept(policy, reason)
        if self._view.override:
            self._why.append(f"panic switch: all {self._view.override}")
            return self._turned(policy, self._view.override, guess=True)
        if self._asking.pin:
            return self._pinned(policy, self._asking.pin)
        if self._asking.kind == "forward":
            return self._turned(policy, "cloud", guess=False)
        return policy

    def _secret(self, policy: Policy) -> str | None:
        """The privacy rule that keeps the request here; None where none does or nothing leaves."""
        wishes = (self._view.override, self._asking.pin)
        leaves = (
            self._asking.kind == "forward"
            or "cloud" in wishes
            or any(isinstance(part, Cloud) for part in parts(policy))
        )
        return next(self._world.privacy.reasons(self._asking), None) if leaves else None

    def _kept(self, policy: Policy, reason: str) -> Policy:
        here = None
        if self._asking.kind != "forward":
            here = on_side(policy, "local") or self._naming.stand_in("local", guess=True)
        if here is None:
            raise Forbidden(
                f"This request may not leave this machine ({reason}), and nothing here can answer "
                f"{self._named()}. {self._advice('local')}",
                code="local_only",
            )
        return here

    def _pinned(self, policy: Policy, side: Side) -> Policy:
        if not self._route.pins:
            raise RequestError(
                f"{self._named()} cannot be pinned to a side: its route ({self._route.pattern}) "
                "does not allow it. Send the request without the header x-reshore-route.",
                param="x-reshore-route",
                code="pin_not_allowed",
            )
        self._why.append(f"pinned to {side} by x-reshore-route")
        return self._turned(policy, side, guess=not self._route.pattern)

    def _turned(self, policy: Policy, side: Side, *, guess: bool) -> Policy:
        """What is left of the policy on one side, or what stands in for it there."""
        if side == "local" and self._asking.kind == "forward":
            raise NoTarget(
                "This endpoint is answered by upstreams alone, and the request is to stay local "
                f"({'; '.join(self._why)}).",
                param="model",
            )
        rest = on_side(policy, side) or self._naming.stand_in(side, guess=guess)
        if rest is None:
            raise self._no_target(side)
        return rest

    def _no_target(self, side: Side) -> NoTarget:
        route = self._route
        has = f"the route {route.pattern}: {route.text}" if route.pattern else route.text
        because = f" ({'; '.join(self._why)})" if self._why else ""
        return NoTarget(
            f"{self._named()} has no {side} target{because}; it has {has}. {self._advice(side)}",
            param="model",
        )

    def _named(self) -> str:
        return f"'{self._asking.name}'" if self._asking.name else "a request without a model"

    def _advice(self, side: Side) -> str:
        name, target = self._route.pattern or self._asking.name, "MODEL"
        if side == "cloud":
            if not self._world.upstream:
                return "Configure an upstream: [upstreams.NAME] in reshore.toml."
            target = "UPSTREAM/MODEL"
        return f"Give it one: `reshore route set {name} … --{side} {target}`."

    def _check_space(self, policy: Policy) -> None:
        """Vectors of one name must be comparable, with those of the past too.

        Raises:
            RequestError: several models would answer to this name.
        """
        route = self._route
        if route.mix_embeddings or (policy is route.policy and isinstance(policy, Local | Cloud)):
            return
        models = self._naming.models(route.policy) | self._naming.models(policy)
        if len(models) > 1:
            because = f" ({'; '.join(self._why)})" if self._why else ""
            raise RequestError(
                f"{self._named()} would get embeddings of several models{because}: "
                f"{', '.join(sorted(models))}. Their vectors cannot be compared. Route the name to "
                "one of them, or set mix_embeddings = true on its route.",
                param="model",
                code="embedding_mix",
            )

    # What is done

    def _plan(self, policy: Policy) -> Plan:
        match policy:
            case Local() | Cloud():
                return Ask(target=self._target(policy))
            case Split():
                return self._split(policy)
            case Fallback():
                return self._fallback(policy)
            case Hedge(first=first, second=second, after_ms=after_ms):
                return HedgePlan(
                    first=self._plan(first), second=self._plan(second), after_ms=after_ms
                )
            case Hybrid():
                return self._hybrid(policy)
            case Cascade():
                return self._cascade(policy)
            case Shadow():
                return self._shadow(policy)

    def _target(self, part: Local | Cloud) -> Target:
        target = self._naming.target(part)
        if target.side == "cloud" and target.backend not in self._world.upstreams:
            what = f"the upstream '{target.backend}' is not configured"
            raise NoTarget(
                f"{self._named()} goes to the cloud, but "
                f"{what if target.backend else 'no upstream is configured'}. Add "
                f"[upstreams.{target.backend or 'NAME'}] to reshore.toml, or change its route.",
                param="model",
            )
        return target

    def _split(self, policy: Split) -> Plan:
        # Local sides first: their interval begins at 0 whatever the order they are written in.
        arms = sorted(policy.arms, key=lambda arm: side_of(next(parts(arm.policy))) == "cloud")
        kind, at = self._point(policy.sticky)
        chosen = place([arm.weight for arm in arms], at)
        self._why.append(
            f"{kind} {int(at * 100)} of 100 is in {arms[chosen.index].policy}'s "
            f"{chosen.low:g}-{chosen.high:g}"
        )
        return self._plan(arms[chosen.index].policy)

    def _point(self, sticky: str) -> tuple[str, float]:
        """What a split goes by for this request, and where it falls."""
        if sticky == "none":
            return "draw", self._world.draw()
        # A split inside a split divides anew what the outer one gave it.
        salt = f"{self._route.pattern}\0{self._splits}" if self._splits else self._route.pattern
        self._splits += 1
        missing = ""
        if sticky != "conversation":
            kind, _, header = sticky.partition(":")
            key = self._asking.header(header) if header else self._asking.user
            if key:
                return f"{kind} hash", point(salt, key.encode("utf-8", "surrogatepass"))
            missing = f"no {sticky.replace(':', ' ')}, "
        return f"{missing}conversation hash", point(salt, self._asking.opening())

    def _fallback(self, policy: Fallback) -> Plan:
        """Who cannot be asked at all is passed over, as if it had failed."""
        plans: list[Plan] = []
        failed: NoTarget | None = None
        for inner in policy.policies:
            try:
                plans.append(self._plan(inner))
            except NoTarget as error:
                failed = error
                self._why.append(f"{inner} is not configured")
        if failed is not None and not plans:
            raise failed
        if len(plans) == 1:
            return plans[0]
        return FallbackPlan(plans=tuple(plans), on=policy.on, resume=policy.resume)

    def _hybrid(self, policy: Hybrid) -> Plan:
        local = next(parts(policy.local))
        if isinstance(local, Local):
            model = self._naming.target(local).model
            lacking = self._world.lacks(model, self._asking.needs())
            if lacking:
                self._why.append(f"{model} lacks {', '.join(sorted(lacking))}")
                return self._plan(policy.cloud)
        explanation = self._world.scorer.explain(self._asking.content)
        self._score = explanation.score
        hard = explanation.score >= policy.threshold
        sign = ">=" if hard else "<"
        self._why.append(
            f"score {explanation.score:.2f} {sign} {policy.threshold:g}: {explanation.why()}"
        )
        return self._plan(policy.cloud if hard else policy.local)

    def _cascade(self, policy: Cascade) -> Plan:
        local, cloud = self._target(policy.local), self._plan(policy.cloud)
        if self._asking.kind == "embedding":
            self._why.append("embeddings cannot be checked")
            return FallbackPlan(plans=(Ask(target=local), cloud))
        other = self._target(Local(policy.agree_with)) if policy.agree_with else None
        self._why.append("local first, then checks")
        return CascadePlan(
            local=local,
            cloud=cloud,
            checks=policy.checks,
            agree_with=other,
            min_logprob=policy.min_logprob,
            budget_ms=policy.budget_ms,
            late=policy.late,
        )

    def _shadow(self, policy: Shadow) -> Plan:
        primary = self._plan(policy.primary)
        if self._world.draw() >= policy.share or self._asking.kind == "forward":
            return primary
        try:
            mirror = self._target(policy.mirror)
        except NoTarget:
            self._why.append(f"not shadowed: {policy.mirror} is not configured")
            return primary
        self._why.append(f"shadowed by {policy.mirror}")
        return ShadowPlan(primary=primary, mirror=mirror)
