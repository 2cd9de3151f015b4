"""What a plan would cost: the prices of the nodes where its pods go, by the share that they ask for, and for how long if history knows.

Called by `command`. Pure. A node's price is its label or annotation `lightship.dev/price-per-hour` (docs/emulation.md); its share is the
largest part of any of its resources that a pod asks for, so eight pods with a GPU each cost what their node with eight costs.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from lightship.scheduler.snapshot import NodeState, PodInfo
from lightship.train.api import COMPLETE

from .fitting import Fit


class Cost(NamedTuple):
    """In the currency of the nodes' prices; None where no price or no duration is known."""

    per_hour: float | None
    """Of what is asked for."""
    nodes_per_hour: float | None
    """Of the nodes as wholes, were they for this alone."""
    hours: float | None
    """How long earlier jobs of the kind took, in the mean."""
    jobs: int
    """Of how many."""

    @property
    def total(self) -> float | None:
        return None if self.per_hour is None or self.hours is None else self.per_hour * self.hours


def cost(fit: Fit, roots: Iterable[Obj], earlier: Sequence[Obj]) -> Cost:
    """What the places of a plan cost that are taken at the same time. `earlier`: TrainJobs of which some have ended."""
    took = [hours for root in roots for hours in _took(root, earlier)]
    mean = sum(took) / len(took) if took else None
    prices = {place.node: fit.nodes[place.node].price for place in fit.peak}
    known = {name: price for name, price in prices.items() if price is not None}
    if not known or len(known) < len(prices):
        return Cost(None, None, mean, len(took))
    shares: dict[str, float] = {}
    for place in fit.peak:
        shares[place.node] = shares.get(place.node, 0.0) + share(place.info, fit.nodes[place.node])
    asked = sum(price * min(shares[name], 1.0) for name, price in known.items())
    return Cost(asked, sum(known.values()), mean, len(took))


def share(pod: PodInfo, node: NodeState) -> float:
    """The largest part of any of the node's resources that the pod asks for, from 0 to 1."""
    asked = {name: amount for name, amount in pod.requests.items() if name != "pods" and amount}
    return max((amount / node.allocatable[name] for name, amount in asked.items() if node.allocatable.get(name)), default=0.0)


def _took(root: Obj, earlier: Iterable[Obj]) -> Iterable[float]:
    """Hours of each earlier TrainJob that did the same, as far as one can see, and was complete."""
    if root.get("kind") != "TrainJob":
        return
    for job in earlier:
        done = conditions.get(job, COMPLETE)
        if done and done.get("status") == "True" and _work(job) == _work(root):
            yield (times.parse(done["lastTransitionTime"]) - times.parse(objects.meta(job)["creationTimestamp"])) / 3600


def _work(job: Obj) -> tuple[object, ...]:
    """What decides how long a job takes."""
    spec = objects.spec(job)
    trainer = spec.get("trainer") or {}
    same = ("image", "command", "args", "numNodes", "numProcPerNode", "resourcesPerNode")
    return ((spec.get("runtimeRef") or {}).get("name"), *(trainer.get(name) for name in same))
