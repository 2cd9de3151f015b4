"""What can be wrong with a Job, and what a Job's update may not change.

Called by the server through `kinds.JOBS`, after defaults. Contract: kube 1.36 pkg/apis/batch/validation; texts as kube-apiserver's.
"""

import re

from lightship.kinds import checking
from lightship.kinds.job_rules import generated_labels
from lightship.kinds.pod_checks import check_pod_spec
from lightship.meta import errors, names, objects, selectors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj, copy
from lightship.meta.patch import same

MAX_INDEXED_PARALLELISM = 100_000
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_IMMUTABLE = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_SUSPENDED_MAY_CHANGE = ("nodeSelector", "tolerations", "affinity", "schedulingGates")
_INDEXES = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
_POLICIES = ("OnFailure", "Never")


def validate(job: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(job)
    if old is not None:
        return _check_update(spec, objects.spec(old), old)
    causes = _check_selector(job, spec)
    causes += _check_counts(spec)
    causes += _check_indexed(job, spec)
    causes += _check_failure_policy(spec)
    causes += _check_success_policy(spec)
    causes += _check_template(spec)
    manager = spec.get("managedBy")
    if manager and not re.fullmatch(r"[^/\s]+/[^/\s]+", manager):
        causes.append(errors.invalid_value("spec.managedBy", manager, 'must be a domain-prefixed path (such as "acme.io/foo")'))
    return causes


def _check_counts(spec: Obj) -> list[Cause]:
    return [c for field in _COUNTS for c in checking.not_negative(f"spec.{field}", spec.get(field))]


def _check_indexed(job: Obj, spec: Obj) -> list[Cause]:
    """What holds for Indexed Jobs, and what only they may ask for."""
    completions, parallelism = spec.get("completions"), spec.get("parallelism") or 0
    limit, failures = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    if spec.get("completionMode") != "Indexed":
        given = [(f, spec[f]) for f in ("backoffLimitPerIndex", "maxFailedIndexes") if spec.get(f) is not None]
        causes = [errors.invalid_value(f"spec.{f}", value, "requires indexed completion mode") for f, value in given]
    elif completions is None:
        causes = [errors.required("spec.completions", "when completion mode is Indexed")]
    else:
        causes = []
        if parallelism > MAX_INDEXED_PARALLELISM:
            why = f"must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
            causes.append(errors.invalid_value("spec.parallelism", parallelism, why))
        if failures is not None and failures > completions:
            causes.append(errors.invalid_value("spec.maxFailedIndexes", failures, "must be less than or equal to completions"))
        causes += _check_pod_hostname(job, completions)
    if failures is not None and limit is None:
        causes.append(errors.required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    return causes


def _check_pod_hostname(job: Obj, completions: int) -> list[Cause]:
    """The pods' hostnames are the Job's name and the index, and must be labels."""
    name = objects.name(job)
    last = f"{name}-{max(completions - 1, 0)}"
    if completions and names.is_dns_label(name) and not names.is_dns_label(last):
        return [errors.invalid_value("metadata.name", name, f"will not able to create pod with invalid DNS label: {last}")]
    return []


def _check_selector(job: Obj, spec: Obj) -> list[Cause]:
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    causes = [errors.required("spec.selector")] if selector is None else checking.label_selector("spec.selector", selector)
    if not spec.get("manualSelector"):
        causes += _check_generated(job, selector or {}, labels or {})
    if causes and selector is not None and any(c.field.startswith("spec.selector.") for c in causes):
        return causes
    if not selectors.from_label_selector(selector).matches(labels):
        causes.append(errors.invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"))
    return causes


def _check_generated(job: Obj, selector: Obj, labels: dict[str, str]) -> list[Cause]:
    """Labels that the server generates may not be somebody else's."""
    wanted = generated_labels(job)
    path = "spec.template.metadata.labels"
    causes: list[Cause] = []
    for key, value in wanted.items():
        if key not in labels:
            causes.append(errors.required(f"{path}[{key}]", f"must be '{value}'"))
        elif labels[key] != value:
            causes.append(errors.invalid_value(f"{path}[{key}]", labels, f"must be '{value}'"))
    uid_only = {k: v for k, v in wanted.items() if k == next(iter(wanted))}
    if not causes and not same(selector, {"matchLabels": uid_only}):
        causes.append(errors.invalid_value("spec.selector", selector, "`selector` not auto-generated"))
    return causes


def _check_template(spec: Obj) -> list[Cause]:
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    meta = template.get("metadata") or {}
    causes = checking.labels("spec.template.labels", meta.get("labels"))
    causes += [
        c for key in meta.get("annotations") or () for c in checking.check_name("spec.template.annotations", key.lower(), "qualified")
    ]
    causes += check_pod_spec(pod, "spec.template.spec")
    policy, path = pod.get("restartPolicy") or "", "spec.template.spec.restartPolicy"
    if policy in ("", "Always"):
        causes.append(errors.required(path, 'valid values: "OnFailure", "Never"'))
    elif policy == "OnFailure" and spec.get("podFailurePolicy"):
        causes.append(errors.invalid_value(path, policy, 'only "Never" is supported when podFailurePolicy is specified'))
    return causes


def _check_failure_policy(spec: Obj) -> list[Cause]:
    pod = (spec.get("template") or {}).get("spec") or {}
    known = {c.get("name") for c in [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]}
    causes: list[Cause] = []
    if spec.get("podFailurePolicy") and spec.get("podReplacementPolicy") != "Failed":
        causes.append(errors.not_supported("spec.podReplacementPolicy", spec.get("podReplacementPolicy"), ("Failed",)))
    for i, rule in enumerate((spec.get("podFailurePolicy") or {}).get("rules") or ()):
        path = f"spec.podFailurePolicy.rules[{i}]"
        if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            causes.append(errors.invalid_value(f"{path}.action", "FailIndex", "requires the backoffLimitPerIndex to be set"))
        codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes is not None:
            causes += _check_exit_codes(f"{path}.onExitCodes", codes, known)
        if (codes is None) is not bool(patterns):
            several = "specifying both OnExitCodes and OnPodConditions is not supported"
            none = "specifying one of OnExitCodes and OnPodConditions is required"
            causes.append(Cause(path, f"Invalid value: {several if patterns else none}"))
    return causes


def _check_exit_codes(path: str, codes: Obj, known: set[str | None]) -> list[Cause]:
    causes: list[Cause] = []
    name, values, operator = codes.get("containerName"), codes.get("values") or [], codes.get("operator")
    if name is not None and name not in known:
        why = "must be one of the container or initContainer names in the pod template"
        causes.append(errors.invalid_value(f"{path}.containerName", name, why))
    if not values:
        causes.append(errors.invalid_value(f"{path}.values", [], "at least one value is required"))
    seen: set[int] = set()
    for i, value in enumerate(values):
        if value in seen:
            causes.append(errors.duplicate(f"{path}.values[{i}]", value))
        seen.add(value)
        if value == 0 and operator == "In":
            causes.append(errors.invalid_value(f"{path}.values[{i}]", 0, "must not be 0 for the In operator"))
    return causes


def _check_success_policy(spec: Obj) -> list[Cause]:
    policy = spec.get("successPolicy")
    if policy is None:
        return []
    if spec.get("completionMode") != "Indexed":
        return [errors.invalid_value("spec.successPolicy", policy, "requires indexed completion mode")]
    rules = policy.get("rules") or []
    if not rules:
        return [errors.required("spec.successPolicy.rules", "at least one rules must be specified when the successPolicy is specified")]
    return [c for i, rule in enumerate(rules) for c in _check_success_rule(f"spec.successPolicy.rules[{i}]", rule, spec)]


def _check_success_rule(path: str, rule: Obj, spec: Obj) -> list[Cause]:
    indexes, count, completions = rule.get("succeededIndexes"), rule.get("succeededCount"), spec.get("completions") or 0
    if indexes is None and count is None:
        return [errors.required(path, "at least one of succeededCount or succeededIndexes must be specified")]
    causes: list[Cause] = []
    listed = 0
    if indexes is not None:
        try:
            listed = count_indexes(indexes, completions)
        except ValueError as error:
            causes.append(errors.invalid_value(f"{path}.succeededIndexes", indexes, f"error parsing succeededIndexes: {error}"))
    if count is not None:
        at = f"{path}.succeededCount"
        causes += checking.not_negative(at, count)
        if count > completions:
            why = f"must be less than or equal to {completions} (the number of specified completions)"
            causes.append(errors.invalid_value(at, count, why))
        if indexes is not None and count > listed:
            why = f"must be less than or equal to {listed} (the number of indexes in the specified succeededIndexes field)"
            causes.append(errors.invalid_value(at, count, why))
    return causes


def count_indexes(text: str, completions: int) -> int:
    """How many indexes `0,2-4` names. Raises `ValueError` for bad notation, wrong order and indexes beyond the completions."""
    if not _INDEXES.fullmatch(text):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    total, last = 0, -1
    for part in text.split(","):
        first, _, end = part.partition("-")
        low, high = int(first), int(end or first)
        if high >= completions:
            raise ValueError(f'too large index: "{end or first}"')
        if low <= last or high < low:
            raise ValueError(f"non-increasing order, previous: {last}, current: {low}")
        total, last = total + high - low + 1, high
    return total


def _check_update(spec: Obj, before: Obj, old: Obj) -> list[Cause]:
    causes = _check_counts(spec)
    causes += _check_completions_change(spec, before)
    causes += checking.immutable("spec.selector", spec.get("selector"), before.get("selector"))
    expected, template = before.get("template"), spec.get("template") or {}
    if before.get("suspend") and not objects.status(old).get("startTime"):
        template = _without_scheduling(template, before.get("template") or {})
    causes += checking.immutable("spec.template", template, expected)
    for field in _IMMUTABLE:
        causes += checking.immutable(f"spec.{field}", spec.get(field), before.get(field))
    return causes


def _check_completions_change(spec: Obj, before: Obj) -> list[Cause]:
    """Completions are fixed, except that an Indexed Job may grow or shrink together with its parallelism."""
    new, old = spec.get("completions"), before.get("completions")
    if new == old:
        return []
    if spec.get("completionMode") != "Indexed":
        return [errors.invalid_value("spec.completions", new, "field is immutable")]
    if new != spec.get("parallelism") or old != before.get("parallelism"):
        why = "can only be modified in tandem with spec.parallelism"
        return [errors.invalid_value("spec.completions", new, f"{new}, {why}" if new is None else why)]
    return []


def _without_scheduling(template: Obj, before: Obj) -> Obj:
    """The template with what a suspended Job may still change (where its pods run, what they ask for, their labels) as it was before."""
    result: Obj = copy(template)
    for part, fields in (("metadata", ("labels", "annotations")), ("spec", _SUSPENDED_MAY_CHANGE)):
        inner, old = result.setdefault(part, {}), before.get(part) or {}
        for field in fields:
            inner.pop(field, None)
            if field in old:
                inner[field] = old[field]
    for field in ("containers", "initContainers"):
        pairs = zip(result["spec"].get(field) or (), (before.get("spec") or {}).get(field) or (), strict=False)
        for container, earlier in pairs:
            container["resources"] = earlier.get("resources")
    return result
