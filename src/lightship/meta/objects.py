"""The shape all objects share: identity, metadata, ownership.

An object is the plain JSON dict that travels on the wire (`Obj`), so unknown fields survive every round trip. Objects handed out by
stores, caches and clients are shared: never mutate one, use `copy()` first. Called by every room; knows no kind.
Contract: apimachinery `metav1.ObjectMeta`, `metav1.OwnerReference`.
"""

from typing import Any, NamedTuple, TypeAlias

Obj: TypeAlias = dict[str, Any]
"""One API object as decoded JSON."""


_ATOMS = frozenset({str, int, float, bool, type(None)})
"""Classes whose values need no copy."""


class GVK(NamedTuple):
    """Group, version and kind: what an object says it is."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


class Key(NamedTuple):
    """Namespace and name of an object; the namespace is empty for cluster-scoped kinds. Queues hold these."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def copy(value: Any) -> Any:
    """A deep copy of JSON data: several times faster than `copy.deepcopy`, which must care for cycles and classes."""
    if isinstance(value, dict):
        new = dict(value)
        for key, item in value.items():
            if item.__class__ not in _ATOMS:
                new[key] = copy(item)
        return new
    if isinstance(value, list):
        return [item if item.__class__ in _ATOMS else copy(item) for item in value]
    return value


def split_api_version(api_version: str) -> tuple[str, str]:
    """Split `apps/v1` into group and version; the core group is empty."""
    group, _, version = api_version.rpartition("/")
    return group, version


def gvk(obj: Obj) -> GVK:
    group, version = split_api_version(obj.get("apiVersion", ""))
    return GVK(group, version, obj.get("kind", ""))


def meta(obj: Obj) -> Obj:
    """The metadata of an object, or an empty dict; treat it as read-only."""
    found = obj.get("metadata")
    return found if isinstance(found, dict) else {}


def name(obj: Obj) -> str:
    found: str = meta(obj).get("name") or ""
    return found


def namespace(obj: Obj) -> str:
    found: str = meta(obj).get("namespace") or ""
    return found


def key(obj: Obj) -> Key:
    return Key(namespace(obj), name(obj))


def uid(obj: Obj) -> str:
    found: str = meta(obj).get("uid") or ""
    return found


def labels(obj: Obj) -> dict[str, str]:
    return meta(obj).get("labels") or {}


def annotations(obj: Obj) -> dict[str, str]:
    return meta(obj).get("annotations") or {}


def revision(obj: Obj) -> int:
    """The resourceVersion as the comparable integer it is (KEP-5504); 0 when absent."""
    return int(meta(obj).get("resourceVersion") or 0)


def generation(obj: Obj) -> int:
    return int(meta(obj).get("generation") or 0)


def is_deleting(obj: Obj) -> bool:
    return bool(meta(obj).get("deletionTimestamp"))


def spec(obj: Obj) -> Obj:
    return obj.get("spec") or {}


def status(obj: Obj) -> Obj:
    return obj.get("status") or {}


def get_path(obj: Any, *path: str | int) -> Any:
    """Walk into nested dicts and lists; None as soon as a step is missing."""
    for step in path:
        if isinstance(obj, dict):
            obj = obj.get(step)
        elif isinstance(obj, list) and isinstance(step, int) and -len(obj) <= step < len(obj):
            obj = obj[step]
        else:
            return None
    return obj


def owner_reference(owner: Obj, *, controller: bool = True, block_deletion: bool = True) -> Obj:
    """The reference that makes `owner` the (controlling) owner of another object."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name(owner),
        "uid": uid(owner),
        "controller": controller,
        "blockOwnerDeletion": block_deletion,
    }


def owners(obj: Obj) -> list[Obj]:
    return meta(obj).get("ownerReferences") or []


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference with `controller: true`, if any."""
    return next((ref for ref in owners(obj) if ref.get("controller")), None)


def is_controlled_by(obj: Obj, owner: Obj) -> bool:
    found = controller_of(obj)
    return found is not None and found.get("uid") == uid(owner)
