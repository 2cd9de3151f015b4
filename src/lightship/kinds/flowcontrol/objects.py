"""The FlowSchemas and PriorityLevelConfigurations that every server has: the mandatory ones and those that it suggests.

Read by the checks of these kinds, which hold the mandatory ones to their specs, and by the server, which makes what is missing when it
starts. The data is made by tools/make_flowcontrol_data.py from a running kube-apiserver.
Contract: kube 1.36 pkg/apis/flowcontrol/bootstrap.
"""

from functools import lru_cache
from pathlib import Path

from lightship.meta import codec, packed
from lightship.meta.objects import Obj, copy

_DATA = Path(__file__).parent.parent / "data" / "flowcontrol.json"
_API_VERSION = "flowcontrol.apiserver.k8s.io/v1"
_MANDATORY = ("catch-all", "exempt")
UPDATED = "apf.kubernetes.io/autoupdate-spec"
"""The annotation of objects that the server may bring up to date."""


@lru_cache(maxsize=1)
def _found() -> dict[str, dict[str, Obj]]:
    """Specs by kind and name."""
    found: dict[str, dict[str, Obj]] = codec.decode(packed.read(_DATA))
    return found


def mandatory(kind: str, name: str) -> Obj | None:
    """The object of that name if no cluster may be without it. Shared: never mutate."""
    return _made(kind, name) if name in _MANDATORY else None


def bootstrap() -> list[Obj]:
    """All of them, new and private to the caller; levels before the schemas that refer to them."""
    kinds = ("PriorityLevelConfiguration", "FlowSchema")
    return [copy(_made(kind, name)) for kind in kinds for name in _found()[kind]]


def found(schema: Obj, now: str) -> Obj:
    """The condition of a schema whose level is there, as of a time in RFC 3339."""
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    message = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" and it exists'
    return {"type": "Dangling", "status": "False", "lastTransitionTime": now, "reason": "Found", "message": message}


@lru_cache(maxsize=64)
def _made(kind: str, name: str) -> Obj:
    metadata = {"name": name, "annotations": {UPDATED: "true"}}
    return {"apiVersion": _API_VERSION, "kind": kind, "metadata": metadata, "spec": _found()[kind][name]}
