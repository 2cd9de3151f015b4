"""`lightship devices`: which accelerators there are, and which pods have them.

From ResourceSlices (what may be claimed), ResourceClaims (who has claimed it) and the status of pods (what they were given by number),
so it shows devices of any driver, on any cluster. Read-only.
"""

import argparse
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lightship.kinds import PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from lightship.meta import objects
from lightship.meta.objects import Obj

from .cluster import Cluster, add_cluster_options
from .cluster import run as on_cluster
from .output import say, table

COLUMNS = ("node", "device", "driver", "product", "memory", "used by")


class Row(NamedTuple):
    node: str
    device: str
    driver: str
    product: str
    memory: str
    users: str


def arguments(parser: argparse.ArgumentParser) -> None:
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> int:
    on_cluster(args, show)
    return 0


async def show(cluster: Cluster) -> None:
    """Print the table."""
    slices = (await cluster.client.list(RESOURCE_SLICES)).items
    claims = (await cluster.client.list(RESOURCE_CLAIMS)).items
    pods = (await cluster.client.list(PODS)).items
    found = sorted([*claimable(slices, claims), *counted(pods)])
    if found:
        say(table(COLUMNS, [list(row) for row in found]))
    else:
        say("No devices. `lightship up --gpus 2` pretends two, where there are none")


def claimable(slices: Iterable[Obj], claims: Iterable[Obj]) -> Iterator[Row]:
    """Devices of ResourceSlices, with the pods, or the claims that no pod uses yet, that have them."""
    users: dict[tuple[str, str, str], list[str]] = {}
    for claim in claims:
        status = objects.status(claim)
        results = ((status.get("allocation") or {}).get("devices") or {}).get("results") or ()
        space = objects.namespace(claim)
        pods = [f"{space}/{entry['name']}" for entry in status.get("reservedFor") or ()]
        for result in results:
            key = (result["driver"], result["pool"], result["device"])
            users.setdefault(key, []).extend(pods or [f"claim {space}/{objects.name(claim)}"])
    for entry in slices:
        spec = objects.spec(entry)
        for device in spec.get("devices") or ():
            found = users.get((spec["driver"], spec["pool"]["name"], device["name"]), [])
            product, memory = _attribute(device, "productName"), _capacity(device, "memory")
            yield Row(
                spec.get("nodeName") or "<any>", device["name"], spec["driver"], product, memory, ", ".join(sorted(set(found))) or "<none>"
            )


def counted(pods: Iterable[Obj]) -> Iterator[Row]:
    """Devices that containers have by number (`nvidia.com/gpu: 1`): those cannot be claimed meanwhile, and are in no slice."""
    for pod in pods:
        if objects.status(pod).get("phase") not in ("Pending", "Running"):
            continue
        where = f"{objects.namespace(pod)}/{objects.name(pod)}"
        for status in objects.status(pod).get("containerStatuses") or ():
            for given in status.get("allocatedResourcesStatus") or ():
                for resource in () if given["name"].startswith("claim:") else given.get("resources") or ():
                    yield Row(objects.spec(pod).get("nodeName") or "", resource["resourceID"], given["name"], "", "", where)


def _attribute(device: Obj, name: str) -> str:
    """The value of an attribute, whatever its domain."""
    for key, value in (device.get("attributes") or {}).items():
        if key.rpartition("/")[2] == name:
            return str(next(iter(value.values()), ""))
    return ""


def _capacity(device: Obj, name: str) -> str:
    found = (v.get("value") for k, v in (device.get("capacity") or {}).items() if k.rpartition("/")[2] == name)
    return str(next(found, ""))
