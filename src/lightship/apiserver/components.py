"""ComponentStatuses: what old clients ask for to see whether a cluster is well. Nothing of it is stored.

Called by `registry` in the place of reading. All parts are one program here, so they are well while it answers.
Contract: core/v1 ComponentStatus (deprecated since 1.19).
"""

from lightship.kinds import COMPONENT_STATUSES
from lightship.meta import codec, errors
from lightship.meta.objects import Obj
from lightship.store import Record

from .requests import Answer, Page

BUCKET = COMPONENT_STATUSES.bucket
_NAMES = ("controller-manager", "scheduler", "etcd-0")


def get(name: str) -> Answer:
    """200, or 404."""
    if name not in _NAMES:
        raise errors.not_found("componentstatus", name)
    return Answer(record=_record(name))


def page(revision: int) -> Page:
    return Page([_record(name) for name in _NAMES], revision)


def _record(name: str) -> Record:
    healthy = {"type": "Healthy", "status": "True", "message": "ok"}
    obj: Obj = {"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [healthy]}
    return Record(f"{BUCKET}//{name}", codec.encode(obj), 0, obj)
