"""The rules of PodGroups and Workloads: how the pods of a group are to be scheduled together, and that it stays that way.

Called through `scheduling`. A PodGroup says it of pods that name it in `spec.schedulingGroup`; a Workload holds templates of PodGroups.
What both refer to (classes of priorities, workloads) is for admission.
Contract: kube 1.36 pkg/apis/scheduling/v1alpha2 (declarative validation) and pkg/registry/scheduling, with GenericWorkload,
TopologyAwareWorkloadScheduling and WorkloadAwarePreemption on, and DRAWorkloadResourceClaims off; printers.
"""

from typing import Any

from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import cells, checking, parts

HIGHEST_PRIORITY = 10**9
SCHEDULED, DISRUPTED = "PodGroupScheduled", "DisruptionTarget"
_MODES = ("Pod", "PodGroup")
_MOST_TEMPLATES = 8
_FIXED = ("podGroupTemplateRef", "schedulingPolicy", "schedulingConstraints", "disruptionMode", "priorityClassName", "priority")


def prepare(group: Obj, old: Obj | None) -> None:
    """A status is for the scheduler to write. Claims for whole groups are a feature that is off: fields of it are dropped."""
    group["status"] = old.get("status") or {} if old is not None else {}
    objects.spec(group).pop("resourceClaims", None)


def default(group: Obj) -> None:
    spec = group.setdefault("spec", {})
    spec.setdefault("podGroupTemplateRef", None)
    spec.setdefault("schedulingPolicy", {})
    if spec.get("disruptionMode") is None:
        spec["disruptionMode"] = "Pod"
    _tidy(spec)


def validate(group: Obj, old: Obj | None) -> list[Cause]:
    spec, path = objects.spec(group), "spec"
    if old is not None:
        before = objects.spec(old)
        return [cause for field in _FIXED for cause in _unchanged(f"{path}.{field}", spec.get(field), before.get(field))]
    causes = []
    if (reference := spec.get("podGroupTemplateRef")) is not None:
        causes += _reference(f"{path}.podGroupTemplateRef", reference)
    return causes + _terms(path, spec)


def prepare_status(group: Obj, old: Obj | None) -> None:
    parts.keep_metadata(group, old)
    objects.status(group).pop("resourceClaimStatuses", None)


def validate_status(group: Obj, old: Obj | None) -> list[Cause]:
    return parts.conditions("status.conditions", objects.status(group).get("conditions"))


def row(group: Obj, now: float) -> list[Any]:
    spec = objects.spec(group)
    policy = "Gang" if (spec.get("schedulingPolicy") or {}).get("gang") is not None else "Basic"
    workload = ((spec.get("podGroupTemplateRef") or {}).get("workload") or {}).get("workloadName") or "<none>"
    state = "Pending"
    for condition in objects.status(group).get("conditions") or ():
        if condition["type"] == DISRUPTED:
            state = condition.get("reason") or ""
            break
        if condition["type"] == SCHEDULED:
            state = "Scheduled" if condition.get("status") == "True" else "Unschedulable"
    return [objects.name(group), policy, workload, state, cells.created(group, now)]


def prepare_workload(workload: Obj, old: Obj | None) -> None:
    """As `prepare`."""
    for template in objects.spec(workload).get("podGroupTemplates") or ():
        template.pop("resourceClaims", None)


def default_workload(workload: Obj) -> None:
    """What JSON shows of templates that say nothing of it."""
    for template in workload.setdefault("spec", {}).get("podGroupTemplates") or ():
        template.setdefault("schedulingPolicy", {})
        template.setdefault("schedulingConstraints", None)
        _tidy(template)


def validate_workload(workload: Obj, old: Obj | None) -> list[Cause]:
    spec, at = objects.spec(workload), "spec.podGroupTemplates"
    templates = spec.get("podGroupTemplates") or []
    if old is not None:
        before = objects.spec(old)
        causes = _unchanged("spec.controllerRef", spec.get("controllerRef"), before.get("controllerRef"))
        changed = _unchanged(at, templates, before.get("podGroupTemplates") or [])
        return causes + changed + ([errors.required(at)] if changed and not templates else [])
    causes = []
    if (controller := spec.get("controllerRef")) is not None:
        causes += _controller("spec.controllerRef", controller)
    if not templates:
        return [*causes, errors.required(at)]
    if len(templates) > _MOST_TEMPLATES:
        return [*causes, errors.too_many(at, len(templates), _MOST_TEMPLATES)]
    seen: set[str] = set()
    for i, template in enumerate(templates):
        name = template.get("name") or ""
        if name in seen:
            causes.append(errors.duplicate(f"{at}[{i}]", template))
        seen.add(name)
        causes += _short_name(f"{at}[{i}].name", name) + _terms(f"{at}[{i}]", template)
    return causes


def _tidy(terms: Obj) -> None:
    """Empty lists are not shown."""
    constraints = terms.get("schedulingConstraints")
    if constraints is not None and not constraints.get("topology"):
        constraints.pop("topology", None)
    for field in ("priorityClassName",):
        if not terms.get(field):
            terms.pop(field, None)


def _terms(path: str, terms: Obj) -> list[Cause]:
    """What PodGroups and their templates have in common."""
    causes = _policy(f"{path}.schedulingPolicy", terms.get("schedulingPolicy") or {})
    if (constraints := terms.get("schedulingConstraints")) is not None:
        causes += _topology(f"{path}.schedulingConstraints.topology", constraints.get("topology") or [])
    causes += checking.one_of(f"{path}.disruptionMode", terms.get("disruptionMode"), _MODES)
    if name := terms.get("priorityClassName"):
        causes += checking.check_name(f"{path}.priorityClassName", name, "subdomain")
    priority = terms.get("priority")
    if priority is not None and priority > HIGHEST_PRIORITY:
        causes.append(errors.invalid_value(f"{path}.priority", priority, f"must be less than or equal to {HIGHEST_PRIORITY}"))
    return causes


def _policy(path: str, policy: Obj) -> list[Cause]:
    causes = _one_of_a_union(path, policy, ("basic", "gang"))
    if (gang := policy.get("gang")) is not None:
        at, least = f"{path}.gang.minCount", gang.get("minCount") or 0
        if not least:
            causes.append(errors.required(at))
        elif least < 1:
            causes.append(errors.invalid_value(at, least, "must be greater than or equal to 1"))
    return causes


def _topology(path: str, constraints: list[Obj]) -> list[Cause]:
    if len(constraints) > 1:
        return [errors.too_many(path, len(constraints), 1)]
    return [c for i, constraint in enumerate(constraints) for c in _required_key(f"{path}[{i}].key", constraint.get("key"))]


def _required_key(path: str, key: str | None) -> list[Cause]:
    return checking.required_name(path, key, "qualified")


def _reference(path: str, reference: Obj) -> list[Cause]:
    causes = _one_of_a_union(path, reference, ("workload",))
    if (workload := reference.get("workload")) is not None:
        causes += checking.required_name(f"{path}.workload.workloadName", workload.get("workloadName"), "subdomain")
        causes += _short_name(f"{path}.workload.podGroupTemplateName", workload.get("podGroupTemplateName") or "")
    return causes


def _controller(path: str, controller: Obj) -> list[Cause]:
    causes = checking.check_name(f"{path}.apiGroup", controller["apiGroup"], "subdomain") if controller.get("apiGroup") else []
    for field in ("kind", "name"):
        causes += checking.required_name(f"{path}.{field}", controller.get(field), "path")
    return causes


def _short_name(path: str, name: str) -> list[Cause]:
    """A label in the words of declarative validation, which tells of dots apart."""
    if "." in name:
        return [errors.invalid_value(path, name, "must not contain dots")]
    return checking.required_name(path, name, "label")


def _one_of_a_union(path: str, holder: Obj, members: tuple[str, ...]) -> list[Cause]:
    named = ", ".join(f"`{member}`" for member in members)
    given = [member for member in members if holder.get(member) is not None]
    if not given:
        return [errors.invalid_value(path, "", f"must specify one of: {named}")]
    if len(given) > 1:
        return [errors.invalid_value(path, "{" + ", ".join(given) + "}", f"must specify exactly one of: {named}")]
    return []


def _unchanged(path: str, new: Any, old: Any) -> list[Cause]:
    """Declarative validation does not show the value."""
    return [] if same(new, old) else [errors.invalid_value(path, None, "field is immutable")]
