"""The Service `default/kubernetes`, by which pods find the API: its address is the first of the range, its endpoint is this server.

`main` calls `announce` once it knows where pods reach the server; whatever a former run has left is brought up to date. Speaks the API like
any client. Contract: kube 1.36 pkg/controlplane/controller/kubernetesservice, pkg/controlplane/reconcilers.
"""

import ipaddress

from lightship.kinds import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from lightship.kinds.networking.address_ranges import SERVICE_CIDR, Range
from lightship.meta import errors
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import Transport

NAMESPACE, NAME = "default", "kubernetes"
_PORT = 443


async def announce(transport: Transport, address: str, port: int, *, cidr: str = SERVICE_CIDR) -> None:
    """Say where the API is. No endpoints may name a loopback address, so of a server that only this machine reaches none are told."""
    await _ensure(transport, SERVICES, _service(port, Range(cidr).first()), "spec")
    if not ipaddress.ip_address(address).is_loopback:
        await _ensure(transport, ENDPOINTS, _endpoints(address, port), "subsets")
        await _ensure(transport, ENDPOINT_SLICES, _slice(address, port), "endpoints", "ports")


async def _ensure(transport: Transport, resource: Resource, wanted: Obj, *fields: str) -> None:
    try:
        found = await transport.get(resource, NAMESPACE, NAME)
    except errors.StatusError as error:
        if not errors.is_not_found(error):
            raise
        await transport.create(resource, NAMESPACE, wanted)
        return
    changed = {**found, **{field: wanted[field] for field in fields}}
    if resource is SERVICES:
        changed["spec"] = {**found["spec"], "ports": wanted["spec"]["ports"]}
    if changed != found:
        await transport.update(resource, NAMESPACE, NAME, changed)


def _head(resource: Resource, labels: dict[str, str]) -> Obj:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels}}


def _service(port: int, cluster_ip: str) -> Obj:
    ports = [{"name": "https", "protocol": "TCP", "port": _PORT, "targetPort": port}]
    spec = {"type": "ClusterIP", "clusterIP": cluster_ip, "sessionAffinity": "None", "ports": ports}
    return {**_head(SERVICES, {"component": "apiserver", "provider": "kubernetes"}), "spec": spec}


def _endpoints(address: str, port: int) -> Obj:
    subset = {"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}
    return {**_head(ENDPOINTS, {"endpointslice.kubernetes.io/skip-mirror": "true"}), "subsets": [subset]}


def _slice(address: str, port: int) -> Obj:
    endpoint = {"addresses": [address], "conditions": {"ready": True}}
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    head = _head(ENDPOINT_SLICES, {"kubernetes.io/service-name": NAME})
    return {**head, "addressType": "IPv4", "endpoints": [endpoint], "ports": ports}
