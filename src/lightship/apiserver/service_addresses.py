"""Where a Service is reached from the API server's own process: one of its ready endpoints, else its virtual address.

The `outbound.Resolve` that `server.Server` uses unless it is given another. Endpoints come first, because nobody need forward virtual
addresses where this server runs. Contract: k8s.io/apiserver pkg/util/proxy ResolveEndpoint and ResolveCluster, their errors included.
"""

from collections.abc import Iterator

from lightship.meta import errors
from lightship.meta.objects import Obj
from lightship.store import Store

from .transport.outbound import Address, Resolve

_ROUTABLE = ("ClusterIP", "LoadBalancer", "NodePort", "")


def from_store(store: Store) -> Resolve:
    """Looks everything up anew at each call: a webhook's pods come and go."""

    def resolve(namespace: str, name: str, port: int) -> Address:
        record = store.get(f"core/services/{namespace}/{name}")
        if record is None:
            raise errors.not_found("service", name)
        spec: Obj = record.obj.get("spec") or {}
        if spec.get("type") == "ExternalName":
            return Address(spec.get("externalName") or "", port)
        if (spec.get("type") or "") not in _ROUTABLE:
            raise errors.unavailable(f'unsupported service type "{spec["type"]}"')
        served = next((p for p in spec.get("ports") or () if p.get("port") == port), None)
        if served is None:
            raise errors.unavailable(f'no service port {port} found for service "{name}"')
        found = next(ready(store, namespace, name, served.get("name") or ""), None)
        if found is not None:
            return found
        virtual = spec.get("clusterIP") or ""
        if not virtual or virtual == "None" or spec.get("selector"):
            raise errors.unavailable(f'no endpoints available for service "{name}"')
        return Address(virtual, port)

    return resolve


def ready(store: Store, namespace: str, name: str, port_name: str) -> Iterator[Address]:
    """Where the ready endpoints of a Service are, of its port of that name."""
    for record in store.list(f"discovery.k8s.io/endpointslices/{namespace}/").records:
        if (record.obj["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name:
            yield from _of_slice(record.obj, port_name)
    endpoints = store.get(f"core/endpoints/{namespace}/{name}")
    for subset in (endpoints.obj.get("subsets") or ()) if endpoints else ():
        for port in subset.get("ports") or ():
            if (port.get("name") or "") == port_name and port.get("port"):
                yield from (Address(a["ip"], port["port"]) for a in subset.get("addresses") or () if a.get("ip"))


def _of_slice(found: Obj, port_name: str) -> Iterator[Address]:
    ports = [p["port"] for p in found.get("ports") or () if (p.get("name") or "") == port_name and p.get("port")]
    for endpoint in found.get("endpoints") or ():
        if ports and (endpoint.get("conditions") or {}).get("ready") is not False and endpoint.get("addresses"):
            yield Address(endpoint["addresses"][0], ports[0])
