"""Cluster names and service addresses: what DNS answers, and where connections to a Service go.

Pure questions over the objects that the agent's informers hold; the DNS server and the relay of the low half ask through `Names`.
Contract: Kubernetes DNS-Based Service Discovery 1.1.0 (A records): services, headless services, `hostname.subdomain` of pods.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from lightship.client.informer import Informer
from lightship.kinds import pods as pod_facts
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

from . import facts as network

DOMAIN = network.CLUSTER_DOMAIN
_REACHABLE = "node/reachable"


class Objects(Protocol):
    """What `Names` needs of an informer."""

    def get(self, key: Key) -> Obj | None: ...

    def list(self, namespace: str = "") -> Sequence[Obj]: ...


class Reachable:
    """Of all pods those that have an address and have not ended: `Objects` that are few, however many pods there are."""

    def __init__(self, pods: Informer) -> None:
        self._pods = pods
        pods.add_index(_REACHABLE, _reachable)

    def get(self, key: Key) -> Obj | None:
        return self._pods.get(key)

    def list(self, namespace: str = "") -> Sequence[Obj]:
        """Those of one namespace."""
        return self._pods.by_index(_REACHABLE, namespace)


class Backend(NamedTuple):
    """One place a service's port leads to."""

    address: str
    port: int


class Names:
    """Answers for one cluster, from informers of all pods and services."""

    def __init__(self, pods: Objects, services: Objects, *, domain: str = DOMAIN) -> None:
        self._pods = pods
        self._services = services
        self._suffix = "." + domain

    def addresses(self, name: str) -> list[str] | None:
        """IPv4 addresses of a full name (with or without the last dot): empty when it has none now, None when there is no such name."""
        wanted = name.rstrip(".").lower()
        if not wanted.endswith(self._suffix):
            return None
        labels = wanted.removesuffix(self._suffix).split(".")
        if labels[-1] == "svc" and 3 <= len(labels) <= 4:
            return self._service(labels[-3], labels[-2], labels[0] if len(labels) == 4 else "")
        if labels[-1] == "pod" and len(labels) == 3:
            return _dashed(labels[0])
        return None

    def _service(self, name: str, namespace: str, hostname: str) -> list[str] | None:
        if (namespace, name, hostname) == ("default", "kubernetes", ""):
            return [network.API_ADDRESS]
        service = self._services.get(Key(namespace, name))
        if service is None:
            return None
        address = objects.spec(service).get("clusterIP") or ""
        if address not in ("", "None"):
            # Nobody forwards virtual addresses here: where pods are behind one, the name leads to them.
            return None if hostname else self._behind(service, namespace) or [address]
        found = sorted(
            pod_ip(pod)
            for pod in endpoints(service, self._pods.list(namespace))
            if not hostname or (hostname, name) == (pod_hostname(pod), objects.spec(pod).get("subdomain"))
        )
        return found or (None if hostname else [])

    def _behind(self, service: Obj, namespace: str) -> list[str]:
        return sorted(pod_ip(pod) for pod in endpoints(service, self._pods.list(namespace)))

    def backends(self, address: str, port: int, protocol: str = "TCP") -> list[Backend] | None:
        """Where a connection to a service address may go; None when no service has it, empty when nothing is ready behind it."""
        for service in self._services.list():
            spec = objects.spec(service)
            if spec.get("clusterIP") != address:
                continue
            for entry in spec.get("ports") or ():
                if entry["port"] == port and (entry.get("protocol") or "TCP") == protocol:
                    ready = endpoints(service, self._pods.list(objects.namespace(service)))
                    return [Backend(pod_ip(pod), target) for pod in ready if (target := target_port(entry, pod))]
            return []
        return None


def endpoints(service: Obj, pods: Iterable[Obj]) -> list[Obj]:
    """The pods a service leads to: selected, with an address, ready (or published before they are)."""
    selector = objects.spec(service).get("selector")
    if not selector:
        return []
    everyone = bool(objects.spec(service).get("publishNotReadyAddresses"))
    return [
        pod
        for pod in pods
        if _selected(selector, pod)
        and pod_ip(pod)
        and not pod_facts.is_terminal(pod)
        and (everyone or (pod_facts.is_ready(pod) and not objects.is_deleting(pod)))
    ]


def _selected(selector: Obj, pod: Obj) -> bool:
    labels = objects.labels(pod)
    return all(labels.get(key) == value for key, value in selector.items())


def pod_ip(pod: Obj) -> str:
    return objects.status(pod).get("podIP") or ""


def _reachable(pod: Obj) -> Iterable[str]:
    return (objects.namespace(pod),) if pod_ip(pod) and not pod_facts.is_terminal(pod) else ()


def pod_hostname(pod: Obj) -> str:
    """The hostname a pod asks for; only those have a name of their own below their subdomain."""
    return objects.spec(pod).get("hostname") or ""


def target_port(entry: Obj, pod: Obj) -> int:
    """The port of the pod that a service port means; 0 when it names one that the pod does not declare."""
    target = entry.get("targetPort") or entry["port"]
    if isinstance(target, int):
        return target
    for container in objects.spec(pod).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == target:
                return int(port["containerPort"])
    return 0


def _dashed(label: str) -> list[str] | None:
    """`10-244-0-7` → its address."""
    try:
        return [str(ipaddress.IPv4Address(label.replace("-", ".")))]
    except ValueError:
        return None
