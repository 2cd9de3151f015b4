"""What becomes of one object, given the state of its owners and what depends on it. Pure; called by `controller`.

Contract: Kubernetes garbage collector: an object stays while one of its owners does; a foreground deletion waits for the dependents that
block it; a circle of owners that wait for each other is cut.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TypeAlias

import msgspec

from lightship.meta import objects
from lightship.meta.objects import Obj

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class Owner(Enum):
    SOLID = "solid"
    """It is there, and stays for all we know."""
    WAITING = "waiting"
    """It is being deleted in the foreground and waits for its dependents."""
    ABSENT = "absent"


class Keep(msgspec.Struct, frozen=True):
    """Nothing to do."""


class Delete(msgspec.Struct, frozen=True):
    """Delete it; `unblock` first lets its owners stop waiting for it, to cut a circle."""

    propagation: str
    unblock: bool = False


class Disown(msgspec.Struct, frozen=True):
    """Take these owners out of its references; others keep it."""

    uids: frozenset[str]


class Finish(msgspec.Struct, frozen=True):
    """Take the finalizer away: there is nothing left to wait for."""

    finalizer: str


class Release(msgspec.Struct, frozen=True):
    """Take it out of the owners of all its dependents, then finish it."""


Decision: TypeAlias = Keep | Delete | Disown | Finish | Release


def decide(obj: Obj, owners: Mapping[str, Owner], dependents: Sequence[Obj]) -> Decision:
    """`owners` is the state of each owner by uid; `dependents` are the objects that name `obj` as an owner."""
    if objects.is_deleting(obj):
        return _leaving(obj, dependents)
    if not owners:
        return Keep()
    states = set(owners.values())
    if Owner.SOLID in states:
        gone = frozenset(uid for uid, state in owners.items() if state is not Owner.SOLID)
        return Disown(gone) if gone else Keep()
    if Owner.WAITING in states and dependents:
        return Delete("Foreground", unblock=any(is_waiting(dependent) for dependent in dependents))
    return Delete(_propagation(obj))


def is_waiting(obj: Obj) -> bool:
    """Is it being deleted in the foreground?"""
    return objects.is_deleting(obj) and FOREGROUND in finalizers(obj)


def finalizers(obj: Obj) -> list[str]:
    return objects.meta(obj).get("finalizers") or []


def _leaving(obj: Obj, dependents: Sequence[Obj]) -> Decision:
    if ORPHAN in finalizers(obj):
        return Release()
    if FOREGROUND in finalizers(obj) and not any(_blocks(dependent, objects.uid(obj)) for dependent in dependents):
        return Finish(FOREGROUND)
    return Keep()


def _blocks(dependent: Obj, uid: str) -> bool:
    return any(ref.get("uid") == uid and ref.get("blockOwnerDeletion") for ref in objects.owners(dependent))


def _propagation(obj: Obj) -> str:
    """A finalizer that somebody put there in time says how its dependents shall go."""
    if ORPHAN in finalizers(obj):
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers(obj) else "Background"
