"""Which pods run on which node, and what those pods refer to: in step with the store from the first question on.

Asked by `authorizer`. Keeps names only; what a pod refers to is read from the stored pod when a node asks for the first time.
Contract: kube 1.36 plugin/pkg/auth/authorizer/node/graph.go.
"""

from collections.abc import Iterator
from typing import Any

from lightship.meta.objects import Obj
from lightship.store import Event, Store

MIRROR = "kubernetes.io/config.mirror"
_PODS = "core/pods"
Reference = tuple[str, str]
"""Plural and name of an object in the pod's namespace."""


class Graph:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._filled = False
        self._nodes: dict[str, dict[str, dict[str, frozenset[Reference] | None]]] = {}

    def runs(self, node: str, namespace: str, pod: str) -> bool:
        """Is this pod on that node?"""
        self._fill()
        return pod in self._nodes.get(node, {}).get(namespace, {})

    def needs(self, node: str, namespace: str, plural: str, name: str) -> bool:
        """Does a pod on the node refer to this object?"""
        self._fill()
        wanted = (plural, name)
        pods = self._nodes.get(node, {}).get(namespace, {})
        return any(wanted in (found if found is not None else self._read(pods, namespace, pod)) for pod, found in list(pods.items()))

    def needs_volume(self, node: str, name: str) -> bool:
        """Does a pod on the node use the claim that this volume is bound to?"""
        record = self._store.get(f"core/persistentvolumes//{name}")
        claim = (record.obj["spec"].get("claimRef") if record else None) or {}
        return self.needs(node, claim.get("namespace") or "", "persistentvolumeclaims", claim.get("name") or "")

    def named_by(self, key: str, *path: str) -> str:
        """The node that a stored object names in a field of its own; empty when there is no such object."""
        record = self._store.get(key)
        found: Any = record.obj if record else {}
        for step in path:
            found = (found or {}).get(step)
        return found or ""

    def _read(self, pods: dict[str, frozenset[Reference] | None], namespace: str, pod: str) -> frozenset[Reference]:
        record = self._store.get(f"{_PODS}/{namespace}/{pod}")
        found = pods[pod] = frozenset(references(record.obj)) if record else frozenset()
        return found

    def _fill(self) -> None:
        if not self._filled:
            self._filled = True
            self._store.listen(_PODS, self._changed)
            for record in self._store.list(_PODS + "/").records:
                self._put(record.obj)

    def _changed(self, event: Event) -> None:
        pod = event.record.obj
        if event.type == "DELETED":
            node, meta = pod["spec"].get("nodeName"), pod["metadata"]
            self._nodes.get(node or "", {}).get(meta["namespace"], {}).pop(meta["name"], None)
        else:
            self._put(pod)

    def _put(self, pod: Obj) -> None:
        node = pod["spec"].get("nodeName")
        if node:
            meta = pod["metadata"]
            # A pod's references do not change once it is on a node, but for what its status says of claims.
            pods = self._nodes.setdefault(node, {}).setdefault(meta["namespace"], {})
            if pods.get(meta["name"], _ABSENT) is not _ABSENT and not pod["spec"].get("resourceClaims"):
                return
            pods[meta["name"]] = None


_ABSENT = object()


def references(pod: Obj) -> Iterator[Reference]:
    """What a pod needs from its namespace. A mirror pod needs nothing: it came from the node itself."""
    spec, meta = pod["spec"], pod["metadata"]
    if MIRROR in (meta.get("annotations") or {}):
        return
    if spec.get("serviceAccountName"):
        yield "serviceaccounts", spec["serviceAccountName"]
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name") or ""
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume, meta["name"])
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            yield from _of_container(container)
    status = pod.get("status") or {}
    extended = status.get("extendedResourceClaimStatus") or {}
    for claim in (*(spec.get("resourceClaims") or ()), *(status.get("resourceClaimStatuses") or ()), extended):
        if claim.get("resourceClaimName"):
            yield "resourceclaims", claim["resourceClaimName"]


def _of_container(container: Obj) -> Iterator[Reference]:
    for source in container.get("envFrom") or ():
        yield from _of_sources(source, ("secretRef", "secrets", "name"), ("configMapRef", "configmaps", "name"))
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        yield from _of_sources(source, ("secretKeyRef", "secrets", "name"), ("configMapKeyRef", "configmaps", "name"))


def _of_volume(volume: Obj, pod: str) -> Iterator[Reference]:
    yield from _of_sources(
        volume,
        ("secret", "secrets", "secretName"),
        ("configMap", "configmaps", "name"),
        ("persistentVolumeClaim", "persistentvolumeclaims", "claimName"),
    )
    if volume.get("ephemeral"):
        yield "persistentvolumeclaims", f"{pod}-{volume['name']}"
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield from _of_sources(source, ("secret", "secrets", "name"), ("configMap", "configmaps", "name"))
    # Drivers whose credentials are Secrets, each in a field of its own.
    for driver in volume.values():
        if isinstance(driver, dict):
            for field in ("secretRef", "nodePublishSecretRef"):
                if isinstance(driver.get(field), dict) and driver[field].get("name"):
                    yield "secrets", driver[field]["name"]
            if isinstance(driver.get("secretName"), str):
                yield "secrets", driver["secretName"]


def _of_sources(source: Obj, *kinds: tuple[str, str, str]) -> Iterator[Reference]:
    for field, plural, name in kinds:
        found = source.get(field)
        if isinstance(found, dict) and found.get(name):
            yield plural, found[name]
