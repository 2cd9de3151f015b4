"""Which names a definition gets: those that it asks for, as far as no other of its group has them. Pure.

Called by `definitions` at every write of a definition, and again for the others of its group when names become free.
Contract: apiextensions-apiserver's naming controller, its reasons and texts included.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.meta.objects import Obj


class Taken(NamedTuple):
    """Names in use in one group: of resources (plural, singular, short), and of kinds (kind, list kind)."""

    resources: frozenset[str]
    kinds: frozenset[str]


class Verdict(NamedTuple):
    """What a definition is called, and why not as it wants to be (both empty: it is)."""

    accepted: Obj
    reason: str
    message: str


def taken(definitions: Iterable[Obj]) -> Taken:
    """What these definitions (of one group) have been given."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for crd in definitions:
        names = (crd.get("status") or {}).get("acceptedNames") or {}
        resources |= {names.get("plural") or "", names.get("singular") or "", *(names.get("shortNames") or ())}
        kinds |= {names.get("kind") or "", names.get("listKind") or ""}
    return Taken(frozenset(resources), frozenset(kinds))


def judge(wanted: Obj, accepted: Obj, used: Taken) -> Verdict:
    """Names for a definition that asks for `wanted` and has had `accepted`; `used` may have its own among them."""
    new: Obj = {**accepted}
    reason = message = ""
    for field, pool in (("plural", used.resources), ("singular", used.resources)):
        if _is_free(wanted.get(field), accepted.get(field), pool):
            new[field] = wanted.get(field) or ""
        else:
            reason, message = f"{field.capitalize()}Conflict", _in_use(wanted[field])
    mine = accepted.get("shortNames") or ()
    clashes = [n for n in wanted.get("shortNames") or () if n not in mine and not _is_free(n, "", used.resources)]
    if clashes:
        told = [_in_use(name) for name in clashes]
        reason, message = "ShortNamesConflict", told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    else:
        _set(new, "shortNames", wanted.get("shortNames"))
    for field, name in (("kind", "Kind"), ("listKind", "ListKind")):
        if _is_free(wanted.get(field), accepted.get(field), used.kinds):
            new[field] = wanted.get(field) or ""
        else:
            reason, message = f"{name}Conflict", _in_use(wanted[field])
    _set(new, "categories", wanted.get("categories"))
    return Verdict({k: v for k, v in new.items() if v or k in ("plural", "kind")}, reason, message)


def _is_free(wanted: str | None, accepted: str | None, used: frozenset[str]) -> bool:
    return (wanted or "") == (accepted or "") or (wanted or "") not in used


def _in_use(name: str) -> str:
    return f'"{name}" is already in use'


def _set(names: Obj, field: str, value: list[str] | None) -> None:
    names.pop(field, None)
    if value:
        names[field] = list(value)
