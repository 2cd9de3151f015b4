"""Reads a server's objects without starting a program for each look: pictures of two clusters are taken many times until they are alike.

Used by `worlds`; whoever writes, or wants to see what a user sees, uses kubectl. Refuses to know what it reads.
"""

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from lightship.client import kubeconfig
from lightship.meta import codec

Obj = dict[str, Any]
_SERVED = {
    "/api/v1": "endpoints events nodes persistentvolumeclaims persistentvolumes pods services",
    "/apis/apps/v1": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "/apis/autoscaling/v2": "horizontalpodautoscalers",
    "/apis/batch/v1": "cronjobs jobs",
    "/apis/discovery.k8s.io/v1": "endpointslices",
    "/apis/jobset.x-k8s.io/v1alpha2": "jobsets",
    "/apis/leaderworkerset.x-k8s.io/v1": "leaderworkersets",
    "/apis/networking.k8s.io/v1": "servicecidrs",
    "/apis/policy/v1": "poddisruptionbudgets",
}
_ROOTS = {name: root for root, names in _SERVED.items() for name in names.split()}
_OF_CLUSTERS = ("nodes", "persistentvolumes", "servicecidrs")
SECONDS = 60


class Reader:
    """One server, read by its administrator, from several threads at once."""

    def __init__(self, path: Path) -> None:
        cluster = kubeconfig.load(path)
        parts = urlsplit(cluster.server)
        self._address = (parts.hostname or "", parts.port or 443)
        self._tls = cluster.tls()
        self._headers = {"Authorization": f"Bearer {cluster.token}"} if cluster.token else {}
        self._idle: list[http.client.HTTPSConnection] = []

    def listed(self, *resources: str, labels: str = "", fields: str = "", namespace: str = "default") -> list[Obj]:
        """Objects of these kinds, in the order of the kinds. Raises `LookupError` where a kind is not served."""
        asked = {name: text for name, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}
        found: list[Obj] = []
        for resource in resources:
            answer = self._read(_path(resource, namespace) + ("?" + urlencode(asked) if asked else ""))
            version, kind = answer["apiVersion"], answer["kind"].removesuffix("List")
            found += [{"apiVersion": version, "kind": kind, **obj} for obj in answer["items"] or ()]
        return found

    def named(self, resource: str, name: str, *, namespace: str = "default") -> Obj:
        """One object. Raises `LookupError` where there is none."""
        return self._read(f"{_path(resource, namespace)}/{quote(name, safe='')}")

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _read(self, target: str) -> Obj:
        try:
            status, body = self._ask(target)
        except (http.client.HTTPException, OSError):  # a connection that the server has closed meanwhile
            self.close()
            status, body = self._ask(target)
        if status != http.HTTPStatus.OK:
            raise LookupError(f"GET {target}: {status} {body[:500]!r}")
        found: Obj = codec.decode(body)
        return found

    def _ask(self, target: str) -> tuple[int, bytes]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = http.client.HTTPSConnection(*self._address, context=self._tls, timeout=SECONDS)
        try:
            connection.request("GET", target, headers=self._headers)
            answer = connection.getresponse()
            body = answer.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer.status, body


def _path(resource: str, namespace: str) -> str:
    place = "" if resource in _OF_CLUSTERS else f"/namespaces/{namespace}"
    return f"{_ROOTS[resource]}{place}/{resource}"
