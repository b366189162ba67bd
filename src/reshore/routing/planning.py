"""From a policy to a plan: every choice made that can be made before anybody is asked. Pure."""

from __future__ import annotations

from reshore.errors import NoTarget
from reshore.routing.case import Case
from reshore.routing.complexity import Explanation
from reshore.routing.plan import (
    Ask,
    CascadePlan,
    FallbackPlan,
    HedgePlan,
    Plan,
    Referee,
    ShadowPlan,
)
from reshore.routing.policy import (
    RULES_THRESHOLD,
    Cascade,
    Cloud,
    Fallback,
    Hedge,
    Hybrid,
    Local,
    Policy,
    Shadow,
    Split,
)
from reshore.routing.sides import parts, side_of
from reshore.routing.sticky import place, point
from reshore.types import Target


class Planner:
    """Plans one case, and writes its reasons down there."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._splits = 0

    def plan(self, policy: Policy) -> Plan:
        """What is to be done.

        Raises:
            NoTarget: an upstream is not configured.
        """
        match policy:
            case Local() | Cloud():
                return Ask(target=self._target(policy))
            case Split():
                return self._split(policy)
            case Fallback():
                return self._fallback(policy)
            case Hedge(first=first, second=second, after_ms=after_ms):
                one, other = self.plan(first), self.plan(second)
                return HedgePlan(first=one, second=other, after_ms=after_ms)
            case Hybrid():
                return self._hybrid(policy)
            case Cascade():
                return self._cascade(policy)
            case Shadow():
                return self._shadow(policy)

    def _target(self, part: Local | Cloud) -> Target:
        case = self._case
        target = case.naming.target(part)
        if target.side == "cloud" and target.backend not in case.world.upstreams:
            what = f"the upstream '{target.backend}' is not configured"
            raise NoTarget(
                f"{case.name} goes to the cloud, but "
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
        inner = arms[chosen.index].policy
        interval = f"{chosen.low:g}-{chosen.high:g}"
        self._case.why.append(f"{kind} {int(at * 100)} of 100 is in {inner}'s {interval}")
        return self.plan(inner)

    def _point(self, sticky: str) -> tuple[str, float]:
        """What a split goes by for this request, and where it falls."""
        case = self._case
        if sticky == "none":
            return "draw", case.world.draw()
        # A split inside a split divides anew what the outer one gave it.
        pattern = case.route.pattern
        salt = f"{pattern}\0{self._splits}" if self._splits else pattern
        self._splits += 1
        missing = ""
        if sticky != "conversation":
            kind, _, header = sticky.partition(":")
            key = case.asking.header(header) if header else case.asking.user
            if key:
                return f"{kind} hash", point(salt, key.encode("utf-8", "surrogatepass"))
            missing = f"no {sticky.replace(':', ' ')}, "
        return f"{missing}conversation hash", point(salt, case.asking.opening())

    def _fallback(self, policy: Fallback) -> Plan:
        """Who cannot be asked at all is passed over, as if it had failed."""
        plans: list[Plan] = []
        failed: NoTarget | None = None
        for inner in policy.policies:
            try:
                plans.append(self.plan(inner))
            except NoTarget as error:
                failed = error
                self._case.why.append(f"{inner} is not configured")
        if failed is not None and not plans:
            raise failed
        if len(plans) == 1:
            return plans[0]
        return FallbackPlan(plans=tuple(plans), on=policy.on, resume=policy.resume)

    def _hybrid(self, policy: Hybrid) -> Plan:
        case = self._case
        local = next(parts(policy.local))
        if isinstance(local, Local):
            model = case.naming.target(local).model
            lacking = case.world.lacks(model, case.asking.needs())
            if lacking:
                case.why.append(f"{model} lacks {', '.join(sorted(lacking))}")
                return self.plan(policy.cloud)
        found, threshold = self._scored(policy)
        case.score = found.score
        hard = found.score >= threshold
        sign = ">=" if hard else "<"
        by = f" by {policy.by}" if policy.by else ""
        case.why.append(f"score {found.score:.2f}{by} {sign} {threshold:g}: {found.why()}")
        return self.plan(policy.cloud if hard else policy.local)

    def _scored(self, policy: Hybrid) -> tuple[Explanation, float]:
        """The score of the request, and the threshold that it is held against."""
        case = self._case
        content = case.asking.content
        router = case.view.routers.get(policy.by)
        if router is None:
            if not policy.by:
                threshold = RULES_THRESHOLD if policy.threshold is None else policy.threshold
                return case.world.scorer.explain(content), threshold
            case.why.append(f"no router {policy.by}, so by rules")
            return case.world.scorer.explain(content), RULES_THRESHOLD
        found = router.explain(content)
        if found.outside:
            # The scores of a trained router are shares of its traffic, those of rules are not.
            return found, RULES_THRESHOLD
        return found, router.threshold if policy.threshold is None else policy.threshold

    def _cascade(self, policy: Cascade) -> Plan:
        local, cloud = self._target(policy.local), self.plan(policy.cloud)
        if self._case.asking.kind == "embedding":
            self._case.why.append("embeddings cannot be checked")
            return FallbackPlan(plans=(Ask(target=local), cloud))
        other = self._target(Local(policy.agree_with)) if policy.agree_with else None
        self._case.why.append("local first, then checks")
        return CascadePlan(
            local=local,
            cloud=cloud,
            checks=policy.checks,
            agree_with=other,
            min_logprob=policy.min_logprob,
            budget_ms=policy.budget_ms,
            late=policy.late,
            referee=self._referee(policy),
        )

    def _referee(self, policy: Cascade) -> Referee | None:
        case = self._case
        router = case.view.routers.get(policy.by)
        if router is None:
            if policy.by:
                case.why.append(f"no router {policy.by}")
            return None
        threshold = router.threshold if policy.threshold is None else policy.threshold
        return Referee(router=router, asked=case.asking.content, threshold=threshold)

    def _shadow(self, policy: Shadow) -> Plan:
        case = self._case
        primary = self.plan(policy.primary)
        if case.world.draw() >= policy.share or case.asking.kind == "forward":
            return primary
        try:
            mirror = self._target(policy.mirror)
        except NoTarget:
            # A shadow costs nobody an answer.
            case.why.append(f"not shadowed: {policy.mirror} is not configured")
            return primary
        case.why.append(f"shadowed by {policy.mirror}")
        return ShadowPlan(primary=primary, mirror=mirror, share=policy.share)
