"""A plan as people read it, and as programs do.

Called by `command`. Pure. Pods are told of by step (the replicated job, or the controller that makes them); nodes by their shape or
instance type, by name where there are few.
"""

from collections import Counter
from typing import Any, NamedTuple

from lightship.builtin.api import REPLICATED_JOB_LABEL
from lightship.cli.output import table
from lightship.emulation.api import SHAPE_LABEL
from lightship.meta import objects, times
from lightship.meta.objects import Obj

from .costs import Cost
from .fitting import Fit, Place
from .live import Asked
from .trial import Trial

_INSTANCE = "node.kubernetes.io/instance-type"
_NAMED = 3


class Report(NamedTuple):
    asked: Asked
    trial: Trial
    fit: Fit
    waits: list[str]
    cost: Cost
    refusals: list[str]
    """What the server would say to the pods."""


class Step(NamedTuple):
    """Pods that are alike."""

    name: str
    places: list[Place]

    @property
    def placed(self) -> int:
        return sum(bool(place.node) for place in self.places)

    @property
    def why(self) -> str:
        """What the scheduler says of the first one that does not fit."""
        return next((place.message for place in self.places if not place.node), "")


def starts(report: Report) -> bool:
    """Would everything start now?"""
    return not report.waits and all(place.node for place in report.fit.places)


def steps(report: Report) -> list[Step]:
    """In the order in which they come."""
    found: dict[tuple[str, str], list[Place]] = {}
    for place in report.fit.places:
        root, step = _root(place.pod.obj, report.trial), objects.labels(place.pod.obj).get(REPLICATED_JOB_LABEL, "")
        found.setdefault((f"{root.get('kind')} {objects.name(root)}", step), []).append(place)
    several = len({root for root, _ in found}) > 1
    return [Step(f"{root}, {step}" if step and several else step or root, places) for (root, step), places in found.items()]


def summary(report: Report) -> dict[str, Any]:
    """The plan for programs."""
    cost = report.cost
    return {
        "objects": [f"{obj.get('kind')}/{objects.name(obj)}" for obj in report.asked.wanted],
        "creates": _counts(report.trial),
        "admitted": not report.asked.refusals,
        "refusals": report.asked.refusals,
        "startsNow": not report.asked.refusals and starts(report),
        "steps": [
            {
                "name": step.name,
                "pods": len(step.places),
                "fit": step.placed,
                "requests": _requests(step.places[0].pod.obj),
                "nodes": dict(Counter(place.node for place in step.places if place.node)),
                **({"why": step.why} if step.why else {}),
            }
            for step in steps(report)
        ],
        "waitsFor": report.waits,
        "cost": {
            "perHour": _rounded(cost.per_hour),
            "nodesPerHour": _rounded(cost.nodes_per_hour),
            "hours": _rounded(cost.hours),
            "total": _rounded(cost.total),
        },
        "unseen": report.asked.live.unseen,
    }


def text(report: Report) -> str:
    """The plan for people."""
    lines = [", ".join(_title(obj) for obj in report.asked.wanted), ""]
    if report.asked.refusals:
        lines += ["Refused    " + report.asked.refusals[0], *("           " + said for said in report.asked.refusals[1:])]
        return "\n".join(lines)
    lines += ["Admitted   yes, by a dry run of the server", f"Creates    {_created(report.trial)}"]
    listed = steps(report)
    if listed:
        rows = [(step.name, len(step.places), _asked(step.places[0].pod.obj), step.placed, _where(step, report.fit)) for step in listed]
        lines += ["", table(("step", "pods", "each asks for", "fit now", "where"), rows), ""]
    else:
        lines.append("Pods       none, as far as the controllers here know")
    reasons = [*report.waits, *(f"{step.name}: {step.why}" for step in listed if step.why)]
    lines += [("Waits for  " if at == 0 else "           ") + said for at, said in enumerate(reasons)]
    if not reasons:
        lines.append("Waits for  nothing: it would start now" if listed else "Waits for  nothing")
    lines.append(f"Costs      {_costs(report.cost, report.fit)}")
    lines += [f"(not seen: {said})" for said in report.asked.live.unseen]
    return "\n".join(lines)


def _title(obj: Obj) -> str:
    name = objects.name(obj) or objects.meta(obj).get("generateName", "")
    namespace = objects.namespace(obj)
    return f"{obj.get('kind')} {namespace}/{name}" if namespace else f"{obj.get('kind')} {name}"


def _counts(trial: Trial) -> dict[str, int]:
    return dict(Counter(made.obj.get("kind", "") for made in trial.made.values()))


def _created(trial: Trial) -> str:
    counts = _counts(trial)
    return ", ".join(f"{count} {kind}{'s' if count != 1 else ''}" for kind, count in counts.items()) or "nothing that is known here"


def _asked(pod: Obj) -> str:
    requests = _requests(pod)
    return ", ".join(f"{name.rpartition('/')[2]} {amount}" for name, amount in requests.items()) or "nothing"


def _requests(pod: Obj) -> dict[str, str]:
    """What the largest container asks for; pods of training have one."""
    containers = objects.spec(pod).get("containers") or [{}]
    return next(((c.get("resources") or {}).get("requests") or {} for c in containers if c.get("resources")), {})


def _root(obj: Obj, trial: Trial) -> Obj:
    """The object of the manifest that an object comes of."""
    while owner := next((trial.made[ref["uid"]].obj for ref in objects.owners(obj) if ref.get("uid") in trial.made), None):
        obj = owner
    return obj


def _where(step: Step, fit: Fit) -> str:
    groups: dict[str, Counter[str]] = {}
    for place in step.places:
        if place.node:
            labels = fit.nodes[place.node].labels
            groups.setdefault(labels.get(SHAPE_LABEL) or labels.get(_INSTANCE) or "", Counter())[place.node] += 1
    return "; ".join(_group(name, nodes) for name, nodes in groups.items()) or "nowhere"


def _group(name: str, nodes: Counter[str]) -> str:
    if len(nodes) <= _NAMED:
        return ", ".join(f"{node} ×{count}" if count > 1 else node for node, count in nodes.items())
    return f"{len(nodes)} nodes" + (f" of {name}" if name else "")


def _costs(cost: Cost, fit: Fit) -> str:
    placed = sum(bool(place.node) for place in fit.places)
    if fit.places and not placed:
        return "not known while nothing fits: nodes have prices, pods alone have none"
    if cost.per_hour is None or cost.nodes_per_hour is None:
        return "not known: nodes have no price (annotation lightship.dev/price-per-hour)"
    what = "what it asks for" if placed == len(fit.places) else f"the {placed} of {len(fit.places)} pods that fit"
    said = f"{cost.per_hour:,.2f} an hour for {what} ({cost.nodes_per_hour:,.2f} for the nodes as wholes)"
    if cost.hours is None or cost.total is None:
        return said
    jobs = f"{cost.jobs} earlier job{'s' if cost.jobs != 1 else ''}"
    return f"{said}; {cost.total:,.2f} in all, if it takes {times.age(cost.hours * 3600)} as {jobs} did"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
