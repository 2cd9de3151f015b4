"""Which stage an emulated node enters next by default. Pure; the stages are in `nodes` and `failures`."""

from random import Random

from lightship.emulation import api
from lightship.emulation.defaults import failures, nodes
from lightship.emulation.defaults.asked import delay_of, drawn
from lightship.emulation.play import Due
from lightship.meta import conditions
from lightship.meta.objects import Obj


class NodeRules:
    """The `play.Rules` of nodes. `heartbeat` is the shortest and the longest time between two signs of life, in seconds."""

    def __init__(self, heartbeat: tuple[float, float] = nodes.HEARTBEAT_SECONDS) -> None:
        self._heartbeat = heartbeat

    def step(self, obj: Obj, now: float, random: Random) -> Due | None:
        """What comes next for a node. One that is silent does nothing, and one that shall fail stays as it is then."""
        metadata = obj["metadata"]
        annotations = metadata.get("annotations") or {}
        if api.SILENT in annotations:
            return None
        ready = conditions.get(obj, "Ready")
        if (metadata.get("labels") or {}).get(failures.NODE) == "true":
            if ready is None or ready.get("status") != "False":
                return Due(failures.OF_NODE, delay_of(failures.NODE, annotations, (1.0, 1.0), now, random))
            return None
        if ready is None or ready.get("status") != "True":
            return Due(nodes.INITIALIZE, 0.0)
        return Due(nodes.HEARTBEAT, drawn(*self._heartbeat, random))
