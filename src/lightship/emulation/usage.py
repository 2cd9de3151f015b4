"""What emulated pods use: what their annotations say, so that whatever goes by usage (autoscalers, `kubectl top`) can be tried on them.

`main` hands out a `MeasuredNode` in the place of a node's own web server; nothing is worked out until somebody asks.
Contract: kwok 0.8.0, metrics/usage: annotations `kwok.x-k8s.io/usage-cpu` and `-memory` are of each container, `1m` and `1Mi` without them.
"""

from collections.abc import Iterable

from lightship.aio.clock import Clock
from lightship.client.informer import Informer
from lightship.emulation import api
from lightship.emulation.connection import EmulatedNode
from lightship.kinds import pods as podlib
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.meta.rest import Measured, Measurement

WINDOW = 15.0
_ON_NODE = "emulation/pods-by-node"


class MeasuredNode(EmulatedNode):
    """An emulated node that can say what its pods use."""

    def __init__(self, name: str, pods: Informer, clock: Clock) -> None:
        super().__init__(name)
        self._pods = pods
        self._clock = clock

    async def measure(self) -> Measurement:
        self._pods.add_index(_ON_NODE, _on_node)
        return measurement(self._pods.by_index(_ON_NODE, self._name), self._clock.now())


def measurement(pods: Iterable[Obj], now: float) -> Measurement:
    """What a node and the pods on it use. `now` is in seconds since the epoch."""
    used = {
        objects.uid(pod): dict.fromkeys((c["name"] for c in podlib.containers(pod)), of_container(pod))
        for pod in pods
        if podlib.phase(pod) == "Running"
    }
    each = [container for containers in used.values() for container in containers.values()]
    return Measurement(now, WINDOW, Measured(sum(c.cpu for c in each), sum(c.memory for c in each)), used)


def of_container(pod: Obj) -> Measured:
    """What each container of a pod uses; what cannot be read as a quantity is as if it were not said."""
    said = objects.annotations(pod)
    cpu, memory = _amount(said.get(api.USAGE_CPU), "1m"), _amount(said.get(api.USAGE_MEMORY), "1Mi")
    return Measured(int(cpu * 10**9), int(memory))


def _amount(text: str | None, otherwise: str) -> float:
    try:
        return float(quantity.parse(text or otherwise))
    except ValueError:
        return float(quantity.parse(otherwise))


def _on_node(pod: Obj) -> Iterable[str]:
    return (podlib.node_name(pod),) if podlib.node_name(pod) else ()
