"""`lightship nodes`: the nodes of a cluster by shape and zone, what is free there, and what they cost; more or fewer emulated ones.

Works on any cluster. `scale` and `apply` change emulated nodes only; `count` and `Group` are pure.
"""

import argparse
import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import yaml

from lightship.aio.clock import SystemClock
from lightship.cli.cluster import Cluster, add_cluster_options
from lightship.cli.cluster import run as on_cluster
from lightship.cli.errors import CliError
from lightship.cli.output import say, table
from lightship.emulation import api, fleet, shapes
from lightship.kinds import NODES, PODS
from lightship.meta import conditions, objects, quantity
from lightship.meta.objects import Obj

COLUMNS = ("shape", "zone", "nodes", "ready", "pods", "cpu", "memory", "gpus", "price/h")


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB")
    add_cluster_options(verbs.add_parser("list", help="nodes by shape and zone: used and all there is (the default)"))
    scaled = verbs.add_parser("scale", help="have so many emulated nodes of a shape")
    scaled.add_argument("count", type=int, metavar="N", help="how many; those with the highest numbers go first")
    scaled.add_argument("--shape", default=shapes.DEFAULT.name, help=f"which shape (default: {shapes.DEFAULT.name})")
    scaled.set_defaults(verb="scale")
    add_cluster_options(scaled)
    applied = verbs.add_parser("apply", help="have the emulated nodes of a file of shapes; other shapes stay as they are")
    applied.add_argument("file", metavar="FILE")
    applied.set_defaults(verb="apply")
    add_cluster_options(applied)
    parser.set_defaults(verb="list")
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> int:
    match args.verb:
        case "scale":
            on_cluster(args, lambda cluster: scale(cluster, args.shape, args.count))
        case "apply":
            found = read_shapes(args.file)
            on_cluster(args, lambda cluster: apply(cluster, found))
        case _:
            on_cluster(args, show)
    return 0


async def show(cluster: Cluster) -> None:
    nodes, pods = await asyncio.gather(cluster.client.list(NODES), cluster.client.list(PODS))
    groups = count(nodes.items, pods.items)
    if not groups:
        say("No nodes. `lightship nodes scale 100` emulates some")
        return
    say(table(COLUMNS, [group.row() for group in groups]))


async def scale(cluster: Cluster, name: str, wanted: int) -> None:
    live = (await cluster.client.list(NODES)).items
    members = fleet.of_fleet(live).get(name)
    if members:
        shape = shapes.of_nodes(name, list(members.values()))
    elif name == shapes.DEFAULT.name:
        shape = shapes.DEFAULT
    else:
        known = ", ".join(sorted(fleet.of_fleet(live))) or "none"
        raise CliError(f'no emulated node is of shape "{name}"', hint=f"there are: {known}; `lightship nodes apply FILE` brings new ones")
    if not 0 <= wanted <= shapes.MOST_NODES:
        raise CliError(f"{wanted} nodes: must be from 0 to {shapes.MOST_NODES}")
    await _have(cluster, live, [shape], {name: wanted})
    say(f"{wanted} emulated nodes of shape {name}")


def read_shapes(path: str) -> list[shapes.Shape]:
    """The shapes of a file. Raises `CliError`."""
    try:
        return shapes.read(yaml.safe_load(Path(path).read_text()))
    except OSError as error:
        raise CliError(f"the node shapes {path} cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise CliError(f"the node shapes {path} cannot be used: {error}", hint="docs/emulation.md shows one") from error


async def apply(cluster: Cluster, found: list[shapes.Shape]) -> None:
    await _have(cluster, (await cluster.client.list(NODES)).items, found, shapes.shared(found, None))
    for shape in found:
        say(f"{shape.count} emulated nodes of shape {shape.name}")


async def _have(cluster: Cluster, live: Iterable[Obj], wanted: list[shapes.Shape], counts: dict[str, int]) -> None:
    """Emulated nodes are tainted where others run pods."""
    nodes = list(live)
    tainted = any(not api.is_emulated(node) for node in nodes)
    decided = fleet.plan(nodes, wanted, counts, SystemClock().now(), tainted=tainted, prune=False)
    await fleet.carry_out(cluster.client, decided)


@dataclass
class Group:
    """Nodes of one shape in one zone."""

    shape: str
    zone: str
    nodes: int = 0
    ready: int = 0
    pods: int = 0
    price: float = 0.0
    total: dict[str, Decimal] = field(default_factory=dict)
    used: dict[str, Decimal] = field(default_factory=dict)

    def row(self) -> list[str]:
        price = f"{self.price:.2f}" if self.price else "-"
        amounts = [self._share("cpu"), self._share("memory"), self._share("gpus")]
        return [self.shape, self.zone or "-", str(self.nodes), str(self.ready), str(self.pods), *amounts, price]

    def _share(self, resource: str) -> str:
        total = self.total.get(resource, Decimal(0))
        if not total:
            return "-"
        return f"{_short(self.used.get(resource, Decimal(0)), resource)}/{_short(total, resource)}"


def count(nodes: Iterable[Obj], pods: Iterable[Obj]) -> list[Group]:
    """Nodes by shape and zone, and what pods that have not ended ask for there."""
    groups: dict[tuple[str, str], Group] = {}
    of_node: dict[str, Group] = {}
    for node in nodes:
        labels = objects.labels(node)
        shape = labels.get(api.SHAPE_LABEL) or ("other emulated" if api.is_emulated(node) else "real")
        key = (shape, labels.get("topology.kubernetes.io/zone", ""))
        group = of_node[objects.name(node)] = groups.setdefault(key, Group(*key))
        group.nodes += 1
        group.ready += conditions.is_true(node, "Ready")
        group.price += float(objects.annotations(node).get(api.PRICE) or 0)
        _add(group.total, objects.status(node).get("allocatable") or {})
    for pod in pods:
        found = of_node.get(objects.spec(pod).get("nodeName") or "")
        if found is not None and objects.status(pod).get("phase") not in ("Succeeded", "Failed"):
            found.pods += 1
            for container in objects.spec(pod).get("containers") or ():
                _add(found.used, (container.get("resources") or {}).get("requests") or {})
    return [groups[key] for key in sorted(groups)]


def _add(amounts: dict[str, Decimal], more: Obj) -> None:
    for resource, amount in more.items():
        known = "gpus" if resource.endswith("/gpu") else resource
        if known in ("cpu", "memory", "gpus"):
            amounts[known] = amounts.get(known, Decimal(0)) + quantity.parse(amount)


def _short(amount: Decimal, resource: str) -> str:
    if resource != "memory":
        return f"{amount.normalize():f}"
    return f"{amount / 2**30:.0f}Gi"
