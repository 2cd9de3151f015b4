"""Why not there: what stands against one pod on each node, as data.

Called by the command line and by tests; simulations may call it with a cluster of their own. Pure.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.scheduler import reading, reasons
from lightship.scheduler.claims.desk import AllocationError, Case, Desk
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.filters import Verdict
from lightship.scheduler.plan import Planner
from lightship.scheduler.plugins import Plugin
from lightship.scheduler.snapshot import PodInfo


class Answer(NamedTuple):
    """What one node says to one pod. No `reasons`: it could run there now."""

    node: str
    reasons: tuple[str, ...]
    """kube-scheduler's words."""
    missing: str = ""
    """What would have to change, in ours; empty when the reasons alone say it."""
    victims: tuple[PodInfo, ...] = ()
    """Pods of lower priority that would have to go so that it could run there, the most important first."""


def explain(pod: PodInfo, cluster: Cluster, plugins: Sequence[Plugin] = (), *, node: str = "", desk: Desk | None = None) -> list[Answer]:
    """The answer of every node, or of one, by name. The pod is judged as if it had no node; `cluster` is as before afterwards. `desk` knows
    of its claims.

    Raises `KeyError` for a node that is not there.
    """
    names = [cluster.nodes[node].name] if node else cluster.names()
    case = desk.open(pod) if desk is not None else None
    with cluster.supposing(gone=[there] if (there := cluster.pods.get(pod.uid)) else []):
        planner = Planner(cluster, plugins)
        if refusal := planner.refusal(pod) or (case.refusal if case is not None else ""):
            return [Answer(name, (refusal,)) for name in names]
        try:
            verdicts, victims = planner.outlook(pod, case)
        except AllocationError as error:
            return [Answer(name, (str(error),)) for name in names]
        return [_answer(pod, cluster, name, verdicts.get(name), victims.get(name, ()), case) for name in names]


def _answer(pod: PodInfo, cluster: Cluster, name: str, verdict: Verdict | None, victims: tuple[PodInfo, ...], case: Case | None) -> Answer:
    if verdict is None:
        return Answer(name, ())
    missing = (
        case.missing([cluster.nodes[name]])
        if case is not None and verdict.cause == "claims"
        else reasons.missing(pod, cluster, {name: verdict})
    )
    return Answer(name, verdict.reasons, missing, victims)


def assemble(nodes: Iterable[Obj], pods: Iterable[Obj], namespaces: Iterable[Obj] = ()) -> Cluster:
    """A cluster of API objects, for a single question."""
    cluster = Cluster(reading.node_state(node) for node in nodes)
    for namespace in namespaces:
        cluster.set_namespace(objects.name(namespace), objects.labels(namespace))
    for pod in pods:
        if reading.is_placed(pod):
            cluster.add_pod(reading.pod_info(pod))
        elif objects.status(pod).get("nominatedNodeName"):
            info = reading.pod_info(pod)
            cluster.nominate(info, info.nominated)
    return cluster
