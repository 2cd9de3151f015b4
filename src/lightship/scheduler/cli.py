"""`lightship explain-pod`: where a pod could run now and, node by node, why not there.

Reads the cluster and asks `explain`; changes nothing. Works for waiting pods and for those that have a node. Claims to devices are not
asked about: they are in the pod's events.
"""

import argparse
import asyncio

from lightship.cli.cluster import Cluster, add_cluster_options
from lightship.cli.cluster import run as on_cluster
from lightship.cli.errors import CliError
from lightship.cli.output import say, table
from lightship.kinds import NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.scheduler import explain, reading
from lightship.scheduler.explain import Answer
from lightship.scheduler.volumes import Volumes


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
    kinds = (NODES, PODS, NAMESPACES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES)
    nodes, pods, namespaces, claims, stored, classes = await asyncio.gather(*(client.list(kind) for kind in kinds))
    volumes = Volumes()
    volumes.claims = {objects.key(claim): claim for claim in claims.items}
    volumes.volumes = {objects.name(volume): volume for volume in stored.items}
    volumes.classes = {objects.name(found): found for found in classes.items}
    known = explain.assemble(nodes.items, pods.items, namespaces.items)
    if node and node not in known.nodes:
        raise CliError(f'there is no node "{node}"', hint="lightship get nodes")
    say(text(pod, explain.explain(reading.pod_info(pod), known, (volumes,), node=node)))


def text(pod: Obj, answers: list[Answer]) -> str:
    """One line about the pod, then a line for each node."""
    where = objects.spec(pod).get("nodeName")
    fitting = sum(not answer.reasons for answer in answers)
    gates = ", ".join(gate.get("name", "") for gate in objects.spec(pod).get("schedulingGates") or ())
    state = f"is on node {where}" if where else f"waits for its gates: {gates}" if gates else "has no node"
    lines = [f"Pod {objects.key(pod)} {state}; {fitting} of {len(answers)} nodes could run it now."]
    if answers:
        lines += ["", table(("Node", "Answer", "What is missing"), [_row(answer) for answer in answers])]
    return "\n".join(lines)


def _row(answer: Answer) -> tuple[str, str, str]:
    if not answer.reasons:
        return answer.node, "yes", ""
    more = " (could be made room for)" if answer.resolvable else ""
    return answer.node, ", ".join(answer.reasons) + more, answer.missing
