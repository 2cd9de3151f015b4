"""The roles and bindings that every cluster has from its first start on, and what becomes of them at later ones.

`objects` asks for `missing` once per process and writes it all in one commit. What somebody has taken away from a default role
is given back, what somebody added stays, and objects that are annotated `autoupdate: "false"` are left alone. The objects are data, made by
tools/make_rbac_data.py. Contract: kube 1.36 bootstrappolicy; component-helpers auth/rbac/reconciliation.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from lightship.apiserver import objectmeta
from lightship.apiserver.access.rbac import rules
from lightship.apiserver.access.rbac.index import GROUP
from lightship.apiserver.core import Core
from lightship.apiserver.verbs.writing import encoder
from lightship.meta import codec, packed, times
from lightship.meta.objects import Obj
from lightship.store import Op, Put

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_DATA = Path(__file__).parent / "data" / "defaults.json"
_KINDS = {"clusterroles": "ClusterRole", "clusterrolebindings": "ClusterRoleBinding", "roles": "Role", "rolebindings": "RoleBinding"}


def missing(core: Core) -> list[Op]:
    """The writes that give a store the defaults which it lacks; none where the server serves no roles."""
    if core.catalogue.find(GROUP, "v1", "clusterroles") is None:
        return []
    return [op for bucket, wanted in _defaults() if (op := _settled(core, bucket, wanted)) is not None]


def node_rules() -> tuple[rules.Rule, ...]:
    """What every node may do, besides what depends on the pods that it runs."""
    return next(rules.all_of(item) for _, item in _defaults() if item["metadata"]["name"] == "system:node" and "rules" in item)


def _defaults() -> Iterator[tuple[str, Obj]]:
    """Default objects with their buckets, each new at every call."""
    data: dict[str, list[Obj]] = codec.decode(packed.read(_DATA))
    for plural, items in data.items():
        for item in items:
            meta = item["metadata"]
            meta["annotations"] = {AUTOUPDATE: "true"}
            meta["labels"] = LABELS | meta.get("labels", {})
            if "roleRef" not in item:
                item.setdefault("rules", None)
            yield f"{GROUP}/{plural}", {"kind": _KINDS[plural], "apiVersion": f"{GROUP}/v1", **item}


def _settled(core: Core, bucket: str, wanted: Obj) -> Op | None:
    meta = wanted["metadata"]
    key = f"{bucket}/{meta.get('namespace', '')}/{meta['name']}"
    head = core.store.head(key)
    if head is None:
        return Put(key, _new(core, wanted), 0)
    # Decoded for this one look: most of these objects nobody asks for again.
    found: Obj = codec.decode(head.value)
    if found["metadata"].get("annotations", {}).get(AUTOUPDATE) == "false":
        return None
    if "roleRef" in wanted and wanted["roleRef"] != found["roleRef"]:
        # What a binding refers to cannot change: it is made anew.
        return Put(key, _new(core, wanted), head.revision)
    changed = reconciled(found, wanted)
    return Put(key, encoder(changed), head.revision) if changed != found else None


def reconciled(found: Obj, wanted: Obj) -> Obj:
    """A default object as it should be, given how it was found. Pure."""
    meta = {**found["metadata"]}
    for field in ("annotations", "labels"):
        meta[field] = {**wanted["metadata"][field], **(meta.get(field) or {})}
    changed = {**found, "metadata": meta}
    if "roleRef" in wanted:
        present = found.get("subjects") or []
        lacking = [subject for subject in wanted.get("subjects") or () if subject not in present]
        return {**changed, "subjects": [*present, *lacking]} if lacking else changed
    if found.get("rules") != wanted["rules"]:
        lost = rules.Rights(rules.all_of(found)).lack(rules.all_of(wanted))
        if lost:
            changed["rules"] = [*(found.get("rules") or ()), *map(rules.obj, lost)]
    return _aggregating(changed, wanted.get("aggregationRule"))


def _aggregating(changed: Obj, wanted: Obj | None) -> Obj:
    present = changed.get("aggregationRule")
    if present == wanted:
        return changed
    if wanted is None:
        return {field: value for field, value in changed.items() if field != "aggregationRule"}
    selectors = (present or {}).get("clusterRoleSelectors") or []
    lacking = [selector for selector in wanted["clusterRoleSelectors"] if selector not in selectors]
    return {**changed, "aggregationRule": {"clusterRoleSelectors": [*selectors, *lacking]}} if lacking else changed


def _new(core: Core, wanted: Obj) -> Callable[[int], bytes]:
    objectmeta.stamp_new(wanted["metadata"], core.uid(), times.rfc3339(core.clock.now()), generation=False)
    return encoder(wanted)
