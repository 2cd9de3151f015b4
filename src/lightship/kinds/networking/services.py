"""The Service resource: what the server decides, fills in and shows. What is wrong with one is told in `service_checks`.

Called by the server through `kinds.SERVICES`. Addresses and ports are given out by the server, which also decides the families, between
`prepare` and validation.
Contract: kube 1.36 pkg/apis/core/v1 defaults, pkg/registry/core/service strategy; printers.
"""

from typing import Any

from lightship.kinds import cells
from lightship.meta import objects, selectors
from lightship.meta.objects import Obj

from . import service_shape
from .service_shape import HEADLESS

__all__ = ["HEADLESS", "default", "is_headless", "prepare", "row"]

_EXTERNAL = ("NodePort", "LoadBalancer")
_AFFINITY_SECONDS = 10800
_LOAD_BALANCER = "LoadBalancer"
_EXTERNAL_NAME = "ExternalName"


def is_headless(service: Obj) -> bool:
    return objects.spec(service).get("clusterIP") == HEADLESS


def prepare(service: Obj, old: Obj | None) -> None:
    """The status is not the client's; an update that leaves out what was allocated keeps it."""
    spec = service.setdefault("spec", {})
    if old is None:
        service["status"] = {"loadBalancer": {}}
        service_shape.start(spec)
    else:
        service["status"] = old.get("status") or {"loadBalancer": {}}
        service_shape.keep(spec, objects.spec(old))
    if spec.get("type") == _EXTERNAL_NAME:
        spec.pop("internalTrafficPolicy", None)


def default(service: Obj) -> None:
    spec = service.setdefault("spec", {})
    spec["type"] = kind = spec.get("type") or "ClusterIP"
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if config.get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _AFFINITY_SECONDS}}
    for port in spec.get("ports") or ():
        port["protocol"] = port.get("protocol") or "TCP"
        port["targetPort"] = port.get("targetPort") or port.get("port", 0)
    if service_shape.is_external(spec):
        spec["externalTrafficPolicy"] = spec.get("externalTrafficPolicy") or "Cluster"
    if kind in ("ClusterIP", *_EXTERNAL):
        spec["internalTrafficPolicy"] = spec.get("internalTrafficPolicy") or "Cluster"
    if kind == _LOAD_BALANCER:
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def prepare_status(service: Obj, old: Obj | None) -> None:
    """An address is a virtual one unless its balancer says otherwise."""
    if objects.spec(service).get("type") == _LOAD_BALANCER:
        for entry in (objects.status(service).get("loadBalancer") or {}).get("ingress") or ():
            if entry.get("ip"):
                entry.setdefault("ipMode", "VIP")


def row(service: Obj, now: float) -> list[Any]:
    spec = objects.spec(service)
    kind = spec.get("type") or "ClusterIP"
    address = cells.NONE if kind == _EXTERNAL_NAME else spec.get("clusterIP") or cells.NONE
    shown = selectors.format_labels(spec.get("selector"))
    return [objects.name(service), kind, address, _external(service, kind), _ports(spec), cells.created(service, now), shown]


def _external(service: Obj, kind: str) -> str:
    spec = objects.spec(service)
    if kind == _EXTERNAL_NAME:
        return spec.get("externalName") or ""
    ingress = (objects.status(service).get("loadBalancer") or {}).get("ingress") or []
    given = [i.get("ip") or i.get("hostname") or "" for i in ingress] if kind == _LOAD_BALANCER else []
    return cells.joined([*given, *(spec.get("externalIPs") or ())], "<pending>" if kind == _LOAD_BALANCER else cells.NONE)


def _ports(spec: Obj) -> str:
    parts = []
    for port in spec.get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        parts.append(f"{port.get('port')}{node}/{port.get('protocol') or 'TCP'}")
    return cells.joined(parts)
