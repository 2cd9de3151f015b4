"""What can be wrong with a Job, or with the template of one.

Called by the server through `kinds.JOBS` and `kinds.CRON_JOBS`, after defaults. What an update may not change is told in `job_changes`.
Contract: kube 1.36 pkg/apis/batch/validation; texts as kube-apiserver's.
"""

import re

from lightship.kinds import checking
from lightship.meta import errors, names, objects, selectors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from .checks import check_template_spec, shown_selector
from .job_changes import check_change
from .job_policies import check_failure_policy, check_success_policy
from .job_rules import generated_labels

MAX_INDEXED_PARALLELISM = 100_000
_MANY = 100_000
"""Completions above which the other numbers are limited more."""
_FEW = 10_000
_MANAGER_LIMIT = 63
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_RESTARTS = ("OnFailure", "Never")
_HTTP_PATH = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+")


def validate(job: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(job)
    causes = _check_generated(job, spec) + check_job_spec("spec", spec) + _check_selector(spec) + _check_pod_hostname(job, spec)
    if old is not None:
        # The real server judges the whole anew as a Job and as the change of one, and says everything twice.
        causes += check_job_spec("spec", spec) + _check_selector(spec) + check_change(spec, objects.spec(old), old)
    return causes


def check_job_spec(at: str, spec: Obj) -> list[Cause]:
    """Everything but the selector, of a JobSpec at `at`."""
    causes = [c for field in _COUNTS for c in checking.not_negative(f"{at}.{field}", spec.get(field))]
    if spec.get("maxFailedIndexes") is not None and spec.get("backoffLimitPerIndex") is None:
        causes.append(errors.required(f"{at}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if spec.get("managedBy") is not None:
        causes += check_manager(f"{at}.managedBy", spec["managedBy"])
    if spec.get("completionMode") == "Indexed":
        causes += _check_indexed(at, spec)
    elif spec.get("completionMode") in (None, "NonIndexed"):
        causes += _check_not_indexed(at, spec)
    causes += check_failure_policy(at, spec)
    causes += check_success_policy(at, spec)
    return causes + _check_template(at, spec)


def _check_indexed(at: str, spec: Obj) -> list[Cause]:
    """What holds for Indexed Jobs."""
    completions, parallelism = spec.get("completions"), spec.get("parallelism") or 0
    failures, causes = spec.get("maxFailedIndexes"), list[Cause]()
    if completions is None:
        causes.append(errors.required(f"{at}.completions", "when completion mode is Indexed"))
    if parallelism > MAX_INDEXED_PARALLELISM:
        why = f"must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        causes.append(errors.invalid_value(f"{at}.parallelism", parallelism, why))
    if completions is not None and failures is not None and failures > completions:
        causes.append(errors.invalid_value(f"{at}.maxFailedIndexes", failures, "must be less than or equal to completions"))
    if failures is not None and failures > _MANY:
        causes.append(errors.invalid_value(f"{at}.maxFailedIndexes", failures, f"must be less than or equal to {_MANY}"))
    if (completions or 0) > _MANY and spec.get("backoffLimitPerIndex") is not None:
        if failures is None:
            causes.append(errors.required(f"{at}.maxFailedIndexes", f"must be specified when completions is above {_MANY}"))
        why = f"must be less than or equal to {_FEW} when completions are above {_MANY} and used with backoff limit per index"
        for field, value in (("parallelism", parallelism), ("maxFailedIndexes", failures or 0)):
            if value > _FEW:
                causes.append(errors.invalid_value(f"{at}.{field}", value, why))
    return causes


def _check_not_indexed(at: str, spec: Obj) -> list[Cause]:
    given = [(f, spec[f]) for f in ("backoffLimitPerIndex", "maxFailedIndexes") if spec.get(f) is not None]
    return [errors.invalid_value(f"{at}.{f}", value, "requires indexed completion mode") for f, value in given]


def check_manager(path: str, manager: str) -> list[Cause]:
    """What is wrong with a `managedBy`, of Jobs and of kinds that have taken it over from them."""
    if not manager:
        return [errors.required(path)]
    host, _, rest = manager.partition("/")
    if not host or not rest:
        causes = [errors.invalid_value(path, manager, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    else:
        causes = checking.check_name(path, host, "subdomain")
        if not _HTTP_PATH.fullmatch(rest):
            why = f"Invalid path (regex used for validation is '{_HTTP_PATH.pattern}')"
            causes.append(errors.invalid_value(path, rest, why))
    return causes + ([errors.too_long(path, _MANAGER_LIMIT)] if len(manager) > _MANAGER_LIMIT else [])


def _check_pod_hostname(job: Obj, spec: Obj) -> list[Cause]:
    """The pods' hostnames are the Job's name and the index, and must be labels."""
    name, completions = objects.name(job), spec.get("completions") or 0
    last = f"{name}-{completions - 1}"
    if spec.get("completionMode") == "Indexed" and completions > 0 and not names.is_dns_label(last):
        return [errors.invalid_value("metadata.name", name, f"will not able to create pod with invalid DNS label: {last}")]
    return []


def _check_selector(spec: Obj) -> list[Cause]:
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    causes = [errors.required("spec.selector")] if selector is None else checking.label_selector("spec.selector", selector)
    try:
        matches = selector is not None and selectors.from_label_selector(selector).matches(labels)
    except ValueError:
        return causes
    if not matches:
        shown = labels and dict(sorted(labels.items()))
        causes.append(errors.invalid_value("spec.template.metadata.labels", shown, "`selector` does not match template `labels`"))
    return causes


def _check_generated(job: Obj, spec: Obj) -> list[Cause]:
    """Labels that the server generates may not be somebody else's."""
    if spec.get("manualSelector") or spec.get("selector") is None:
        return []
    wanted = generated_labels(job)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    path = "spec.template.metadata.labels"
    causes: list[Cause] = []
    for key, value in wanted.items():
        if key not in labels:
            causes.append(errors.required(f"{path}[{key}]", f"must be '{value}'"))
        elif labels[key] != value:
            causes.append(errors.invalid_value(f"{path}[{key}]", dict(sorted(labels.items())), f"must be '{value}'"))
    uid_only = {k: v for k, v in wanted.items() if k == next(iter(wanted))}
    selector = spec.get("selector") or {}
    if not causes and not same(selector, {"matchLabels": uid_only}):
        causes.append(errors.invalid_value("spec.selector", shown_selector(selector), "`selector` not auto-generated"))
    return causes


def _check_template(at: str, spec: Obj) -> list[Cause]:
    template = spec.get("template") or {}
    causes = check_template_spec(f"{at}.template", template)
    policy, path = (template.get("spec") or {}).get("restartPolicy") or "", f"{at}.template.spec.restartPolicy"
    if policy in ("", "Always"):
        causes.append(errors.required(path, 'valid values: "OnFailure", "Never"'))
    elif policy not in _RESTARTS:
        causes.append(errors.not_supported(path, policy, _RESTARTS))
    elif policy == "OnFailure" and spec.get("podFailurePolicy"):
        causes.append(errors.invalid_value(path, policy, 'only "Never" is supported when podFailurePolicy is specified'))
    return causes
