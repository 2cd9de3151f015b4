"""What the server says in the metadata of every object, and what clients may not change there. Pure.

Called by `writing` for every kind alike; what names and labels may look like is told in `meta.objectmeta`.
Contract: apimachinery pkg/api/validation/objectmeta.go, apiserver pkg/registry/rest.
"""

from lightship.meta.objectmeta import ANNOTATIONS_LIMIT, FOREGROUND, ORPHAN, check_new, check_update
from lightship.meta.objects import Obj

__all__ = ["ANNOTATIONS_LIMIT", "FOREGROUND", "ORPHAN", "carry_over", "check_new", "check_update", "stamp_new", "wipe_new"]

_SERVER_OWNED = frozenset({"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"})


def wipe_new(meta: Obj) -> None:
    """Take away, in place, what a client cannot say of a new object. (Of kinds that count no generations it can say any.)"""
    for field in _SERVER_OWNED & meta.keys():
        del meta[field]


def stamp_new(meta: Obj, uid: str, now: str, *, generation: bool) -> None:
    """Fill, in place, what the server says of a new object."""
    meta["uid"] = uid
    meta["creationTimestamp"] = now
    if generation:
        meta["generation"] = 1


def carry_over(new: Obj, old: Obj) -> None:
    """Put back, in place, what an update cannot change or may leave out."""
    for field in ("selfLink", "managedFields", "generation", "creationTimestamp"):
        new.pop(field, None)
        if field in old:
            new[field] = old[field]
    if not new.get("uid"):
        new["uid"] = old["uid"]
    if old.get("deletionTimestamp"):
        new["deletionTimestamp"] = old["deletionTimestamp"]
    if new.get("deletionGracePeriodSeconds") is None and "deletionGracePeriodSeconds" in old:
        new["deletionGracePeriodSeconds"] = old["deletionGracePeriodSeconds"]
    for field in [f for f, value in new.items() if value is None]:
        del new[field]
