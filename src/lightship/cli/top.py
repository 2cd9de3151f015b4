"""`lightship top`: what nodes and pods use at the moment. Words and columns are kubectl's."""

import argparse
from collections.abc import Iterable

from lightship.kinds import NODES
from lightship.kinds.metrics import NODE_METRICS, POD_METRICS
from lightship.meta import objects, quantity
from lightship.meta.errors import StatusError, is_not_found
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from .cluster import Cluster, add_cluster_options
from .cluster import run as on_cluster
from .errors import CliError
from .output import say, table

_KINDS = {"node": NODE_METRICS, "nodes": NODE_METRICS, "no": NODE_METRICS, "pod": POD_METRICS, "pods": POD_METRICS, "po": POD_METRICS}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="nodes|pods", choices=sorted(_KINDS), help="whose use: nodes or pods")
    parser.add_argument("one", metavar="NAME", nargs="?", default="", help="only this one")
    parser.add_argument("-l", "--selector", default="", help="label selector, like app=web,tier!=test")
    parser.add_argument("--containers", action="store_true", help="each container of a pod in a line of its own")
    add_cluster_options(parser, all_namespaces=True)


def run(args: argparse.Namespace) -> int:
    on_cluster(args, lambda cluster: show(cluster, args))
    return 0


async def show(cluster: Cluster, args: argparse.Namespace) -> None:
    """Print the table. Raises `CliError` where nobody measures."""
    resource = _KINDS[args.kind]
    namespace = "" if args.all_namespaces or not resource.namespaced else cluster.namespace
    found = await _measured(cluster, resource, namespace, args)
    if not found:
        say(f"No {resource.plural} with metrics found.")
    elif resource is NODE_METRICS:
        nodes = (await cluster.client.list(NODES)).items
        say(table(("name", "cpu(cores)", "cpu(%)", "memory(bytes)", "memory(%)"), node_rows(found, nodes)))
    else:
        columns = ["pod", "name"] if args.containers else ["name"]
        columns = [*(["namespace"] if args.all_namespaces else []), *columns, "cpu(cores)", "memory(bytes)"]
        say(table(columns, pod_rows(found, containers=args.containers, namespaces=args.all_namespaces)))


async def _measured(cluster: Cluster, resource: Resource, namespace: str, args: argparse.Namespace) -> list[Obj]:
    try:
        if args.one:
            return [await cluster.client.get(resource, args.one, namespace)]
        return list((await cluster.client.list(resource, namespace, labels=args.selector)).items)
    except StatusError as error:
        if is_not_found(error) and not args.one:
            raise CliError("Metrics API not available", hint="nodes of ours measure; elsewhere install metrics-server") from error
        raise


def node_rows(measured: Iterable[Obj], nodes: Iterable[Obj]) -> list[list[str]]:
    """Cells of nodes, the busiest first; shares are of what pods may have there."""
    allocatable = {objects.name(node): objects.status(node).get("allocatable") or {} for node in nodes}
    rows = []
    for obj in sorted(measured, key=lambda obj: -quantity.parse(obj["usage"]["cpu"])):
        most, used = allocatable.get(objects.name(obj), {}), obj["usage"]
        shares = [_share(used[name], most.get(name)) for name in ("cpu", "memory")]
        rows.append([objects.name(obj), _cores(used["cpu"]), shares[0], _bytes(used["memory"]), shares[1]])
    return rows


def pod_rows(measured: Iterable[Obj], *, containers: bool, namespaces: bool) -> list[list[str]]:
    """Cells of pods or of their containers, by name."""
    rows = []
    for obj in sorted(measured, key=objects.key):
        place = [objects.namespace(obj)] if namespaces else []
        used = [(c["name"], c["usage"]) for c in obj["containers"]]
        if containers:
            rows += [[*place, objects.name(obj), name, _cores(usage["cpu"]), _bytes(usage["memory"])] for name, usage in used]
            continue
        total: dict[str, str] = {}
        for _, usage in used:
            total = quantity.add(total, usage)
        rows.append([*place, objects.name(obj), _cores(total["cpu"]), _bytes(total["memory"])])
    return rows


def _cores(amount: quantity.Number) -> str:
    return f"{quantity.millis(amount)}m"


def _bytes(amount: quantity.Number) -> str:
    return f"{quantity.to_int(amount) // 2**20}Mi"


def _share(used: quantity.Number, most: quantity.Number | None) -> str:
    return f"{int(100 * quantity.parse(used) / quantity.parse(most))}%" if most else "<unknown>"
