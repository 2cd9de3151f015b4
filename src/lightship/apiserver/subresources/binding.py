"""Binding a pod to its node: what a scheduler does, once for every pod.

Called by `subresources` for `pods/binding`, and by `registry` for the older way to say the same, a POST of a Binding to its namespace.
Contract: core/v1 Binding; kube 1.36 pkg/registry/core/pod/storage; texts as kube-apiserver's, but 422 where that answers 500.
"""

from lightship.meta import conditions, errors
from lightship.meta.objects import Obj, get_path


def check(name: str, body: Obj) -> None:
    """Does a Binding of the pod name a node? Raises 400 and 422."""
    node = get_path(body, "target", "name") or ""
    if get_path(body, "metadata", "name") != name:
        raise errors.bad_request("name in URL does not match name in Binding object")
    if get_path(body, "target", "kind") not in (None, "", "Node"):
        cause = errors.not_supported("target.kind", body["target"]["kind"], ("Node", "<empty>"))
        raise errors.invalid("Binding", name, [cause])
    if not node or not isinstance(node, str):
        raise errors.invalid("Binding", name, [errors.required("target.name")])


def bound(name: str, old: Obj, body: Obj, node: str, now: float) -> Obj:
    """The pod with its node. Raises 409 when it has one already, or cannot have one."""
    meta, status = old["metadata"], old.get("status") or {}
    _check_preconditions(name, meta, body)
    if meta.get("deletionTimestamp"):
        raise _unbindable(name, f"pod {name} is being deleted, cannot be assigned to a host")
    present = get_path(old, "spec", "nodeName")
    if present:
        raise _unbindable(name, f'pod {name} is already assigned to node "{present}"')
    if old["spec"].get("schedulingGates"):
        raise _unbindable(name, f"pod {name} has non-empty .spec.schedulingGates")
    new = {**old, "metadata": {**meta}, "spec": {**old["spec"], "nodeName": node}, "status": {**status}}
    new["status"].pop("nominatedNodeName", None)
    for field in ("annotations", "labels"):
        given = get_path(body, "metadata", field)
        if given:
            new["metadata"][field] = {**(meta.get(field) or {}), **given}
    others = [c for c in status.get("conditions") or [] if c.get("type") != "PodScheduled"]
    said = conditions.set_condition([], "PodScheduled", True, "", "", now)[0]
    new["status"]["conditions"] = [*others, {field: said[field] for field in ("type", "status", "lastTransitionTime")}]
    return new


def _check_preconditions(name: str, meta: Obj, body: Obj) -> None:
    for field, word in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted = get_path(body, "metadata", field)
        if wanted and wanted != meta[field]:
            raise errors.conflict(
                "pods", name, f"Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {meta[field]}"
            )


def _unbindable(name: str, why: str) -> errors.StatusError:
    return errors.conflict("pods/binding", name, why)
