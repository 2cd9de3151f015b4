"""Which nodes a platform has that run pods, and what they are called.

Asked by `platform` when it starts. Pure, but for the name of the machine; the nodes themselves are the memory of what there was last time.
"""

import platform
import re
from collections.abc import Iterable

from lightship.emulation import api
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.machine import nodestatus
from lightship.node.runtimes import choice

ALL_EMULATED = "all nodes are emulated, as they were: `lightship up --agents 1` has one beside them that runs pods"


def is_ours(node: Obj) -> bool:
    """Is this a node of this platform that runs pods?"""
    return nodestatus.RUNTIME_ANNOTATION in objects.annotations(node)


def are_emulated(nodes: Iterable[Obj]) -> bool:
    """Are there emulated nodes, and none of ours that run pods?"""
    found = list(nodes)
    return any(api.is_emulated(node) for node in found) and not any(is_ours(node) for node in found)


def notes(chosen: choice.Chosen, unguarded: str) -> list[str]:
    """What pods do not get on this machine, for who starts the platform."""
    found = {
        "pods run in host mode, which protects nothing": chosen.reason,
        "limits are watched, not kept by the kernel": chosen.runtime.limits[1],
        "network policies are not enforced": unguarded if chosen.runtime.kind == "sandbox" else "",
    }
    return [f"{what}: {why}" for what, why in found.items() if why]


def name() -> str:
    """This machine's name as a node name (RFC 1123), as the kubelet makes it."""
    cleaned = re.sub(r"[^a-z0-9.-]+", "-", platform.node().lower()).strip("-.")
    return cleaned or "lightship"


def names(count: int) -> list[str]:
    """As many names: the machine's own, and numbered ones after it."""
    first = name()
    return [first, *(f"{first}-{number}" for number in range(2, count + 1))]
