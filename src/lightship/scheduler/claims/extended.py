"""Extended resources that devices stand for: a pod asks for `example.com/gpu: 2` in its containers and gets two devices of a class.

A node that has the resource of its own (a device plugin) gives that; elsewhere one claim, made for the pod, asks for the devices.
Called by `desk`. Pure. Contract: kube-scheduler 1.36 dynamicresources, extendeddynamicresources.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lightship.kinds import pods as podlib
from lightship.kinds.pods import resource_checks
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.scheduler.claims.wants import EXTENDED
from lightship.scheduler.snapshot import NodeState

PREFIX = "deviceclass.resource.kubernetes.io/"
"""With the name of a class: the resource that every class stands for."""


class Drawn(NamedTuple):
    """Requests of the claim, and which request each container gets its devices from."""

    requests: list[Obj]
    mappings: list[Obj]


def mapped(classes: Iterable[Obj]) -> dict[str, str]:
    """Resource → class. Of classes that name the same resource the youngest counts, of equally old ones the first by name."""
    by_age = sorted(classes, key=objects.name, reverse=True)
    by_age.sort(key=lambda found: objects.meta(found).get("creationTimestamp") or "")
    names = {name: objects.name(found) for found in by_age if (name := objects.spec(found).get("extendedResourceName"))}
    return {**names, **{PREFIX + objects.name(found): objects.name(found) for found in by_age}}


def asked(requests: Mapping[str, int], classes: Mapping[str, str]) -> frozenset[str]:
    """The resources of a pod that devices may stand for."""
    return frozenset(
        name
        for name in requests.keys() & classes.keys()
        if requests[name] > 0 and (name.startswith(PREFIX) or resource_checks.is_extended(name))
    )


def drawn_from(names: frozenset[str], node: NodeState) -> frozenset[str]:
    """Those which the node does not have of its own."""
    return frozenset(name for name in names if node.allocatable.get(name, 0) <= 0)


def claim(pod: Obj, drawn: Drawn) -> Obj:
    """The claim to make for the pod, yet without a name."""
    owner = objects.owner_reference({"apiVersion": "v1", "kind": "Pod", **pod})
    owner.pop("blockOwnerDeletion", None)
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {
            "namespace": objects.namespace(pod),
            "generateName": f"{objects.name(pod)}-extended-resources-",
            "annotations": {EXTENDED: "true"},
            "ownerReferences": [owner],
        },
        "spec": {"devices": {"requests": drawn.requests}},
    }


def draw(pod: Obj, names: Iterable[str], classes: Mapping[str, str]) -> Drawn:
    """What the claim asks for. Init containers that end use again what later containers have; of what is lacking the largest counts."""
    spec = objects.spec(pod)
    init = spec.get("initContainers") or []
    containers = [*init, *(spec.get("containers") or [])]
    brief = [at for at, container in enumerate(init) if not podlib.is_sidecar(container)]
    requests: list[Obj] = []
    mappings: list[Obj] = []
    for name in sorted(names):
        made, of_containers = _resource(containers, brief, name, classes[name])
        requests += made
        mappings += of_containers
    return Drawn(sorted(requests, key=lambda request: str(request["name"])), mappings)


def _resource(containers: Sequence[Obj], brief: Sequence[int], name: str, class_name: str) -> tuple[list[Obj], list[Obj]]:
    lasting: list[Obj | None] = [None] * len(containers)
    mappings: list[Obj] = []
    for at in range(len(containers)):
        if at not in brief:
            lasting[at], own = _container(containers[at], at, name, class_name, ())
            mappings += own
    largest: Obj | None = None
    of_brief: list[Obj] = []
    passing: set[str] = set()
    for at in brief:
        request, own = _container(containers[at], at, name, class_name, lasting[at:])
        of_brief += own
        if request is not None:
            passing.add(request["name"])
            if largest is None or largest["exactly"]["count"] < request["exactly"]["count"]:
                largest = request
    for mapping in of_brief:
        if largest is not None and mapping["requestName"] in passing:
            mapping["requestName"] = largest["name"]
    made = [request for request in (largest, *lasting) if request is not None]
    return made, mappings + of_brief


def _container(container: Obj, at: int, name: str, class_name: str, reusable: Sequence[Obj | None]) -> tuple[Obj | None, list[Obj]]:
    """The request that a container needs beside those that it can use again, and its mappings."""
    asked = (container.get("resources") or {}).get("requests") or {}
    wanted = quantity.to_int(asked[name]) if name in asked else 0
    if not wanted:
        return None, []
    mappings, found = [], 0
    for request in reusable:
        if request is not None:
            found += request["exactly"]["count"]
            mappings.append({"containerName": container["name"], "resourceName": name, "requestName": request["name"]})
            if found >= wanted:
                return None, mappings
    label = f"container-{at}-request-{sorted(asked).index(name)}"
    mappings.append({"containerName": container["name"], "resourceName": name, "requestName": label})
    exact = {"deviceClassName": class_name, "allocationMode": "ExactCount", "count": wanted - found}
    return {"name": label, "exactly": exact}, mappings
