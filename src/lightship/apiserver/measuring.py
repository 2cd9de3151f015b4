"""metrics.k8s.io: what nodes and pods use, asked of the nodes when somebody asks us. Nothing of it is stored.

Called by `registry` in the place of reading. Nodes that are not ours (or do not answer) have no metrics, as with metrics-server.
Contract: k8s.io/metrics v1beta1; texts, selectors and what is left out as metrics-server has them.
"""

import asyncio
from collections.abc import Iterable

from lightship.kinds import NODES, PODS
from lightship.kinds.metrics import NODE_METRICS, POD_METRICS, RESOURCES
from lightship.meta import codec, errors, objects, quantity, times
from lightship.meta.objects import Obj
from lightship.meta.rest import ListOptions, Measurable, Measured, Measurement
from lightship.store import Record

from .core import Core
from .requests import Answer, Page, Request
from .served import Served
from .verbs.selection import Selection

BUCKETS = frozenset(resource.bucket for resource in RESOURCES)


async def get(core: Core, served: Served, request: Request) -> Answer:
    """200, or 404 where there is no such thing, or nothing is known of it."""
    of_nodes = served.bucket == NODE_METRICS.bucket
    key = f"{NODES.bucket}//{request.name}" if of_nodes else f"{PODS.bucket}/{request.namespace}/{request.name}"
    record = core.store.get(key)
    found = await _measured(core, served, [record] if record else [])
    if not found:
        name = request.name if of_nodes else f"{request.namespace}/{request.name}"
        raise errors.not_found(f"{served.resource.kind.lower()}.{served.resource.group}", name)
    return Answer(record=found[0])


async def page(core: Core, served: Served, request: Request, options: ListOptions) -> Page:
    """All that is known, in no pages; selectors look at the nodes and pods themselves."""
    of_nodes = served.bucket == NODE_METRICS.bucket
    looked_at = NODES if of_nodes else PODS
    selection = Selection(looked_at, options.label_selector, options.field_selector)
    prefix = f"{looked_at.bucket}//" if of_nodes else f"{looked_at.bucket}/" + (f"{request.namespace}/" if request.namespace else "")
    records = [record for record in core.store.list(prefix).records if selection.finds(record)]
    return Page(await _measured(core, served, records), core.store.revision)


async def _measured(core: Core, served: Served, records: Iterable[Record]) -> list[Record]:
    found = [record.obj for record in records]
    of_nodes = served.bucket == NODE_METRICS.bucket
    names = {objects.name(obj) if of_nodes else objects.spec(obj).get("nodeName") or "" for obj in found}
    measured = await _ask(core, names)
    made = []
    for obj in found:
        told = measured.get(objects.name(obj) if of_nodes else objects.spec(obj).get("nodeName") or "")
        shown = None if told is None else (_of_node(obj, told) if of_nodes else _of_pod(obj, told))
        if shown is not None:
            key = f"{served.bucket}/{objects.namespace(obj)}/{objects.name(obj)}"
            made.append(Record(key, codec.encode(shown), 0, shown))
    return made


async def _ask(core: Core, names: Iterable[str]) -> dict[str, Measurement]:
    """What each node says; those that cannot say are left out."""
    nodes: dict[str, Measurable] = {}
    for name in sorted(names):
        node = core.nodes(name) if name else None
        if isinstance(node, Measurable):
            nodes[name] = node
    answers = await asyncio.gather(*(node.measure() for node in nodes.values()))
    return dict(zip(nodes, answers, strict=True))


def _of_node(node: Obj, measured: Measurement) -> Obj:
    return {**_head(NODE_METRICS.kind, node, measured), "usage": _usage(measured.node)}


def _of_pod(pod: Obj, measured: Measurement) -> Obj | None:
    """None while not all of its running containers have been measured."""
    known = measured.pods.get(objects.uid(pod), {})
    statuses = objects.status(pod)
    listed = [*(statuses.get("initContainerStatuses") or ()), *(statuses.get("containerStatuses") or ())]
    running = [status["name"] for status in listed if "running" in (status.get("state") or {})]
    if not running or not all(name in known for name in running):
        return None
    containers = [{"name": name, "usage": _usage(known[name])} for name in running]
    return {**_head(POD_METRICS.kind, pod, measured), "containers": containers}


def _head(kind: str, of: Obj, measured: Measurement) -> Obj:
    metadata: Obj = {"name": objects.name(of), "creationTimestamp": times.rfc3339(measured.time)}
    if objects.namespace(of):
        metadata["namespace"] = objects.namespace(of)
    if objects.labels(of):
        metadata["labels"] = objects.labels(of)
    return {
        "kind": kind,
        "apiVersion": NODE_METRICS.api_version,
        "metadata": metadata,
        "timestamp": times.rfc3339(measured.time),
        "window": _duration(measured.window),
    }


def _usage(measured: Measured) -> Obj:
    return {"cpu": quantity.canonical(f"{measured.cpu}n"), "memory": quantity.canonical(f"{measured.memory // 1024}Ki")}


def _duration(seconds: float) -> str:
    """As Go writes a duration."""
    minutes, rest = divmod(round(seconds, 3), 60)
    shown = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(minutes)}m{shown}" if minutes else shown
