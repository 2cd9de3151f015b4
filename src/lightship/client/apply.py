"""What to change so that a live object has every field that somebody wants, and nothing else. Pure; called by `Client.apply`.

The result is a merge patch (RFC 7386) limited to the fields that are given: what others set or the server defaulted stays. It cannot
take away a field that an earlier apply set and this one no longer mentions, as server-side apply does; set such a field to None instead.
Why it is not that: controllers apply again and again what is there already, and a cache tells them so without asking any server.
"""

from typing import Any

from lightship.meta.objects import Obj

SERVER_SIDE_METADATA = ("creationTimestamp", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
"""Metadata that only the server writes; an object that was read before may still carry it, and it is no wish."""


def wish(obj: Obj, *, status_is_apart: bool) -> Obj:
    """`obj` without what a write to it could not change anyway."""
    wanted = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind") and not (status_is_apart and k == "status")}
    wanted["metadata"] = {k: v for k, v in obj.get("metadata", {}).items() if k not in SERVER_SIDE_METADATA}
    return wanted


def difference(live: Any, wanted: Obj) -> Obj:
    """The smallest merge patch after which `live` has all of `wanted`; empty when it has already."""
    patch: Obj = {}
    for field, value in wanted.items():
        found = live.get(field)
        if isinstance(value, dict) and isinstance(found, dict):
            inner = difference(found, value)
            if inner:
                patch[field] = inner
        elif not covers(found, value):
            patch[field] = value
    return patch


def covers(live: Any, wanted: Any) -> bool:
    """Does `live` say everything that `wanted` says? Lists must agree item by item, since a merge patch can only replace them whole."""
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return False
        return all(covers(live.get(field), value) for field, value in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(live, list) or len(live) != len(wanted):
            return not wanted and live is None
        return all(covers(have, want) for have, want in zip(live, wanted, strict=True))
    return bool(live == wanted) and isinstance(live, bool) == isinstance(wanted, bool)
