"""Who manages the number of replicas, seen through /scale: the object's managedFields as a Scale's, and back.

A Scale is no object of its own; what somebody comes to own of it is the replicas field of the object behind it, in an entry that says
`scale`. `subresources` calls `updated` and `applied` for writes to /scale. Pure.
Contract: apimachinery pkg/util/managedfields ScaleHandler, as it is: an entry that came through /scale bears no time.
"""

from collections.abc import Iterable, Sequence

from lightship.apiserver.requests import Request
from lightship.apiserver.verbs import applying, managed
from lightship.apiserver.verbs.managed import Owned
from lightship.meta.fields import ownership, sets
from lightship.meta.fields.comparing import Comparison
from lightship.meta.fields.ownership import UPDATE, Manager, fields_of, identity, with_fields
from lightship.meta.fields.sets import LEAF, Path
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import WriteOptions

SCALES = Resource(group="autoscaling", version="v1", kind="Scale", plural="scales")
_REPLICAS = sets.names("spec", "replicas")


def updated(owned: Owned, request: Request, old: Obj, *, changed: bool, options: WriteOptions, now: str) -> Sequence[Obj]:
    """The entries of an object after a write to its Scale, which changed the replicas or did not."""
    parents: Sequence[Obj] = old["metadata"].get("managedFields") or ()
    paths = _paths(owned)
    scales: Sequence[Obj] = to_scale(parents, paths)
    if scales:
        who = Manager(managed.manager(request, options), UPDATE, SCALES.api_version, "scale")
        change = Comparison({}, sets.of(_REPLICAS) if changed else {}, {})
        scales = ownership.updated(scales, who, {SCALES.api_version: change}, now)
    return to_parent(parents, scales, paths, owned.resource.api_version)


def applied(
    owned: Owned, request: Request, old: Obj, scale: Obj, config: Obj, options: WriteOptions, now: str
) -> tuple[Obj, Sequence[Obj]]:
    """The Scale with a configuration applied, and the entries of the object behind it. Raises as `applying.configure`."""
    parents: Sequence[Obj] = old["metadata"].get("managedFields") or ()
    paths = _paths(owned)
    live = {**scale, "metadata": {**scale["metadata"], "managedFields": to_scale(parents, paths)}}
    new = applying.configured(managed.of_kind(SCALES.group, SCALES.version, SCALES.kind), request, live, config, options, now)
    return new, to_parent(parents, new["metadata"]["managedFields"], paths, owned.resource.api_version)


def shown(owned: Owned, obj: Obj, scale: Obj) -> Obj:
    """The Scale of an object with those who manage its replicas."""
    entries = to_scale(obj["metadata"].get("managedFields") or (), _paths(owned))
    return {**scale, "metadata": {**scale["metadata"], **({"managedFields": entries} if entries else {})}}


def _paths(owned: Owned) -> dict[str, Path | None]:
    """Where each version of a kind keeps its replicas; None where it cannot be scaled."""
    found: dict[str, Path | None] = {}
    for served in owned.siblings():
        scale = served.resource.scale
        steps = [step for step in scale.spec_path.split(".") if step] if scale is not None else []
        found[served.resource.api_version] = sets.names(*steps) if steps else None
    return found


def to_scale(entries: Iterable[Obj], paths: dict[str, Path | None]) -> list[Obj]:
    """The entries of those who manage the replicas, as entries of the Scale."""
    found = []
    for entry in entries:
        path = paths.get(entry["apiVersion"])
        if path is not None and sets.has(fields_of(entry), path):
            found.append({**entry, "apiVersion": SCALES.api_version, "fieldsV1": sets.of(_REPLICAS)})
    return ownership.in_order(found)


def to_parent(parents: Sequence[Obj], scales: Sequence[Obj], paths: dict[str, Path | None], version: str) -> list[Obj]:
    """The object's entries with what its Scale's say about the replicas."""
    left = {identity(entry): entry for entry in scales}
    times = {identity(entry): entry.get("time") for entry in parents}
    found: dict[str, Obj] = {}
    for entry in parents:
        if entry["apiVersion"] not in paths:
            continue
        name, path = identity(entry), paths[entry["apiVersion"]]
        if path is None or not sets.has(fields_of(entry), path):
            found[name] = entry
        elif name in left:
            found[name] = entry
            del left[name]
        else:
            rest = sets.difference(fields_of(entry), sets.of(path))
            if rest:
                found[name] = with_fields(entry, rest)
    own = paths.get(version) or _REPLICAS
    for name, entry in left.items():
        if sets.has(fields_of(entry), _REPLICAS):
            who = Manager(entry.get("manager", ""), entry["operation"], version, entry.get("subresource", ""))
            found[name] = who.entry(sets.of(own) or LEAF, times.get(name))
    return ownership.in_order(found.values())
