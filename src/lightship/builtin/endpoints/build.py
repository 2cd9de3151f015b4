"""EndpointSlices and Endpoints of a Service, from its pods. Pure; called by `controller`.

Names of slices follow from the Service and their number, so that none is made twice. IPv4 only, as pods have one address.
Contract: discovery.k8s.io/v1 EndpointSlice, core/v1 Endpoints; labels and managers as kube-controller-manager writes them.
"""

import hashlib
from collections.abc import Iterable

from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

PER_SLICE = 100
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


def slices(service: Obj, pods: Iterable[Obj]) -> list[Obj]:
    """At least one slice, pods in order of their names."""
    behind = sorted((pod for pod in pods if _is_listed(pod)), key=objects.name)
    groups: dict[str, tuple[list[Obj], list[Obj]]] = {}
    for pod in behind:
        ports = _ports(service, pod)
        groups.setdefault(repr(ports), (ports, []))[1].append(_endpoint(service, pod))
    if not groups:
        groups[""] = ([], [])
    parts = [(ports, found[i : i + PER_SLICE]) for ports, found in groups.values() for i in range(0, max(1, len(found)), PER_SLICE)]
    return [_slice(service, number, ports, found) for number, (ports, found) in enumerate(parts)]


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
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": objects.name(service),
            "namespace": objects.namespace(service),
            "labels": {
                **objects.labels(service),
                "endpoints.kubernetes.io/managed-by": "endpoint-controller",
                **({HEADLESS: ""} if is_headless(service) else {}),
            },
        },
        "subsets": [{field: value for field, value in subset.items() if value} for subset in subsets.values()],
    }


def listed_in(pod: Obj) -> Iterable[str]:
    """Index function: the namespace, of pods that can be behind a service."""
    return (objects.namespace(pod),) if _is_listed(pod) else ()


def _is_listed(pod: Obj) -> bool:
    return bool(objects.status(pod).get("podIP")) and not podlib.is_terminal(pod)


def _publishes_all(service: Obj) -> bool:
    return bool(objects.spec(service).get("publishNotReadyAddresses"))


def _endpoint(service: Obj, pod: Obj) -> Obj:
    ready, leaving = podlib.is_ready(pod), objects.is_deleting(pod)
    publish = _publishes_all(service)
    found: Obj = {
        "addresses": [objects.status(pod)["podIP"]],
        "conditions": {"ready": publish or (ready and not leaving), "serving": publish or ready, "terminating": leaving},
        "targetRef": _target(pod),
    }
    if node := podlib.node_name(pod):
        found["nodeName"] = node
    if hostname := _hostname(service, pod):
        found["hostname"] = hostname
    return found


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


def _slice(service: Obj, number: int, ports: list[Obj], found: list[Obj]) -> Obj:
    name = objects.name(service)
    digest = hashlib.blake2b(f"{objects.uid(service)}/{number}".encode(), digest_size=3).hexdigest()[:5]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name[:57]}-{digest}",
            "namespace": objects.namespace(service),
            "labels": {
                **objects.labels(service),
                SERVICE_NAME: name,
                MANAGED_BY: SLICE_MANAGER,
                **({HEADLESS: ""} if is_headless(service) else {}),
            },
            "ownerReferences": [objects.owner_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": found,
        "ports": ports,
    }
