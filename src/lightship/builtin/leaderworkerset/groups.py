"""The decision about one pod of a set: shall its group begin anew, and what does its group lack?

Pure; `group_controller` reads, calls `decide`, and carries the plan out. Only leaders have children: the StatefulSet of their workers, a
Service where every group has its own, a PodGroup where gangs are placed. Contract: LeaderWorkerSet 0.9 pod controller.
"""

from collections.abc import Callable, Sequence

import msgspec

from lightship.builtin.leaderworkerset import build, gangs, places, pods, revisions, rules, terms
from lightship.builtin.notes import Note
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

Find = Callable[[str], Obj | None]
"""An object by its name, in the namespace of the set where it has one."""
UNVERSIONED_SECONDS = 1.0
"""After how long to look again for a version that is not there yet."""


class View(msgspec.Struct):
    """What there is around a pod."""

    find_pod: Find
    find_set: Find
    find_service: Find
    find_node: Find
    group: Callable[[], Sequence[Obj]]
    """The pods of its group, itself among them."""
    revisions: Callable[[], list[Obj]]
    gangs: bool = False
    """Are groups placed by PodGroups?"""
    find_gang: Find = lambda name: None


class Plan(msgspec.Struct):
    """What to do; `restart` alone, the others in this order."""

    restart: Obj | None = None
    """The leader whose deletion takes its group along, to be made anew."""
    service: Obj | None = None
    gang: Obj | None = None
    workers: Obj | None = None
    note: Note | None = None
    """Told about the set when all is done; a refusal where there is nothing to do."""
    requeue: float | None = None
    problem: str = ""
    """What is in the way; to be tried again."""


def decide(pod: Obj, lws: Obj, view: View) -> Plan:
    """`lws` has its defaults."""
    leader, stop = _restarting(pod, lws, view)
    if leader is not None:
        group = objects.labels(leader).get(terms.GROUP_INDEX, "")
        told = f"Worker pod {objects.name(pod)} failed, deleted leader pod {objects.name(leader)} to recreate group {group}"
        return Plan(restart=leader, note=Note("Normal", terms.RECREATE_GROUP, told))
    if stop or not pods.is_leader(pod):
        return Plan()
    if refusal := _refusal(pod):
        return Plan(note=Note("Warning", terms.FAILED_CREATE, refusal))
    plan = Plan()
    if rules.is_unique(lws) and view.find_service(objects.name(pod)) is None:
        plan.service = build.group_service(lws, pod)
    if objects.is_deleting(pod):
        return plan
    if view.gangs and view.find_gang(gangs.name_of(pod)) is None:
        plan.gang = gangs.build(lws, pod)
    if rules.size(lws) > 1:
        _add_workers(plan, pod, lws, view)
    return plan


def _refusal(leader: Obj) -> str:
    """Why a leader is not worked on."""
    where = f"{objects.namespace(leader)}/{objects.name(leader)}"
    if objects.annotations(leader).get(terms.LEADER_NAME):
        needed = "requires Kubernetes ≥v1.27 or v1.26 with StatefulSetStartOrdinal feature"
        return f"leader pod {where} contains mistake annotation '{terms.LEADER_NAME}': {needed}"
    if terms.GROUP_INDEX not in objects.labels(leader):
        return f"leader pod {where} has no label '{terms.GROUP_INDEX}': this server lacks the pod webhook of LeaderWorkerSet"
    return ""


def _restarting(pod: Obj, lws: Obj, view: View) -> tuple[Obj | None, bool]:
    """The leader to delete so that the group begins anew; and whether the group is on its way out, so that nothing is made for it."""
    policy = rules.template(lws).get("restartPolicy")
    if policy not in (terms.RECREATE, terms.RECREATE_STARTED) or not (has_restarted(pod) or objects.is_deleting(pod)):
        return None, False
    patient = policy == terms.RECREATE_STARTED or terms.RECREATE_AFTER_START in objects.annotations(lws)
    if patient and _is_starting(view.group(), rules.size(lws)):
        return None, False
    leader: Obj | None = pod
    if not pods.is_leader(pod):
        leader = _leader(pod, view)
    if leader is None:
        return None, False
    return (None, True) if objects.is_deleting(leader) else (leader, True)


def has_restarted(pod: Obj) -> bool:
    status = objects.status(pod)
    if podlib.phase(pod) not in ("Running", "Pending"):
        return False
    listed = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return any(int(container.get("restartCount") or 0) > 0 for container in listed)


def _is_starting(group: Sequence[Obj], size: int) -> bool:
    return len(group) != size or any(podlib.phase(pod) == "Pending" for pod in group)


def _leader(worker: Obj, view: View) -> Obj | None:
    """The leader of the group that a worker belongs to still: not the next one, while the workers of the last are on their way out."""
    leader = view.find_pod(places.parent_and_ordinal(objects.name(worker))[0])
    if leader is None or revisions.key(leader) != revisions.key(worker):
        return None
    owner = objects.controller_of(worker) or {}
    if owner.get("kind") == "StatefulSet":
        workers = view.find_set(owner.get("name", ""))
        if workers is None or objects.uid(workers) != owner.get("uid"):
            return None
        owner = objects.controller_of(workers) or {}
    ours = (owner.get("kind"), owner.get("name"), owner.get("uid")) == ("Pod", objects.name(leader), objects.uid(leader))
    return leader if ours else None


def _add_workers(plan: Plan, leader: Obj, lws: Obj, view: View) -> None:
    if objects.spec(lws).get("startupPolicy") == terms.LEADER_READY and not podlib.is_ready(leader):
        return
    revision = revisions.find(revisions.owned(lws, view.revisions()), revisions.key(leader))
    if revision is None:
        plan.requeue = UNVERSIONED_SECONDS
        return
    topology = objects.annotations(lws).get(terms.EXCLUSIVE)
    if topology is not None and not podlib.node_name(leader):
        return
    if view.find_set(objects.name(leader)) is not None:
        return
    workers = build.worker_set(lws, leader, revision)
    if topology is not None:
        node = view.find_node(podlib.node_name(leader))
        value = objects.labels(node or {}).get(topology)
        if value is None:
            plan.problem = f"node does not have topology label: {topology}" if node else f"node {podlib.node_name(leader)} is not there"
            return
        pod = workers["spec"]["template"].setdefault("spec", {})
        pod["nodeSelector"] = {**(pod.get("nodeSelector") or {}), topology: value}
    plan.workers = workers
    plan.note = Note("Normal", terms.GROUPS_PROGRESSING, f"Created worker statefulset for leader pod {objects.name(leader)}")
