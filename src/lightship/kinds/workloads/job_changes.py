"""What an update of a Job may not change: nearly all, but where the pods of a suspended one will run and what they will ask for.

Called by `job_checks`. Contract: kube 1.36 ValidateJobSpecUpdate, pkg/registry/batch/job strategy; texts as kube-apiserver's.
"""

from lightship.kinds import checking
from lightship.meta import conditions, errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj, copy
from lightship.meta.patch import same

from .checks import shown_selector

_IMMUTABLE = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_SCHEDULING = ("nodeSelector", "tolerations", "schedulingGates")


def check_change(spec: Obj, before: Obj, old: Obj) -> list[Cause]:
    """`spec` in the place of `before`, which was that of `old`."""
    causes = _check_completions(spec, before)
    if not same(spec.get("selector"), before.get("selector")):
        selector = spec.get("selector")
        shown = None if selector is None else shown_selector(selector)
        causes.append(errors.invalid_value("spec.selector", shown, "field is immutable"))
    causes += _check_template(spec.get("template") or {}, before.get("template") or {}, old)
    for field in _IMMUTABLE:
        causes += checking.immutable(f"spec.{field}", spec.get(field), before.get(field))
    return causes


def _check_completions(spec: Obj, before: Obj) -> list[Cause]:
    """Completions are fixed, except that an Indexed Job may grow or shrink together with its parallelism."""
    new = spec.get("completions")
    if new == before.get("completions"):
        return []
    if spec.get("completionMode") != "Indexed":
        return [errors.invalid_value("spec.completions", new, "field is immutable")]
    if new is not None and new != spec.get("parallelism"):
        return [errors.invalid_value("spec.completions", new, "can only be modified in tandem with spec.parallelism")]
    return []


def _check_template(template: Obj, before: Obj, old: Obj) -> list[Cause]:
    """While a Job is suspended and has no pods, where they will run and what they will ask for may change."""
    suspended = bool(objects.spec(old).get("suspend"))
    status = objects.status(old)
    free = suspended and not status.get("active") and (not status.get("startTime") or conditions.is_true(old, "Suspended"))
    if not free:
        return checking.immutable("spec.template", template, before)
    expected: Obj = copy(before)
    for part, fields in (("metadata", ("labels", "annotations")), ("spec", _SCHEDULING)):
        _take(expected.setdefault(part, {}), template.get(part) or {}, fields)
    pod, new = expected["spec"], template.get("spec") or {}
    _take_node_affinity(pod, new)
    for field in ("containers", "initContainers"):
        listed, given = pod.get(field) or [], new.get(field) or []
        if len(listed) == len(given):
            for container, wanted in zip(listed, given, strict=True):
                if container.get("name") == wanted.get("name"):
                    _take(container, wanted, ("resources",))
    return checking.immutable("spec.template.spec", new, pod)


def _take(target: Obj, source: Obj, fields: tuple[str, ...]) -> None:
    for field in fields:
        target.pop(field, None)
        if field in source:
            target[field] = source[field]


def _take_node_affinity(pod: Obj, new: Obj) -> None:
    affinity = pod.get("affinity") or {}
    _take(affinity, new.get("affinity") or {}, ("nodeAffinity",))
    pod.pop("affinity", None)
    if affinity or new.get("affinity") is not None:
        pod["affinity"] = affinity
