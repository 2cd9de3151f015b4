"""The end of a node, in good order: which pods end first, and how long each may take.

Pure; `Agent.shut_down` performs it. Contract: kubelet GracefulNodeShutdown (two groups by priority, texts of status and condition).
"""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj

CRITICAL = 2_000_000_000
"""The priority from which on pods are the system's own, and go last."""
REASON = "Terminated"
MESSAGE = "Pod was terminated in response to imminent node shutdown."
CLOSED_REASON = "NodeShutdown"
CLOSED_MESSAGE = "Pod was rejected as the node is shutting down."


class Group(NamedTuple):
    """Pods that end together."""

    seconds: float
    """How long the next group waits for this one."""
    graces: dict[str, float]
    """Seconds that each pod gets, by uid."""


def groups(pods: Iterable[Obj], seconds: float, critical: float) -> list[Group]:
    """The groups in the order of their ends: `seconds` for all together, `critical` of them for the system's own."""
    critical = min(critical, seconds)
    ordinary, last = Group(seconds - critical, {}), Group(critical, {})
    for pod in pods:
        group = last if int(objects.spec(pod).get("priority") or 0) >= CRITICAL else ordinary
        own = objects.spec(pod).get("terminationGracePeriodSeconds")
        group.graces[objects.uid(pod)] = min(group.seconds, float(30 if own is None else own))
    return [group for group in (ordinary, last) if group.graces]
