"""What the nodes of an emulated fleet look like: shapes, and the nodes made of them. Pure.

A file names shapes (`read`), `fleet` says which nodes there should be, `node` builds one. Contract: lightship.dev/v1alpha1 NodeShapeList,
ours; the nodes are what `kwokctl scale node` makes.
"""

import ipaddress
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from lightship.emulation import api
from lightship.emulation.defaults import nodes
from lightship.meta import names, objects, quantity
from lightship.meta.objects import Obj

API_VERSION = "lightship.dev/v1alpha1"
KIND = "NodeShapeList"
MOST_NODES = 32_000
"""As many as there are ranges of addresses for their pods."""
NODE_RANGE = "100.64.0.0/10"
"""Addresses of emulated nodes, which nothing routes."""
POD_RANGE = "10.128.0.0/9"
"""Cut into one range of 256 addresses for each node."""
_ROOM = {"cpu": "32", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "110"}
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class ShapeError(ValueError):
    """Shapes that cannot be used: what was found, and what may stand there."""


class Gpus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The accelerators of a node. With `driver`, they are also told of in ResourceSlices, for claims."""

    type: str
    count: int
    resource: str = "nvidia.com/gpu"
    memory: str = ""
    driver: str = ""


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An image that is on the node already."""

    names: list[str]
    size_bytes: int = 0


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Nodes that are all alike, spread over `zones` in turn."""

    name: str
    count: int = 1
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    taints: list[dict[str, Any]] = []
    capacity: dict[str, Any] = {}
    allocatable: dict[str, Any] = {}
    zones: list[str] = []
    region: str = ""
    instance_type: str = ""
    gpus: Gpus | None = None
    price_per_hour: float | None = None
    images: list[Image] = []
    architecture: str = "amd64"


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    api_version: str
    kind: str
    items: list[Shape]


DEFAULT = Shape(name="emulated", count=0)


def read(document: Any) -> list[Shape]:
    """The shapes of a parsed file. Raises `ShapeError`."""
    try:
        found = msgspec.convert(document, _File)
    except msgspec.ValidationError as error:
        raise ShapeError(f"no list of node shapes: {error}") from error
    if (found.api_version, found.kind) != (API_VERSION, KIND):
        raise ShapeError(f'apiVersion and kind must be "{API_VERSION}" and "{KIND}", not "{found.api_version}" and "{found.kind}"')
    for shape in found.items:
        check(shape)
    doubled = {shape.name for shape in found.items if sum(other.name == shape.name for other in found.items) > 1}
    if doubled:
        raise ShapeError(f"each shape needs a name of its own: {', '.join(sorted(doubled))}")
    if not found.items:
        raise ShapeError("there is no shape in it: `items` must name one at least")
    return found.items


def check(shape: Shape) -> None:
    """Raises `ShapeError`."""
    if not names.is_dns_label(shape.name) or len(shape.name) > 50:
        raise ShapeError(f'shape "{shape.name}": its name begins those of its nodes, so it must be up to 50 of a-z, 0-9 and -')
    if not 0 <= shape.count <= MOST_NODES:
        raise ShapeError(f'shape "{shape.name}": count must be from 0 to {MOST_NODES}, not {shape.count}')
    for wrong in [*_wrong_amounts(shape), *_wrong_words(shape)]:
        raise ShapeError(f'shape "{shape.name}": {wrong}')


def _wrong_amounts(shape: Shape) -> Iterator[str]:
    for field, amounts in (("capacity", shape.capacity), ("allocatable", shape.allocatable)):
        for resource, amount in amounts.items():
            try:
                if quantity.parse(str(amount)) < 0:
                    yield f"{field}.{resource} must be 0 or more, not {amount}"
            except ValueError as error:
                yield f"{field}.{resource}: {error}"
    if shape.gpus and shape.gpus.count < 0:
        yield f"gpus.count must be 0 or more, not {shape.gpus.count}"
    if shape.price_per_hour is not None and not 0 <= shape.price_per_hour < math.inf:
        yield f"pricePerHour must be 0 or more, not {shape.price_per_hour:g}"


def _wrong_words(shape: Shape) -> Iterator[str]:
    """What the server would refuse in each of the nodes, told once."""
    node = metadata(shape, 0)
    for field in ("labels", "annotations"):
        yield from (f'{field}: "{key}": {why}' for key in node[field] for why in names.problems(key.lower(), "qualified"))
    yield from (f'label {key}: "{value}": {why}' for key, value in node["labels"].items() for why in names.problems(value, "label-value"))
    for taint in shape.taints:
        yield from (f'taints: "{taint.get("key", "")}": {why}' for why in names.problems(str(taint.get("key", "")), "qualified"))
        if taint.get("effect") not in _EFFECTS:
            yield f'taints: effect must be one of {", ".join(_EFFECTS)}, not "{taint.get("effect", "")}"'


def shared(shapes: Sequence[Shape], total: int | None) -> dict[str, int]:
    """How many nodes of each shape: as many as each says, or `total` in all, shared out in these proportions."""
    if total is None:
        return {shape.name: shape.count for shape in shapes}
    weights = [shape.count for shape in shapes] if any(shape.count for shape in shapes) else [1] * len(shapes)
    whole, given, counts = sum(weights), 0, {}
    seen = 0
    for shape, weight in zip(shapes, weights, strict=True):
        seen += weight
        upto = total * seen // whole
        counts[shape.name], given = upto - given, upto
    return counts


def node_name(shape: str, number: int) -> str:
    return f"{shape}-{number:05d}"


def metadata(shape: Shape, number: int) -> Obj:
    name = node_name(shape.name, number)
    labels = {
        "beta.kubernetes.io/arch": shape.architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": shape.architecture,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/role": "agent",
        "node-role.kubernetes.io/agent": "",
        api.TYPE_LABEL: api.TYPE,
        api.SHAPE_LABEL: shape.name,
    }
    if shape.zones:
        labels["topology.kubernetes.io/zone"] = shape.zones[number % len(shape.zones)]
    if shape.region:
        labels["topology.kubernetes.io/region"] = shape.region
    if shape.instance_type:
        labels["node.kubernetes.io/instance-type"] = shape.instance_type
    if shape.gpus:
        labels["nvidia.com/gpu.product" if shape.gpus.resource == "nvidia.com/gpu" else api.GPU_LABEL] = shape.gpus.type
    annotations = {api.FAKE: api.FAKE_VALUE, "node.alpha.kubernetes.io/ttl": "0"}
    if shape.price_per_hour is not None:
        annotations[api.PRICE] = f"{shape.price_per_hour:g}"
    return {"name": name, "labels": labels | shape.labels, "annotations": annotations | shape.annotations}


def taints(shape: Shape, *, tainted: bool) -> list[Obj]:
    return [*shape.taints, *([api.TAINT] if tainted else [])]


def room(shape: Shape) -> tuple[Obj, Obj]:
    """(capacity, allocatable)."""
    capacity = {resource: str(amount) for resource, amount in {**_ROOM, **shape.capacity}.items()}
    if shape.gpus and shape.gpus.resource:
        capacity.setdefault(shape.gpus.resource, str(shape.gpus.count))
    allocatable = capacity | {resource: str(amount) for resource, amount in shape.allocatable.items()}
    return capacity, allocatable


def node(shape: Shape, number: int, place: int, now: float, *, tainted: bool) -> Obj:
    """A Node that is Ready from the beginning. `place` is its number among all, by which it has its addresses."""
    capacity, allocatable = room(shape)
    pods = f"{ipaddress.IPv4Address(int(_PODS) + place * 256)}/24"
    spec: Obj = {"podCIDR": pods, "podCIDRs": [pods], "providerID": f"kwok://{node_name(shape.name, number)}"}
    found = taints(shape, tainted=tainted)
    if found:
        spec["taints"] = found
    made: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": metadata(shape, number), "spec": spec}
    made["status"] = {"capacity": capacity, "allocatable": allocatable, "nodeInfo": {"architecture": shape.architecture}}
    status = nodes.initial_status(made, now, address=str(ipaddress.IPv4Address(int(_NODES) + place + 1)))
    if shape.images:
        status["images"] = [{"names": image.names, "sizeBytes": image.size_bytes} for image in shape.images]
    return {**made, "status": status}


_NODES = ipaddress.IPv4Network(NODE_RANGE).network_address
_PODS = ipaddress.IPv4Network(POD_RANGE).network_address


def place_of(node: Mapping[str, Any]) -> int | None:
    """The number among all by which a node has its addresses; None for one that was not made here."""
    cidr = (node.get("spec") or {}).get("podCIDR") or ""
    try:
        return (int(ipaddress.IPv4Address(cidr.partition("/")[0])) - int(_PODS)) // 256
    except ValueError:
        return None


def of_nodes(name: str, nodes: Sequence[Obj]) -> Shape:
    """The shape of nodes that there are, to make more of the kind."""
    first = nodes[0]
    labels, annotations = dict(objects.labels(first)), dict(objects.annotations(first))
    own = {"kubernetes.io/hostname", "topology.kubernetes.io/zone", api.SHAPE_LABEL}
    zones = sorted({zone for node in nodes if (zone := objects.labels(node).get("topology.kubernetes.io/zone"))})
    return Shape(
        name=name,
        labels={key: value for key, value in labels.items() if key not in own},
        annotations={key: value for key, value in annotations.items() if key != api.SILENT},
        taints=[taint for taint in objects.spec(first).get("taints") or () if taint.get("key", "").startswith(api.OWN_TAINTS) is False],
        capacity=dict(objects.status(first).get("capacity") or {}),
        allocatable=dict(objects.status(first).get("allocatable") or {}),
        zones=zones,
        images=msgspec.convert(objects.status(first).get("images") or [], list[Image]),
    )
