"""Gangs: where pods go that are of use only together, or why none of them goes anywhere.

`decide` tries all waiting pods of a group one after another on the planner, and takes everything back when too few find a place. A group
that must stay within one domain (a rack, a zone) is tried in each, and goes where most of its pods fit, then where the least room is left.
Called by `controller`; pure, as the planner is. Whom to evict for a gang is `gang_preemption`'s to find.
Contract: kube-scheduler 1.36 pod group cycles (GangScheduling, TopologyPlacementGenerator, PodGroupPodsCount, NodeResourcesFit for
placements), their words; coscheduling of scheduler-plugins.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from lightship.scheduler import reasons
from lightship.scheduler.claims.desk import Desk
from lightship.scheduler.fullness import RESOURCES
from lightship.scheduler.gang_preemption import GangPreemption, Unit
from lightship.scheduler.plan import Bind, Broken, Decision, Planner, Unschedulable
from lightship.scheduler.snapshot import Domain, Gang, PodInfo

ALONE = "pod group is unschedulable"
WAITS = f"{ALONE}, waiting for minCount pods from a gang to be scheduled, one or more plugins asked to wait and no plugin rejected pod"
TOO_FEW = "waiting for minCount pods from a gang to appear in scheduling queue"
SIBLINGS = "pre-filter pod {pod} cannot find enough sibling pods, current pods number: {found}, minMember of group: {least}"
_BY_GROUP = "not eligible due to workload aware preemption enabled"
_BY_DOMAIN = "not eligible due to placement-based pod group scheduling limitation"
_NOT_IN_DOMAINS = "workload aware preemption is not supported for pod groups with scheduling constraints"
_REFUSALS = frozenset({"gang"})


class Verdict(NamedTuple):
    """What is to be said on the PodGroup."""

    scheduled: bool
    reason: str
    message: str


class Outcome(NamedTuple):
    """A decision for each pod; what becomes of the group (None: not tried); who must go so that it finds room."""

    decisions: list[Decision]
    verdict: Verdict | None = None
    victims: tuple[PodInfo, ...] = ()


class Attempt(NamedTuple):
    """What came of trying all pods once."""

    decisions: list[Decision]
    bound: int
    broken: Broken | None

    def enough(self, gang: Gang, there: int) -> bool:
        """Gangs of any number need one pod that finds a place."""
        return self.broken is None and self.bound > 0 and self.bound + there >= gang.least


class Crew(NamedTuple):
    """A gang with its pods: those that wait, in turn, and those that have a node."""

    gang: Gang
    waiting: list[PodInfo]
    there: Sequence[PodInfo]


def decide(
    planner: Planner,
    pods: Iterable[PodInfo],
    gang: Gang,
    there: Sequence[PodInfo] = (),
    desk: Desk | None = None,
    units: Callable[[], Iterable[Unit]] | None = None,
) -> Outcome:
    """Where the pods of a gang go that have no node yet, beside those that are `there`; all of them nowhere when too few can go.

    `units`: asked, when there is no room, who may be evicted for it, together or one by one; without it nobody is.
    """
    crew = Crew(gang, sorted(pods, key=lambda pod: pod.order), there)
    if gang.missing or len(crew.waiting) + len(there) < gang.least:
        return Outcome([_too_few(planner, crew, pod) for pod in crew.waiting])
    if gang.topology:
        return _in_one_domain(planner, crew, desk)
    attempt = try_all(planner, crew, desk)
    if attempt.enough(gang, len(there)):
        return Outcome(_left_over(gang, attempt, _BY_GROUP), Verdict(True, "Scheduled", ""))
    take_back(planner, attempt)
    if not gang.native:
        return Outcome(_as_one(crew, attempt, planner))
    if attempt.broken is not None:
        return _broken(crew, attempt, attempt.broken)
    use: str | tuple[PodInfo, ...] = ""
    if units is not None:
        use = GangPreemption(planner, gang, crew.waiting, lambda: _fits(planner, crew, desk)).find(units())
    if isinstance(use, str):
        _let_go(planner, crew)
    said = _placements(1, use if isinstance(use, str) else "")
    decisions = _refusals(crew, attempt, said, _BY_GROUP)
    return Outcome(decisions, Verdict(False, "Unschedulable", said), () if isinstance(use, str) else use)


def try_all(planner: Planner, crew: Crew, desk: Desk | None, within: Domain | None = None, *, hurry: bool = False) -> Attempt:
    """Place as many as will go; `hurry`: stop when it is clear that too few will."""
    decisions: list[Decision] = []
    spare = len(crew.waiting) + len(crew.there) - max(crew.gang.least, 1)
    bound = 0
    for pod in crew.waiting:
        decision = planner.decide(pod, desk.open(pod) if desk is not None else None, alone=False, within=within)
        decisions.append(decision)
        bound += isinstance(decision, Bind)
        if isinstance(decision, Broken):
            return Attempt(decisions, bound, decision)
        if hurry and len(decisions) - bound > spare:
            break
    return Attempt(decisions, bound, None)


def take_back(planner: Planner, attempt: Attempt) -> None:
    """As if it had not been tried; what the desk has given away is the caller's to rewind."""
    for decision in reversed(attempt.decisions):
        if isinstance(decision, Bind):
            planner.undo(decision.pod)


def _fits(planner: Planner, crew: Crew, desk: Desk | None) -> dict[str, str] | None:
    """The node of each pod that would find one, by uid, if enough would; nothing is changed."""
    mark = desk.mark() if desk is not None else None
    attempt = try_all(planner, crew, desk, hurry=True)
    take_back(planner, attempt)
    if desk is not None and mark is not None:
        desk.rewind(mark)
    if not attempt.enough(crew.gang, len(crew.there)):
        return None
    return {decision.pod.uid: decision.node for decision in attempt.decisions if isinstance(decision, Bind)}


def _in_one_domain(planner: Planner, crew: Crew, desk: Desk | None) -> Outcome:
    """Try every domain; where it already has pods, only theirs."""
    gang = crew.gang
    domains = planner.cluster.members(gang.topology)
    taken = {planner.cluster.nodes[pod.node_name].labels.get(gang.topology) for pod in crew.there if pod.node_name in planner.cluster.nodes}
    if len(taken) > 1 or None in taken:
        why = "cannot determine domain for already scheduled pods: they are in more than one, or in none"
        broken = Broken(crew.waiting[0], why) if crew.waiting else None
        return Outcome([Broken(pod, why) for pod in crew.waiting], Verdict(False, "SchedulerError", why) if broken else None)
    tried = [value for value in domains if not taken or value in taken]
    full = planner.cluster.fullness(gang.topology)
    first: Attempt | None = None
    best: tuple[int, str] | None = None
    for value in tried:
        attempt = _once(planner, crew, desk, Domain(gang.topology, value), hurry=first is not None)
        first = first or attempt
        if attempt.enough(gang, len(crew.there)):
            score = 100 * (attempt.bound + len(crew.there)) // (len(crew.waiting) + len(crew.there)) + full.of(value, _more(attempt))
            best = min(best, (-score, value)) if best is not None else (-score, value)
    if best is not None:
        attempt = try_all(planner, crew, desk, Domain(gang.topology, best[1]))
        return Outcome(_left_over(gang, attempt, _BY_DOMAIN), Verdict(True, "Scheduled", ""))
    _let_go(planner, crew)
    said = _placements(len(tried), _NOT_IN_DOMAINS)
    if first is None:
        nobody = f"no node has the label {gang.topology} that the group is to be placed by" if not domains else "its domain has no nodes"
        decisions: list[Decision] = [planner.refused(pod, nobody) for pod in crew.waiting]
        return Outcome(decisions, Verdict(False, "Unschedulable", said))
    if first.broken is not None:
        return _broken(crew, first, first.broken)
    return Outcome(_refusals(crew, first, said, _BY_DOMAIN), Verdict(False, "Unschedulable", said))


def _let_go(planner: Planner, crew: Crew) -> None:
    """No room is kept for them any longer."""
    for pod in crew.waiting:
        planner.cluster.nominate(pod, "")


def _once(planner: Planner, crew: Crew, desk: Desk | None, domain: Domain, *, hurry: bool) -> Attempt:
    mark = desk.mark() if desk is not None else None
    attempt = try_all(planner, crew, desk, domain, hurry=hurry)
    take_back(planner, attempt)
    if desk is not None and mark is not None:
        desk.rewind(mark)
    return attempt


def _more(attempt: Attempt) -> dict[str, int]:
    """What the pods that found a place would add to their domain."""
    pods = [decision.pod for decision in attempt.decisions if isinstance(decision, Bind)]
    return {resource: sum(pod.requests.get(resource, 0) for pod in pods) for resource in RESOURCES}


def _left_over(gang: Gang, attempt: Attempt, use: str) -> list[Decision]:
    """What was decided for a gang that goes: of those beyond the least, some may have to wait."""
    if not gang.native:
        return attempt.decisions
    return [
        msgspec.structs.replace(decision, cause=f"{decision.cause} {reasons.post_filter(use)}")
        if isinstance(decision, Unschedulable)
        else decision
        for decision in attempt.decisions
    ]


def _refusals(crew: Crew, attempt: Attempt, said: str, use: str) -> list[Decision]:
    """Each pod says what it would have come to alone: those that would fit, that they wait for the others."""
    gang = crew.gang
    lacking = next((d for d in attempt.decisions if isinstance(d, Unschedulable)), None)
    filters = (lacking.filters if lacking is not None else frozenset()) | _REFUSALS
    text = f"{_rule(gang)}; {attempt.bound} would fit"
    if lacking is not None:
        text += f", {lacking.pod.key.name} would not: {lacking.cause} {lacking.missing}".rstrip()
    found: list[Decision] = []
    for decision in attempt.decisions:
        if isinstance(decision, Bind):
            found.append(Unschedulable(decision.pod, WAITS, text, hopeless=True, filters=filters))
        elif isinstance(decision, Unschedulable):
            cause = f"{decision.cause} {reasons.post_filter(use)}"
            found.append(msgspec.structs.replace(decision, cause=cause, hopeless=True, filters=decision.filters | _REFUSALS))
        else:
            found.append(decision)
    tried = len(attempt.decisions)
    return found + [Unschedulable(pod, WAITS, text, hopeless=True, filters=filters) for pod in crew.waiting[tried:]]


def _as_one(crew: Crew, attempt: Attempt, planner: Planner) -> list[Decision]:
    """Everybody says why the one could not go that was one too many."""
    if attempt.broken is not None:
        return _broken(crew, attempt, attempt.broken).decisions
    last = next(d for d in reversed(attempt.decisions) if not isinstance(d, Bind))
    name = last.pod.key.name
    text = f"{_rule(crew.gang)}; {attempt.bound} would fit, {name} would not."
    if isinstance(last, Unschedulable):
        filters = last.filters | _REFUSALS
        return [Unschedulable(pod, last.cause, f"{last.missing} {text}".strip(), hopeless=True, filters=filters) for pod in crew.waiting]
    others = [planner.refused(pod, f"pod {name} of its group cannot be planned") for pod in crew.waiting if pod is not last.pod]
    return [last, *others]


def _broken(crew: Crew, attempt: Attempt, broken: Broken) -> Outcome:
    why = f"failed to schedule other pod from a pod group: {broken.message}"
    decisions: list[Decision] = [broken, *(Broken(pod, why) for pod in crew.waiting if pod is not broken.pod)]
    return Outcome(decisions, Verdict(False, "SchedulerError", why))


def _rule(gang: Gang) -> str:
    """What holds for it, in words."""
    where = f" where {gang.topology} is the same" if gang.topology else ""
    return f"The pods of group {gang.key.name} are placed together{where} or not at all, {gang.least} at least"


def _too_few(planner: Planner, crew: Crew, pod: PodInfo) -> Unschedulable:
    """Upstream's words, and what would help. `writes` does not say it anew for each pod that comes."""
    gang, found = crew.gang, len(crew.waiting) + len(crew.there)
    if gang.missing:
        return planner.refused(pod, gang.missing)
    why = TOO_FEW if gang.native else SIBLINGS.format(pod=pod.key.name, found=found, least=gang.least)
    return msgspec.structs.replace(planner.refused(pod, why), missing=f"Group {gang.key.name} begins when it has {gang.least} pods.")


def _placements(count: int, use: str) -> str:
    return f"0/{count} placements are available, first placement status: {ALONE}" + (f", {use}" if use else "")
