"""Versions of a set: what its groups are made of, kept as ControllerRevisions, so that a group in the middle of an update can be remade as
it was.

Pure; asked by `sync` and `groups`. Names and hashes are upstream's, so that either manager goes on with the other's versions.
Contract: LeaderWorkerSet 0.9 pkg/utils/revision.
"""

from collections.abc import Iterable
from typing import Any

from lightship.builtin import history
from lightship.builtin.leaderworkerset import terms
from lightship.builtin.leaderworkerset.rules import template
from lightship.kinds import amounts
from lightship.meta import objects
from lightship.meta.objects import Obj

_LONGEST = 220
_OMITTED_EMPTY = frozenset({"labels", "annotations", "nodeSelector", "matchLabels", "limits", "requests"})
"""Maps that Go leaves out when there is nothing in them."""


def key(obj: Obj | None) -> str:
    """The version that an object says it is of."""
    return objects.labels(obj or {}).get(terms.REVISION, "")


def owned(lws: Obj, revisions: Iterable[Obj]) -> list[Obj]:
    """Those of the set and of nobody."""
    own = [r for r in revisions if objects.labels(r).get(terms.NAME) == objects.name(lws)]
    return [r for r in own if objects.controller_of(r) is None or objects.is_controlled_by(r, lws)]


def newest(revisions: Iterable[Obj]) -> Obj | None:
    return max(revisions, key=history.number, default=None)


def find(revisions: Iterable[Obj], wanted: str) -> Obj | None:
    """The revision of a key, the latest where there are more; None for the empty key."""
    return newest(r for r in revisions if key(r) == wanted) if wanted else None


def make(lws: Obj, revisions: list[Obj], wanted: str = "") -> Obj:
    """The revision of what the set says now; under another key than its hash where there are objects already that go by one."""
    last = newest(revisions)
    number = history.number(last) + 1 if last else 1
    data = history.in_order(content(lws))
    hashed = history.hashed(data)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{objects.name(lws)[:_LONGEST]}-{hashed}-{number}",
            "namespace": objects.namespace(lws),
            "labels": {terms.NAME: objects.name(lws), terms.REVISION: wanted or hashed},
            "ownerReferences": [objects.owner_reference(lws)],
        },
        "data": data,
        "revision": number,
    }


def is_equal(one: Obj, other: Obj) -> bool:
    """Do two revisions say the same, in whatever spelling they were stored?"""
    return bool(one.get("data") == other.get("data")) or _plain(one.get("data")) == _plain(other.get("data"))


def content(lws: Obj) -> Obj:
    """The part of the spec that makes a version, as a patch that brings it back."""
    network = objects.spec(lws).get("networkConfig") or {"subdomainPolicy": terms.SHARED}
    whole = {"leaderWorkerTemplate": _as_go(template(lws)), "networkConfig": dict(network)}
    return {"spec": {field: {**value, "$patch": "replace"} for field, value in whole.items()}}


def restored(lws: Obj, revision: Obj) -> Obj:
    """The set as it was at that revision."""
    kept = objects.get_path(revision, "data", "spec") or {}
    parts = {field: {k: v for k, v in part.items() if k != "$patch"} for field, part in kept.items()}
    return {**lws, "spec": {**objects.spec(lws), **parts}}


def superseded(revisions: Iterable[Obj], current: str) -> list[Obj]:
    """What nobody needs once all groups are of the current version."""
    return [revision for revision in revisions if key(revision) != current]


def _as_go(template: Obj) -> Obj:
    """The template as Go's types write it: structs are there even when they are empty, absent things are not."""
    found: Obj = _pruned(template)
    for name in ("leaderTemplate", "workerTemplate"):
        if name in found:
            _complete_pod(found[name])
    for claim in found.get("volumeClaimTemplates") or ():
        for part in ("metadata", "spec", "status"):
            claim.setdefault(part, {})
        _complete_resources(claim["spec"])
    return found


def _complete_pod(pod: Obj) -> None:
    pod.setdefault("metadata", {})
    spec = pod.setdefault("spec", {})
    for group in ("containers", "initContainers"):
        for container in spec.get(group) or ():
            _complete_resources(container)


def _complete_resources(holder: Obj) -> None:
    for side in holder.setdefault("resources", {}).values():
        if isinstance(side, dict):
            amounts.canonical(side)


def _pruned(value: Any) -> Any:
    """A copy without nulls and lists of nothing."""
    if isinstance(value, dict):
        return {k: _pruned(v) for k, v in value.items() if v is not None and v != [] and not (k in _OMITTED_EMPTY and not v)}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """Without anything that is empty: what is left out and what is given as nothing are the same thing."""
    if isinstance(value, dict):
        return {k: plain for k, v in value.items() if (plain := _plain(v)) not in (None, {}, [])}
    return [_plain(item) for item in value] if isinstance(value, list) else value
