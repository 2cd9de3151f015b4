"""Versions of a workload that has no ReplicaSets: its templates, kept as ControllerRevisions, numbered in the order of their use.

Called by the controllers of StatefulSets and DaemonSets, in part by LeaderWorkerSets'; `Plan` is decided purely, `keep` carries it out.
Contract: Kubernetes 1.36 pkg/controller/history: names and hashes are upstream's, so that either controller goes on with the other's.
"""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from lightship.builtin import children
from lightship.builtin.podtemplate import ALPHABET
from lightship.client.client import Client
from lightship.kinds import CONTROLLER_REVISIONS
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

HASH = "controller-revision-hash"
"""By this pods say of which version they are."""
_OWN_HASH = {"StatefulSet": "controller.kubernetes.io/hash"}
"""By which label versions say their hash, where it is another."""
_LONGEST = 223
DEFAULT_LIMIT = 10
"""Versions that are kept where the owner does not say."""
_ESCAPES = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))
"""As encoding/json of Go writes them."""


class Plan(msgspec.Struct):
    """What to do so that there is a revision of today's template, and which one it is."""

    update: Obj
    """The revision of today's template."""
    create: bool = False
    renumber: int = 0
    """The number that an earlier version gets which is in use again."""


def ordered(revisions: Iterable[Obj]) -> list[Obj]:
    """The earliest first."""
    return sorted(revisions, key=lambda r: (number(r), objects.meta(r).get("creationTimestamp") or "", objects.name(r)))


def number(revision: Obj) -> int:
    return int(revision.get("revision") or 0)


def version(pod: Obj) -> str:
    """What a pod says of which version it is."""
    return objects.labels(pod).get(HASH, "")


def plan(owner: Obj, revisions: list[Obj], collisions: int) -> Plan:
    """`revisions` as `ordered`; `collisions` is how often a name was taken by another template."""
    wanted = revision_of(owner, number(revisions[-1]) + 1 if revisions else 1, collisions)
    equal = [revision for revision in revisions if is_equal(revision, wanted)]
    if not equal:
        return Plan(wanted, create=True)
    if is_equal(revisions[-1], wanted):
        return Plan(revisions[-1])
    return Plan(equal[-1], renumber=number(wanted))


def revision_of(owner: Obj, revision: int, collisions: int) -> Obj:
    """The ControllerRevision of an owner's template."""
    template = objects.spec(owner).get("template") or {}
    data = in_order({"spec": {"template": {**template, "$patch": "replace"}}})
    name = hashed(data, str(collisions))
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{objects.name(owner)[:_LONGEST]}-{name}",
            "namespace": objects.namespace(owner),
            "labels": {**((template.get("metadata") or {}).get("labels") or {}), _OWN_HASH.get(owner["kind"], HASH): name},
            "annotations": dict(objects.annotations(owner)),
            "ownerReferences": [objects.owner_reference(owner)],
        },
        "data": data,
        "revision": revision,
    }


def is_equal(one: Obj, other: Obj) -> bool:
    return bool(one.get("data") == other.get("data"))


def restored(owner: Obj, revision: Obj) -> Obj:
    """The template that a revision has kept; today's where it has none."""
    template = objects.get_path(revision, "data", "spec", "template")
    if template is None:
        template = objects.spec(owner).get("template") or {}
    return {field: value for field, value in template.items() if field != "$patch"}


def surplus(revisions: list[Obj], live: Collection[str], limit: int) -> list[Obj]:
    """Revisions beyond the history, the earliest first; those of the `live` names are no history yet."""
    past = [revision for revision in revisions if objects.name(revision) not in live]
    return past[: max(0, len(past) - limit)] if limit >= 0 else []


async def settle(client: Client, kind: Resource, owner: Obj, revisions: list[Obj]) -> Obj | None:
    """The revision of today's template, made where there is none; None when its name is another's: the status has that now, and the next
    look tries another."""
    collisions = int(objects.status(owner).get("collisionCount") or 0)
    update, taken = await keep(client, plan(owner, revisions, collisions))
    if not taken:
        return update
    await client.patch_status(kind, owner, {**objects.status(owner), "collisionCount": collisions + 1})
    return None


async def forget(client: Client, owner: Obj, revisions: list[Obj], live: Collection[str]) -> None:
    """Delete what is beyond the owner's history; revisions of the `live` names are in use."""
    limit = objects.spec(owner).get("revisionHistoryLimit")
    beyond = surplus(revisions, live, DEFAULT_LIMIT if limit is None else int(limit))
    await children.every(beyond, lambda revision: children.remove(client, CONTROLLER_REVISIONS, revision))


async def keep(client: Client, plan: Plan) -> tuple[Obj, bool]:
    """Carry a plan out. The revision of today's template, and whether its name was taken by another."""
    if plan.renumber:
        metadata = {"resourceVersion": objects.meta(plan.update)["resourceVersion"]}
        patch = {"metadata": metadata, "revision": plan.renumber}
        return await client.patch(CONTROLLER_REVISIONS, objects.name(plan.update), patch, objects.namespace(plan.update)), False
    if not plan.create:
        return plan.update, False
    try:
        return await children.create(client, CONTROLLER_REVISIONS, plan.update), False
    except errors.StatusError as error:
        if not errors.is_already_exists(error):
            raise
        found = await client.get_or_none(CONTROLLER_REVISIONS, objects.name(plan.update), objects.namespace(plan.update))
        if found is not None and not is_equal(found, plan.update):
            return plan.update, True
        raise


def in_order(value: Any) -> Any:
    """With sorted keys, as encoding/json of Go writes maps: `kubectl` and others compare the bytes."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def hashed(data: Obj, salt: str = "") -> str:
    """The hash of a version's data, which is `in_order`, in letters; another with another salt."""
    text = msgspec.json.encode(data)
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    return safe(str(_fnv(text + salt.encode())))


def safe(text: str) -> str:
    """A text in letters that spell nothing. Contract: apimachinery rand.SafeEncodeString."""
    return "".join(ALPHABET[ord(char) % len(ALPHABET)] for char in text)


def _fnv(data: bytes) -> int:
    """FNV-1, 32 bits."""
    found = 0x811C9DC5
    for byte in data:
        found = (found * 0x01000193 & 0xFFFFFFFF) ^ byte
    return found
