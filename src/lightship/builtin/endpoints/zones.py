"""The zone of each node that has one, as nodes come, move and go. Asked by `controller`, of nodes that pods are on.

Told by the informer of nodes and never asks it, so that a look at thousands of pods is not one at thousands of nodes; what is kept are the
nodes that there are. Knows no Services. Contract: the label topology.kubernetes.io/zone.
"""

from collections.abc import Iterable

from lightship.client.informer import Informer
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

ZONE = "topology.kubernetes.io/zone"


class Zones:
    """By name of the node."""

    def __init__(self, nodes: Informer) -> None:
        self._zones: dict[str, str] = {}
        nodes.on_change(self._changed)

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._zones)

    def of(self, pods: Iterable[Obj]) -> dict[str, str]:
        """Those of the nodes that pods are on, where these have one."""
        names = {objects.spec(pod).get("nodeName") or "" for pod in pods}
        return {name: zone for name in names if (zone := self._zones.get(name))}

    def _changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        zone = objects.labels(new).get(ZONE) if new is not None else None
        if zone:
            self._zones[key.name] = zone
        else:
            self._zones.pop(key.name, None)
