"""What endpoints tell of pods, remembered from one look at a large Service to the next.

A Service of thousands of pods is looked at again while they come one by one; what did not change since the last look is not decoded
anew. Called by `controller`, for Services with many pods only. Knows pods and nothing of Services.
"""

from collections.abc import Iterable

from lightship.client.informer import Informer
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

_META = ("name", "namespace", "uid", "labels", "deletionTimestamp")
_SPEC = ("nodeName", "hostname", "subdomain")
_STATUS = ("phase", "podIP", "podIPs")
_CONTAINERS = ("initContainers", "containers")


class Briefs:
    """For each Service the pods of its last look, by key and resourceVersion, cut down by `brief`."""

    def __init__(self, pods: Informer) -> None:
        self._pods = pods
        self._known: dict[Key, dict[Key, tuple[str, Obj]]] = {}

    def of(self, service: Key, keys: Iterable[Key]) -> list[Obj]:
        """These pods as they are now, for a look at `service`; who is not there is left out."""
        before, now = self._known.get(service, {}), {}
        for key in keys:
            version, known = self._pods.version(key), before.get(key)
            if known is not None and known[0] == version:
                now[key] = known
            elif (pod := self._pods.glance(key)) is not None:
                now[key] = (version, brief(pod))
        self._known[service] = now
        return [found for _, found in now.values()]

    def forget(self, service: Key) -> None:
        self._known.pop(service, None)


def brief(pod: Obj) -> Obj:
    """The part of a pod that `build` reads."""
    spec, status = objects.spec(pod), objects.status(pod)
    ports = {
        field: [{"ports": container["ports"]} for container in spec.get(field) or () if container.get("ports")] for field in _CONTAINERS
    }
    ready = [condition for condition in status.get("conditions") or () if condition.get("type") == "Ready"]
    return {
        "metadata": _only(objects.meta(pod), _META),
        "spec": {**_only(spec, _SPEC), **{field: found for field, found in ports.items() if found}},
        "status": {**_only(status, _STATUS), "conditions": ready},
    }


def _only(obj: Obj, fields: tuple[str, ...]) -> Obj:
    return {field: obj[field] for field in fields if field in obj}
