"""EndpointSlices and Endpoints of a Service, from its pods. Pure; called by `controller`.

Names of slices follow from the Service and their number, so that none is made twice.
Contract: discovery.k8s.io/v1 EndpointSlice, core/v1 Endpoints; labels, managers, hints by `trafficDistribution` and what is left out of
Endpoints as kube-controller-manager writes them.
"""

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping

from lightship.builtin.endpoints import packing
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

MOST_ADDRESSES = 1000
"""What Endpoints hold; slices hold all."""
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
NOWHERE: Mapping[str, str] = {}
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"


def has_selector(service: Obj) -> bool:
    """Without a selector somebody else writes the endpoints."""
    spec = objects.spec(service)
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_headless(service: Obj) -> bool:
    return objects.spec(service).get("clusterIP") == "None"


def selects(service: Obj, pod: Obj) -> bool:
    labels = objects.labels(pod)
    return all(labels.get(key) == value for key, value in (objects.spec(service).get("selector") or {}).items())


def slices(service: Obj, pods: Iterable[Obj], existing: Iterable[Obj] = (), zones: Mapping[str, str] = NOWHERE) -> list[Obj]:
    """All slices of a Service: at least one for each kind of address. `existing` are those that there are: endpoints stay where they are,
    so that a change of a pod is a change of one slice. `zones` by node."""
    behind = sorted((pod for pod in pods if _is_listed(pod)), key=objects.name)
    have = list(existing)
    taken = {objects.name(piece) for piece in have}
    found: list[Obj] = []
    for family in families(service):
        groups: dict[str, tuple[list[Obj], list[Obj]]] = {}
        for pod in behind:
            if address := _address_of(pod, family):
                ports = _ports(service, pod)
                groups.setdefault(packing.port_key(ports), (ports, []))[1].append(_endpoint(service, pod, address, zones))
        own = [piece for piece in have if piece.get("addressType") == family]
        pieces: list[tuple[list[Obj], packing.Piece]] = []
        for key, (ports, listed) in (groups or {packing.port_key([]): ([], [])}).items():
            alike = [old for old in own if packing.port_key(old.get("ports") or []) == key]
            pieces += [(ports, piece) for piece in packing.packed(alike, listed)]
        # Slices that would go are written anew: who reads them in between would find both, or none.
        used = {piece.name for _, piece in pieces}
        free = [name for name in sorted(map(objects.name, own)) if name not in used]
        for ports, piece in pieces:
            name = piece.name or (free.pop(0) if free else _name(service, taken))
            found.append(_slice(service, family, name, ports, piece.endpoints))
    return found


def families(service: Obj) -> list[str]:
    """The kinds of addresses that a Service is for."""
    spec = objects.spec(service)
    return list(spec.get("ipFamilies") or ()) or ["IPv6" if ":" in (spec.get("clusterIP") or "") else "IPv4"]


def _address_of(pod: Obj, family: str) -> str:
    status = objects.status(pod)
    listed = [entry.get("ip") or "" for entry in status.get("podIPs") or ()] or [status.get("podIP") or ""]
    return next((ip for ip in listed if ip and (":" in ip) == (family == "IPv6")), "")


def endpoints(service: Obj, pods: Iterable[Obj]) -> Obj:
    """The older form: addresses that are ready and addresses that are not, for each set of ports."""
    subsets: dict[str, Obj] = {}
    publish = _publishes_all(service)
    for pod in sorted((pod for pod in pods if _is_listed(pod)), key=objects.name):
        if objects.is_deleting(pod) and not publish:
            continue
        ports = [{k: v for k, v in port.items() if k != "appProtocol" or v} for port in _ports(service, pod)]
        subset = subsets.setdefault(repr(ports), {"addresses": [], "notReadyAddresses": [], "ports": ports})
        subset["addresses" if publish or podlib.is_ready(pod) else "notReadyAddresses"].append(_address(service, pod))
    listed = list(subsets.values())
    notes = {"annotations": {OVER_CAPACITY: "truncated"}} if _truncate(listed) else {}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": objects.name(service),
            "namespace": objects.namespace(service),
            **notes,
            "labels": {
                **objects.labels(service),
                "endpoints.kubernetes.io/managed-by": "endpoint-controller",
                **({HEADLESS: ""} if is_headless(service) else {}),
            },
        },
        "subsets": [{field: value for field, value in subset.items() if value} for subset in listed],
    }


def _truncate(subsets: list[Obj]) -> bool:
    """Leave no more addresses than an object should have, ready ones first, of each subset its share. Was there anything to leave out?"""
    ready = sum(len(subset["addresses"]) for subset in subsets)
    others = sum(len(subset["notReadyAddresses"]) for subset in subsets)
    if ready + others <= MOST_ADDRESSES:
        return False
    field, room, total = (
        ("addresses", MOST_ADDRESSES, ready) if ready > MOST_ADDRESSES else ("notReadyAddresses", MOST_ADDRESSES - ready, others)
    )
    left = room
    for subset in subsets:
        share = min(left, math.ceil(len(subset[field]) / total * room))
        subset[field] = subset[field][:share]
        left -= share
        if field == "addresses":
            subset["notReadyAddresses"] = []
    return True


def wanted(service: Obj) -> list[str]:
    """The labels of a Service's selector, each with its namespace: `default/app=web`."""
    space = objects.namespace(service)
    return [f"{space}/{key}={value}" for key, value in sorted((objects.spec(service).get("selector") or {}).items())]


def first_wanted(service: Obj) -> Iterable[str]:
    """Index function: one label that every pod of a Service has; none where somebody else writes the endpoints."""
    return wanted(service)[:1] if has_selector(service) else ()


def labelled(pod: Obj) -> list[str]:
    """The labels of a pod, as `wanted` has them."""
    space = objects.namespace(pod)
    return [f"{space}/{key}={value}" for key, value in objects.labels(pod).items()]


def listed_as(pod: Obj) -> Iterable[str]:
    """Index function: the labels, of pods that can be behind a Service."""
    return labelled(pod) if _is_listed(pod) else ()


def _is_listed(pod: Obj) -> bool:
    return bool(objects.status(pod).get("podIP")) and not podlib.is_terminal(pod)


def _publishes_all(service: Obj) -> bool:
    return bool(objects.spec(service).get("publishNotReadyAddresses"))


def _endpoint(service: Obj, pod: Obj, address: str, zones: Mapping[str, str]) -> Obj:
    ready, leaving = podlib.is_ready(pod), objects.is_deleting(pod)
    publish = _publishes_all(service)
    found: Obj = {
        "addresses": [address],
        "conditions": {"ready": publish or (ready and not leaving), "serving": publish or ready, "terminating": leaving},
        "targetRef": _target(pod),
    }
    if node := podlib.node_name(pod):
        found["nodeName"] = node
    if zone := zones.get(podlib.node_name(pod) or ""):
        found["zone"] = zone
    if hostname := _hostname(service, pod):
        found["hostname"] = hostname
    if found["conditions"]["ready"] and (hints := _hints(service, found)):
        found["hints"] = hints
    return found


def _hints(service: Obj, endpoint: Obj) -> Obj:
    """Who should be sent to this endpoint rather than to others, where the Service wants its traffic near."""
    wanted = objects.spec(service).get("trafficDistribution")
    near = wanted in ("PreferClose", "PreferSameZone", "PreferSameNode")
    hints: Obj = {"forZones": [{"name": endpoint["zone"]}]} if near and endpoint.get("zone") else {}
    if wanted == "PreferSameNode" and endpoint.get("nodeName"):
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return hints


def _address(service: Obj, pod: Obj) -> Obj:
    found: Obj = {"ip": objects.status(pod)["podIP"], "targetRef": _target(pod)}
    if node := podlib.node_name(pod):
        found["nodeName"] = node
    if hostname := _hostname(service, pod):
        found["hostname"] = hostname
    return found


def _target(pod: Obj) -> Obj:
    return {"kind": "Pod", "namespace": objects.namespace(pod), "name": objects.name(pod), "uid": objects.uid(pod)}


def _hostname(service: Obj, pod: Obj) -> str:
    """The name of its own that a pod has in the domain of this Service."""
    spec = objects.spec(pod)
    hostname: str = spec.get("hostname") or ""
    return hostname if spec.get("subdomain") == objects.name(service) else ""


def _ports(service: Obj, pod: Obj) -> list[Obj]:
    """The Service's ports as they are on this pod; a named port that no container has is left out."""
    found = []
    for port in objects.spec(service).get("ports") or ():
        number = _number(port, pod)
        if number is not None:
            entry = {"name": port.get("name") or "", "port": number, "protocol": port.get("protocol") or "TCP"}
            found.append({**entry, "appProtocol": port["appProtocol"]} if port.get("appProtocol") else entry)
    return found


def _number(port: Obj, pod: Obj) -> int | None:
    target = port.get("targetPort") or port.get("port")
    if isinstance(target, int):
        return target
    for container in podlib.containers(pod):
        for offered in container.get("ports") or ():
            if offered.get("name") == target and (offered.get("protocol") or "TCP") == (port.get("protocol") or "TCP"):
                number: int = offered["containerPort"]
                return number
    return None


def _name(service: Obj, taken: set[str]) -> str:
    """The next name that follows from the Service and is not taken yet."""
    for number in itertools.count():
        digest = hashlib.blake2b(f"{objects.uid(service)}/{number}".encode(), digest_size=3).hexdigest()[:5]
        name = f"{objects.name(service)[:57]}-{digest}"
        if name not in taken:
            break
    taken.add(name)
    return name


def _slice(service: Obj, family: str, name: str, ports: list[Obj], found: list[Obj]) -> Obj:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": objects.namespace(service),
            "labels": {
                **objects.labels(service),
                SERVICE_NAME: objects.name(service),
                MANAGED_BY: SLICE_MANAGER,
                **({HEADLESS: ""} if is_headless(service) else {}),
            },
            "ownerReferences": [objects.owner_reference(service)],
        },
        "addressType": family,
        "endpoints": found,
        "ports": ports,
    }
