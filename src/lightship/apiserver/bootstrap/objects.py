"""What exists on a cluster before anybody has asked for anything: namespaces, their default accounts, CRD objects, priority classes, roles.

`Server.start` runs it once per process; on a store that has it all it writes nothing. Everything missing goes in with one commit.
Contract: kube-apiserver's system namespaces controller, bootstrap of scheduling.k8s.io and rbac.authorization.k8s.io.
"""

from lightship.apiserver import objectmeta
from lightship.apiserver.admission import allocation
from lightship.apiserver.admission.priorities import SYSTEM
from lightship.apiserver.core import Core
from lightship.apiserver.definitions.serving import Definitions
from lightship.apiserver.served import Served
from lightship.apiserver.verbs.writing import encoder
from lightship.kinds.flowcontrol import objects as flow_objects
from lightship.meta import times
from lightship.meta.objects import Obj, copy
from lightship.store import Op, Put

from . import roles as rbac

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease", "kubeflow-system")


async def bootstrap(core: Core, definitions: Definitions) -> None:
    """Serve the stored definitions, then create or refresh what every server has."""
    definitions.take_given()
    definitions.serve_stored()
    ops: list[Op] = [op for obj in (*_namespaces(), *_accounts(), *_priorities()) if (op := _creation(core, obj))]
    for crd in definitions.given_objects():
        fresh = _refresh(core, definitions, crd)
        if fresh:
            ops.append(fresh)
    ops += rbac.missing(core)
    ops += _service_range(core)
    ops += _flow_control(core)
    if ops:
        await core.store.commit(*ops)
    await definitions.resume()


def _flow_control(core: Core) -> list[Op]:
    """The flows and levels that priority and fairness begins with."""
    ops: list[Op] = []
    for obj in flow_objects.bootstrap():
        op = _creation(core, obj)
        if op is not None:
            ops.append(op)
            if obj["kind"] == "FlowSchema":
                obj["status"] = {"conditions": [flow_objects.found(obj, times.rfc3339(core.clock.now()))]}
    return ops


def _service_range(core: Core) -> list[Op]:
    """The range that Services' addresses come from, and what a crash has left to be put right with them."""
    found = allocation.default_range(core)
    op = _creation(core, {**found, "metadata": {**found["metadata"]}})
    if op is None:
        return allocation.repair(core)
    assert op.obj is not None
    op.obj["status"] = found["status"]
    return [op, *allocation.repair(core)]


def _creation(core: Core, obj: Obj) -> Put | None:
    """The write that creates `obj`, unless it exists or its kind is not served here."""
    served = _served(core, obj)
    if served is None:
        return None
    meta = obj["metadata"]
    key = served.key(meta.get("namespace", ""), meta["name"])
    if core.store.head(key) is not None:
        return None
    objectmeta.stamp_new(meta, core.uid(), times.rfc3339(core.clock.now()), generation=served.has_generation)
    if served.resource.prepare:
        served.resource.prepare(obj, None)
    if served.resource.default:
        served.resource.default(obj)
    return Put(key, encoder(obj), 0, obj)


def _refresh(core: Core, definitions: Definitions, crd: Obj) -> Op | None:
    """Create a capability's definition, or bring the one that an older version of it has left up to date."""
    served = _served(core, crd)
    if served is None:
        return None
    head = core.store.head(served.key("", crd["metadata"]["name"]))
    if head is None:
        op = _creation(core, crd)
        crd["status"] = definitions.status(crd)
        return op
    old = head.obj
    if old["spec"] != crd["spec"] and served.resource.prepare and served.resource.default:
        served.resource.default(crd)
        served.resource.prepare(crd, old)
    if old["spec"] == crd["spec"]:
        definitions.is_unchanged(head)
        return None
    if old["metadata"].get("deletionTimestamp"):
        return None
    meta = {**old["metadata"], "generation": (old["metadata"].get("generation") or 0) + 1}
    new = {**old, "metadata": meta, "spec": copy(crd["spec"])}
    return Put(head.key, encoder(new), head.revision, new)


def _served(core: Core, obj: Obj) -> Served | None:
    group, _, version = obj["apiVersion"].rpartition("/")
    found = next((r for r in core.catalogue if r.kind == obj["kind"] and r.group == group and r.version == version), None)
    return core.catalogue.served(found) if found else None


def _namespaces() -> list[Obj]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }
        for name in NAMESPACES
    ]


def _accounts() -> list[Obj]:
    """The controller makes one for every namespace; these are here at once, so that the first pod need not wait for it."""
    return [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": ns}} for ns in NAMESPACES]


def _priorities() -> list[Obj]:
    whose = {
        "system-node-critical": "that must not be moved from their current node",
        "system-cluster-critical": "that must run in the cluster, but can be moved to another node if necessary",
    }
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "description": f"Used for system critical pods {whose[name]}.",
            "preemptionPolicy": "PreemptLowerPriority",
        }
        for name, value in SYSTEM.items()
    ]
