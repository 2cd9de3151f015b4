"""Where pods go, where they do not, and who has to leave for whom."""

from typing import Any

from lightship.kinds import DEPLOYMENTS, PODS, PRIORITY_CLASSES
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from tests.pairings.user import User, names, template, workload

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


async def pods_fill_nodes_and_wait(user: User) -> None:
    await user.node(cpu="2")
    for number in range(3):
        await _pod(user, f"p{number}", cpu="1")
    await user.until_all(PODS, lambda pods: len([pod for pod in pods if _node(pod)]) == 2, what="with a node")
    (left,) = [pod for pod in await user.until_pods(3) if not _node(pod)]
    await user.until_condition(PODS, objects.name(left), "PodScheduled", "False", "Unschedulable")
    await user.until_told(objects.name(left), "FailedScheduling", "Insufficient cpu")
    await user.node(cpu="1")
    await user.until_pods(3, "Running")


async def preemption(user: User) -> None:
    node = await user.node(cpu="2")
    high = f"{user.namespace}-high"
    await user.client.create(PRIORITY_CLASSES, {"metadata": {"name": high}, "value": 1000})
    for number in range(2):
        await _pod(user, f"low-{number}", cpu="1")
    await user.until_pods(2, "Running")
    await _admitted(user, "high", cpu="2", priorityClassName=high)
    await user.until(PODS, "high", lambda pod: _node(pod) == node, "bound")
    assert names(await user.until_pods(1, "Running")) == ["high"]
    await user.until_told("low-0", "Preempted")
    await user.client.delete(PRIORITY_CLASSES, high)


async def pods_keep_apart_and_together(user: User) -> None:
    for _ in range(2):
        await user.node()
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "web"}}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    await user.create(DEPLOYMENTS, workload("web", replicas=3, pod=template("web", **user.homely(affinity=apart))))
    placed = await user.until_all(PODS, lambda pods: len([pod for pod in pods if _node(pod)]) == 2 and len(pods) == 3, "app=web")
    assert len({_node(pod) for pod in placed if _node(pod)}) == 2
    together = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    await user.create(PODS, {"metadata": {"name": "near"}, "spec": user.homely(affinity=together)})
    await user.until(PODS, "near", lambda pod: _node(pod) in {_node(other) for other in placed}, "bound")


async def pods_spread(user: User) -> None:
    for zone in ("a", "a", "b"):
        await user.node(labels={ZONE: f"{user.namespace}-{zone}"})
    spread = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    spec = user.homely(topologySpreadConstraints=[spread])
    await user.create(DEPLOYMENTS, workload("web", replicas=6, pod=template("web", **spec)))
    pods = await user.until_pods(6, "Running")
    alone = f"{user.namespace}-n2"
    assert sum(_node(pod) == alone for pod in pods) == 3


async def node_affinity_chooses(user: User) -> None:
    plain, fast = await user.node(), await user.node(labels={"example.com/fast": "9"})
    wanted = {"matchExpressions": [{"key": "example.com/fast", "operator": "Gt", "values": ["5"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [wanted]}}}
    await user.create(PODS, {"metadata": {"name": "picky"}, "spec": user.homely(affinity=affinity)})
    avoided = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": _not(wanted)}]}}
    await user.create(PODS, {"metadata": {"name": "shy"}, "spec": user.homely(affinity=avoided)})
    await user.until(PODS, "picky", lambda pod: _node(pod) == fast, "bound")
    await user.until(PODS, "shy", lambda pod: _node(pod) == plain, "bound")


async def gates_hold_pods(user: User) -> None:
    await user.node()
    await user.create(PODS, {"metadata": {"name": "p"}, "spec": user.homely(schedulingGates=[{"name": "example.com/wait"}])})
    await user.until_condition(PODS, "p", "PodScheduled", "False", "SchedulingGated")
    await user.patch(PODS, "p", {"spec": {"schedulingGates": None}})
    await user.until_pods(1, "Running")


async def pods_of_nobody_wait(user: User) -> None:
    """A pod that names another scheduler is left to it, while the next one is bound."""
    node = await user.node()
    await user.create(PODS, {"metadata": {"name": "theirs"}, "spec": user.homely(schedulerName="example.com-them")})
    await user.create(PODS, {"metadata": {"name": "ours"}, "spec": user.homely()})
    await user.until(PODS, "ours", lambda pod: _node(pod) == node, "bound")
    left = await user.until(PODS, "theirs", lambda pod: True)
    assert not _node(left)
    assert not objects.status(left).get("conditions")


async def _pod(user: User, name: str, *, cpu: str, **spec: Any) -> Obj:
    whole = user.homely(**spec)
    whole["containers"] = [{**whole["containers"][0], "resources": {"requests": {"cpu": cpu}}}]
    return await user.create(PODS, {"metadata": {"name": name}, "spec": whole})


async def _admitted(user: User, name: str, *, cpu: str, **spec: Any) -> None:
    """As `_pod`, where a priority class may not be known to admission yet."""
    while True:
        try:
            await _pod(user, name, cpu=cpu, **spec)
        except errors.StatusError as error:
            if error.code != 403 or "PriorityClass" not in error.message:
                raise
        else:
            return


def _node(pod: Obj) -> str:
    return str(objects.spec(pod).get("nodeName") or "")


def _not(term: Obj) -> Obj:
    key = term["matchExpressions"][0]["key"]
    return {"matchExpressions": [{"key": key, "operator": "DoesNotExist"}]}
