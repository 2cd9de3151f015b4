"""What becomes of an object, as a table over the states of its owners."""

from typing import Any

import pytest

from lightship.builtin.garbage.decide import FOREGROUND, ORPHAN, Decision, Delete, Disown, Finish, Keep, Owner, Release, decide
from lightship.meta.objects import Obj


def thing(name: str = "x", *, leaving: bool = False, finalizers: tuple[str, ...] = (), owners: tuple[Obj, ...] = ()) -> Obj:
    meta: Obj = {"name": name, "uid": f"uid-{name}", "finalizers": list(finalizers), "ownerReferences": list(owners)}
    if leaving:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": meta}


def owned_by(name: str, *, blocks: bool = True) -> Obj:
    return {"uid": f"uid-{name}", "name": name, "blockOwnerDeletion": blocks}


CHILD = thing("child", owners=(owned_by("x"),))
LOOSE = thing("child", owners=(owned_by("x", blocks=False),))
LEAVING_CHILD = thing("child", leaving=True, finalizers=(FOREGROUND,), owners=(owned_by("x"),))
HERE, GONE, WAITS = Owner.SOLID, Owner.ABSENT, Owner.WAITING

TABLE: list[tuple[str, Obj, dict[str, Owner], list[Any], Decision]] = [
    ("owned by nobody", thing(), {}, [], Keep()),
    ("its owner is there", thing(), {"a": HERE}, [], Keep()),
    ("its owner is gone", thing(), {"a": GONE}, [], Delete("Background")),
    ("all are gone", thing(), {"a": GONE, "b": GONE}, [CHILD], Delete("Background")),
    ("one is there, one is gone", thing(), {"a": HERE, "b": GONE}, [], Disown(frozenset({"b"}))),
    ("one is there, one waits", thing(), {"a": HERE, "b": WAITS}, [], Disown(frozenset({"b"}))),
    ("its owner waits for it", thing(), {"a": WAITS}, [], Delete("Background")),
    ("its owner waits, and it has dependents", thing(), {"a": WAITS}, [CHILD], Delete("Foreground")),
    ("they wait in a circle", thing(), {"a": WAITS}, [LEAVING_CHILD], Delete("Foreground", unblock=True)),
    ("it asked to orphan", thing(finalizers=(ORPHAN,)), {"a": GONE}, [CHILD], Delete("Orphan")),
    ("it asked for the foreground", thing(finalizers=(FOREGROUND,)), {"a": GONE}, [CHILD], Delete("Foreground")),
    ("it is going", thing(leaving=True), {"a": GONE}, [CHILD], Keep()),
    ("it waits for a dependent", thing(leaving=True, finalizers=(FOREGROUND,)), {}, [CHILD], Keep()),
    ("nothing blocks it", thing(leaving=True, finalizers=(FOREGROUND,)), {}, [LOOSE], Finish(FOREGROUND)),
    ("nothing is left", thing(leaving=True, finalizers=(FOREGROUND,)), {}, [], Finish(FOREGROUND)),
    ("its dependents stay", thing(leaving=True, finalizers=(ORPHAN,)), {}, [CHILD], Release()),
]


@pytest.mark.parametrize(("name", "obj", "owners", "dependents", "want"), TABLE, ids=[row[0] for row in TABLE])
def test_decide(name: str, obj: Obj, owners: dict[str, Owner], dependents: list[Obj], want: Decision) -> None:
    assert decide(obj, owners, dependents) == want
