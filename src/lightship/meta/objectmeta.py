"""The rules of metadata: what names, labels, annotations, owners and finalizers may look like, on objects and inside of them. Pure.

Called by `apiserver.objectmeta` for every write, and wherever a schema says that a value is a whole object. Refuses to know any spec.
Contract: apimachinery pkg/api/validation/objectmeta.go.
"""

from collections.abc import Callable
from typing import Any

from lightship.meta import errors, names
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

ANNOTATIONS_LIMIT = 256 * 1024
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_BARE_FINALIZERS = frozenset({FOREGROUND, ORPHAN, "kubernetes", "customresourcecleanup.apiextensions.k8s.io"})
_CHECKED = ("labels", "annotations", "ownerReferences", "finalizers")
_IMMUTABLE = ("name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds")
_TOLD = (*_CHECKED, *_IMMUTABLE, "generateName")


def check_new(meta: Obj, rule: names.Rule, *, builtin: bool, prefixes: bool = True) -> list[Cause]:
    """Everything wrong with the metadata of an object that is to be created; its name was generated already.

    Without `prefixes` it does not matter what names are generated from.
    """
    causes: list[Cause] = []
    prefix = meta.get("generateName")
    if prefix and prefixes:
        # A prefix may end in a dash, which no name may: judge it with a letter behind it.
        causes += [errors.invalid_value("metadata.generateName", prefix, m) for m in names.problems(prefix + "a", rule)]
    name = meta.get("name")
    if not name:
        causes.append(errors.required("metadata.name", "name or generateName is required"))
    elif not names.follows(name, rule):
        causes += [errors.invalid_value("metadata.name", name, m) for m in names.problems(name, rule)]
    for field in _CHECKED:
        if meta.get(field):
            causes += _RULES[field](meta[field])
    return causes + _check_bare(meta) if builtin else causes


def check_update(new: Obj, old: Obj, rule: names.Rule, order: str, *, builtin: bool, prefixes: bool = True) -> list[Cause]:
    """Everything wrong with changed metadata, as often as the real server tells it. Call after `carry_over`.

    Every kind is asked what is wrong with new metadata and with changed ones; then each kind asks again, in an order of its own: `N` in
    `order` stands for the former, `U` for the latter.
    """
    if not any(new.get(field) != old.get(field) for field in _TOLD):
        return []
    changed = _changed(new, old)
    causes = check_new(new, "path", builtin=False) + changed
    for step in order:
        causes += (
            check_new(new, rule, builtin=builtin, prefixes=prefixes) if step == "N" else changed + (_check_bare(new) if builtin else [])
        )
    return causes


def _changed(new: Obj, old: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if old.get("deletionTimestamp"):
        extra = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if extra:
            listed = ", ".join(f'"{e}"' for e in extra)
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
            causes.append(errors.forbidden_field("metadata.finalizers", why))
    differing = [field for field in _IMMUTABLE if new.get(field) != old.get(field)]
    causes += [errors.invalid_value(f"metadata.{field}", new.get(field), "field is immutable") for field in differing]
    for field in ("labels", "annotations", "ownerReferences"):
        if new.get(field):
            causes += _RULES[field](new[field])
    return causes


def _check_labels(labels: dict[str, str]) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in labels.items():
        if not (names.follows(key, "qualified") and names.follows(value, "label-value")):
            causes += [errors.invalid_value("metadata.labels", key, m) for m in names.problems(key, "qualified")]
            causes += [errors.invalid_value("metadata.labels", value, m) for m in names.problems(value, "label-value")]
    return causes


def _check_annotations(annotations: dict[str, str]) -> list[Cause]:
    causes: list[Cause] = []
    size = 0
    for key, value in annotations.items():
        if not names.follows(key.lower(), "qualified"):
            causes += [errors.invalid_value("metadata.annotations", key, m) for m in names.problems(key.lower(), "qualified")]
        size += len(key) + len(value)
    if size > ANNOTATIONS_LIMIT:
        causes.append(errors.too_long("metadata.annotations", ANNOTATIONS_LIMIT))
    return causes


_NO_OWNERS = ("v1", "events.k8s.io/v1")
"""Versions whose Events are over before anything could depend on them."""


def _check_owners(owners: list[Obj]) -> list[Cause]:
    causes: list[Cause] = []
    controller = ""
    for owner in owners:
        path = "metadata.ownerReferences"  # the real server does not say which of them is wrong
        version = owner.get("apiVersion") or ""
        if not version or version.endswith("/") or version.count("/") > 1:
            causes.append(errors.invalid_value(f"{path}.apiVersion", version, "version must not be empty"))
        missing = [field for field in ("kind", "name", "uid") if not owner.get(field)]
        causes += [errors.invalid_value(f"{path}.{field}", "", "must not be empty") for field in missing]
        if owner.get("kind") == "Event" and owner.get("apiVersion") in _NO_OWNERS:
            group, _, version = str(owner["apiVersion"]).rpartition("/")
            why = f"{group}/{version}, Kind=Event is disallowed from being an owner"
            causes.append(errors.invalid_value(path, owner, why))
        if owner.get("controller"):
            shown = f"{owner.get('kind')}/{owner.get('name')}"
            if controller:
                why = f'Only one reference can have Controller set to true. Found "true" in references for {controller} and {shown}'
                causes.append(errors.invalid_value("metadata.ownerReferences", owners, why))
            controller = controller or shown
    return causes


def _check_finalizers(finalizers: list[str]) -> list[Cause]:
    causes: list[Cause] = []
    for finalizer in finalizers:
        causes += [errors.invalid_value("metadata.finalizers", finalizer, m) for m in names.problems(finalizer, "qualified")]
    if FOREGROUND in finalizers and ORPHAN in finalizers:
        why = f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"
        causes.append(errors.invalid_value("metadata.finalizers", finalizers, why))
    return causes


def _check_bare(meta: Obj) -> list[Cause]:
    """Built-in kinds know the few finalizers that need no domain."""
    if not meta.get("finalizers"):
        return []
    why = "name is neither a standard finalizer name nor is it fully qualified"
    bare = ((i, f) for i, f in enumerate(meta["finalizers"]) if "/" not in f and f not in _BARE_FINALIZERS)
    return [errors.invalid_value(f"metadata.finalizers[{i}]", finalizer, why) for i, finalizer in bare]


_RULES: dict[str, Callable[[Any], list[Cause]]] = {
    "labels": _check_labels,
    "annotations": _check_annotations,
    "ownerReferences": _check_owners,
    "finalizers": _check_finalizers,
}
