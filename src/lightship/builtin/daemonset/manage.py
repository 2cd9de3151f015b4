"""Which nodes lack their pod, and which pods should not be there or have ended.

Pure; called by `sync`. Contract: Kubernetes 1.36 daemonset controller (`podsShouldBeOnNode`), its events.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from lightship.builtin.daemonset import places
from lightship.builtin.history import version
from lightship.builtin.notes import Note
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

Waits = Callable[[str], float]
"""Seconds until a failed pod of a node may be replaced; 0 when it may now."""


class Actions(msgspec.Struct):
    """What to do about the pods of one DaemonSet."""

    create: list[str] = []
    """Nodes that a pod is made for."""
    delete: list[Obj] = []
    failed: list[str] = []
    """Nodes whose pod has failed and is replaced now."""
    notes: list[Note] = []
    requeue: float | None = None


def by_age(pods: Iterable[Obj]) -> list[Obj]:
    """Those on a node first, the oldest of them first."""
    return sorted(pods, key=lambda p: (not podlib.node_name(p), objects.meta(p).get("creationTimestamp") or "", objects.name(p)))


def manage(
    owner: Obj, nodes: Iterable[Obj], placed: Mapping[str, list[Obj]], hashed: str, *, surge: bool, waits: Waits, now: float
) -> Actions:
    """`placed` are the owner's pods by their node, `hashed` names today's template; with `surge` a node may have two in an update."""
    actions, known = Actions(), set[str]()
    for node in nodes:
        name = objects.name(node)
        known.add(name)
        wanted, may_stay = places.suits(owner, node)
        pods = placed.get(name, [])
        if wanted and not pods:
            actions.create.append(name)
        elif may_stay:
            alive = [pod for pod in pods if not objects.is_deleting(pod)]
            running = [pod for pod in alive if not _ended(actions, pod, name, waits)]
            if surge:
                _surge(owner, actions, name, by_age(running), hashed, wanted=wanted, now=now)
            else:
                actions.delete.extend(by_age(running)[1:])
        else:
            actions.delete.extend(pod for pod in pods if not objects.is_deleting(pod))
    for name, pods in placed.items():
        if name not in known:  # its node is gone, and no kubelet will ever end it
            actions.delete.extend(pod for pod in pods if not podlib.node_name(pod))
    return actions


def _ended(actions: Actions, pod: Obj, node: str, waits: Waits) -> bool:
    phase = podlib.phase(pod)
    which = f"{objects.namespace(pod)}/{objects.name(pod)} on node {node}"
    if phase == "Succeeded":
        actions.notes.append(Note("Normal", "SucceededDaemonPod", f"Found succeeded daemon pod {which}, will try to delete it"))
        actions.delete.append(pod)
    elif phase == "Failed":
        wait = waits(node)
        if wait > 0:
            actions.requeue = wait if actions.requeue is None else min(actions.requeue, wait)
        else:
            actions.notes.append(Note("Warning", "FailedDaemonPod", f"Found failed daemon pod {which}, will try to kill it"))
            actions.delete.append(pod)
            actions.failed.append(node)
    return phase in ("Succeeded", "Failed")


def _surge(owner: Obj, actions: Actions, node: str, running: list[Obj], hashed: str, *, wanted: bool, now: float) -> None:
    """At most one pod of today's template and one of an earlier; the earlier goes when it is not ready, or the new one is available."""
    if not running:
        if wanted and node not in actions.create:
            actions.create.append(node)
        return
    if len(running) == 1:
        return
    new = [pod for pod in running if version(pod) == hashed]
    old = [pod for pod in running if version(pod) != hashed]
    actions.delete.extend([*new[1:], *old[1:]])
    least = int(objects.spec(owner).get("minReadySeconds") or 0)
    if new and old and (not podlib.is_ready(old[0]) or podlib.available_in(new[0], least, now) == 0):
        actions.delete.append(old[0])
