"""`lightship explain-pod`: where a pod could run now and, node by node, why not there; and what its group waits for.

Reads the cluster and asks `explain`; changes nothing. Works for waiting pods and for those that have a node, with their claims to devices.
"""

import argparse
import asyncio
import re
from collections.abc import Iterable

from lightship.aio.clock import SystemClock
from lightship.cli.cluster import Cluster, add_cluster_options
from lightship.cli.cluster import run as on_cluster
from lightship.cli.errors import CliError
from lightship.cli.output import say, table
from lightship.kinds import (
    DEVICE_CLASSES,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    POD_GROUPS,
    PODS,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
    STORAGE_CLASSES,
)
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Obj
from lightship.scheduler import explain, reading
from lightship.scheduler.claims import question
from lightship.scheduler.claims.desk import Desk
from lightship.scheduler.controller import budget_of
from lightship.scheduler.explain import Answer
from lightship.scheduler.snapshot import PodInfo
from lightship.scheduler.volumes import Volumes

_NAMED = 3
"""Pods that are named of those that would have to go."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pod", metavar="NAME", help="name of the pod")
    parser.add_argument("--node", default="", metavar="NODE", help="ask about this node only")
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> int:
    on_cluster(args, lambda cluster: explain_pod(cluster, args.pod, args.node))
    return 0


async def explain_pod(cluster: Cluster, name: str, node: str) -> None:
    client = cluster.client
    pod = await client.get(PODS, name, cluster.namespace)
    kinds = (NODES, PODS, NAMESPACES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES, POD_DISRUPTION_BUDGETS)
    nodes, pods, namespaces, claims, stored, classes, budgets = await asyncio.gather(*(client.list(kind) for kind in kinds))
    volumes = Volumes()
    volumes.claims = {objects.key(claim): claim for claim in claims.items}
    volumes.volumes = {objects.name(volume): volume for volume in stored.items}
    volumes.classes = {objects.name(found): found for found in classes.items}
    known = explain.assemble(nodes.items, pods.items, namespaces.items)
    if node and node not in known.nodes:
        raise CliError(f'there is no node "{node}"', hint="lightship get nodes")
    known.budgets = [budget_of(budget) for budget in budgets.items]
    info = reading.pod_info(pod)
    answers = explain.explain(info, known, (volumes,), node=node, desk=await _desk(cluster, pod, info))
    say(text(pod, answers, await _group(cluster, pod, pods.items)))


async def _desk(cluster: Cluster, pod: Obj, info: PodInfo) -> Desk | None:
    """What is known of devices; None where the pod has nothing to do with them, or the server does not know them."""
    if not question.concerns(info):
        return None
    try:
        claims, classes, slices = await asyncio.gather(
            *(cluster.client.list(kind) for kind in (RESOURCE_CLAIMS, DEVICE_CLASSES, RESOURCE_SLICES))
        )
    except errors.StatusError as error:
        if errors.is_not_found(error):
            return None
        raise
    return question.desk(pod, info, claims.items, classes.items, slices.items, SystemClock().now())


async def _group(cluster: Cluster, pod: Obj, pods: Iterable[Obj]) -> str:
    """What is known of the PodGroup of a pod; empty for a pod that has none."""
    name = (objects.spec(pod).get("schedulingGroup") or {}).get("podGroupName")
    if not name:
        return ""
    group = await cluster.client.get_or_none(POD_GROUPS, name, cluster.namespace)
    if group is None:
        return f"Its group {name} is not there yet."
    least = ((objects.spec(group).get("schedulingPolicy") or {}).get("gang") or {}).get("minCount")
    together = f"of which {least} go together or none" if least else "whose pods may go one by one"
    told = conditions.get(group, "PodGroupScheduled") or {}
    state = (
        "was scheduled"
        if told.get("status") == "True"
        else told.get("message") or f"was not tried yet, {_members(pods, pod)} of its pods are there"
    )
    return f"Its group {name}, {together}: {state}."


def _members(pods: Iterable[Obj], pod: Obj) -> int:
    """How many pods the group of a pod has."""
    mine = (objects.namespace(pod), objects.spec(pod).get("schedulingGroup"))
    return sum((objects.namespace(other), objects.spec(other).get("schedulingGroup")) == mine for other in pods)


def text(pod: Obj, answers: list[Answer], group: str = "") -> str:
    """One line about the pod, one about its group, then a line for each node; nodes that say the same share one."""
    where = objects.spec(pod).get("nodeName")
    fitting = sum(not answer.reasons for answer in answers)
    gates = ", ".join(gate.get("name", "") for gate in objects.spec(pod).get("schedulingGates") or ())
    state = f"is on node {where}" if where else f"waits for its gates: {gates}" if gates else "has no node"
    lines = [f"Pod {objects.key(pod)} {state}; {fitting} of {len(answers)} nodes could run it now."]
    if group:
        lines.append(group)
    if answers:
        lines += ["", table(("Node", "Answer", "What is missing"), _rows(answers))]
    return "\n".join(lines)


def _rows(answers: Iterable[Answer]) -> list[tuple[str, str, str]]:
    """The first node of those that say the same stands for them all: of thousands of nodes there are few kinds."""
    alike: dict[tuple[str, ...], list[tuple[str, str, str]]] = {}
    for answer in answers:
        node, *said = _row(answer)
        alike.setdefault(tuple(re.sub(rf"\bnode {re.escape(node)}\b", "node", part) for part in said), []).append((node, *said))  # type: ignore[arg-type]
    return [(f"{rows[0][0]} and {len(rows) - 1} more" if len(rows) > 1 else rows[0][0], *rows[0][1:]) for rows in alike.values()]


def _row(answer: Answer) -> tuple[str, str, str]:
    if not answer.reasons:
        return answer.node, "yes", ""
    return answer.node, ", ".join(answer.reasons), " ".join(text for text in (answer.missing, _leaving(answer.victims)) if text)


def _leaving(victims: tuple[PodInfo, ...]) -> str:
    """Who would have to go, in a sentence."""
    if not victims:
        return ""
    named = [str(victim.key) for victim in victims[:_NAMED]]
    more = [f"{len(victims) - _NAMED} more"] if len(victims) > _NAMED else []
    *others, last = [*named, *more]
    return f"It could run there if {', '.join(others) + ' and ' if others else ''}{last} had to go."
