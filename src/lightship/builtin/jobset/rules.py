"""Defaults and validation of JobSets: what upstream's admission webhooks and the CEL rules of its CRD do.

Pure functions for `builtin.api.JOB_SETS`; our server calls `default` on every write and `validate` before it stores, the controller
`defaulted` before it decides, since other servers do neither. Messages that other
programs look for are upstream's. What this build cannot do (volume claim policies, restart of single Jobs) is refused, never ignored.
Contract: JobSet 0.12, jobset webhooks, default feature gates.
"""

import re

from lightship.builtin.jobset import children
from lightship.meta import names, objects
from lightship.meta.errors import Cause, duplicate, forbidden_field, invalid_value, required
from lightship.meta.objects import Obj

MAX_INT32 = 2**31 - 1
IMMUTABLE = ("network", "successPolicy", "failurePolicy", "startupPolicy", "volumeClaimPolicies", "coordinator")
UNSUPPORTED_ACTIONS = ("RestartJob", "RestartJobAndIgnoreMaxRestarts")
JOB_FAILURE_REASONS = ("BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "PodFailurePolicy")
_RULE_NAME = re.compile("[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_QUEUEING_FIELDS = ("nodeSelector", "tolerations", "schedulingGates")
_JOB_NAME_TOO_LONG = "JobSet name is too long, job names generated for this JobSet will exceed 63 characters"
_POD_NAME_TOO_LONG = "JobSet name is too long, pod names generated for this JobSet will exceed 63 characters"
_GROUP_TOO_LONG = ".spec.replicatedJob[].groupName is too long, must be less than 63 characters"
_SUBDOMAIN_TOO_LONG = ".spec.network.subdomain is too long, must be less than 63 characters"


def default(jobset: Obj) -> None:
    """Fill, in place, what the API promises to be there. What is no object is left for the schema to refuse."""
    spec = _child(jobset, "spec")
    spec.setdefault("successPolicy", {"operator": "All"})
    spec.setdefault("startupPolicy", {"startupPolicyOrder": "AnyOrder"})
    network = _child(spec, "network")
    network.setdefault("enableDNSHostnames", True)
    network.setdefault("publishNotReadyAddresses", True)
    for replicated in _dicts(spec.get("replicatedJobs")):
        replicated.setdefault("replicas", 1)
        replicated.setdefault("groupName", "default")
        job = _child(_child(replicated, "template"), "spec")
        job.setdefault("completionMode", "Indexed")
        pod = _child(_child(job, "template"), "spec")
        pod.setdefault("restartPolicy", "OnFailure")
    policy = spec.get("failurePolicy")
    if isinstance(policy, dict):
        policy.setdefault("restartStrategy", "Recreate")
        for index, rule in enumerate(_dicts(policy.get("rules"))):
            rule["name"] = rule.get("name") or f"failurePolicyRule{index}"


def _child(parent: Obj, field: str) -> Obj:
    """The object in a field, made if it is missing; one that nobody keeps where something else stands."""
    found = parent.setdefault(field, {})
    return found if isinstance(found, dict) else {}


def defaulted(jobset: Obj) -> Obj:
    """A JobSet with its defaults, whoever stored it: a server that has the definition but not these rules leaves them out."""
    filled: Obj = objects.copy(jobset)
    default(filled)
    return filled


def validate(new: Obj, old: Obj | None) -> list[Cause]:
    if old is not None:
        return _changes(new, old)
    spec = objects.spec(new)
    found = _network(spec) + _managed_by(spec) + _order(spec)
    seen: set[str] = set()
    for index, replicated in enumerate(children.replicated_jobs(new)):
        found += _replicated(new, replicated, f"spec.replicatedJobs[{index}]", seen)
    found += _targets(spec.get("successPolicy") or {}, seen)
    found += _failure_policy(spec.get("failurePolicy"), seen)
    found += _coordinator(new)
    if spec.get("volumeClaimPolicies"):
        found.append(forbidden_field("spec.volumeClaimPolicies", "volume claim policies are not served here; mount an existing claim"))
    return found


def _dicts(items: object) -> list[Obj]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _order(spec: Obj) -> list[Cause]:
    replicated = spec.get("replicatedJobs") or []
    if not any(r.get("dependsOn") for r in replicated):
        return []
    found: list[Cause] = []
    if replicated[0].get("dependsOn") is not None:
        found.append(forbidden_field("spec.replicatedJobs[0].dependsOn", "DependsOn can't be set for the first ReplicatedJob"))
    if objects.get_path(spec, "startupPolicy", "startupPolicyOrder") == "InOrder":
        found.append(invalid_value("spec", "object", "StartupPolicy and DependsOn APIs are mutually exclusive"))
    return found


def _network(spec: Obj) -> list[Cause]:
    subdomain = objects.get_path(spec, "network", "subdomain")
    if not subdomain:
        return []
    problems = names.problems(subdomain, "subdomain") + _label_problems(subdomain, _SUBDOMAIN_TOO_LONG)
    return [invalid_value("spec.network.subdomain", subdomain, problem) for problem in problems]


def _managed_by(spec: Obj) -> list[Cause]:
    manager = spec.get("managedBy")
    if manager is None:
        return []
    domain, slash, path = manager.partition("/")
    if not slash or not path or not names.is_dns_subdomain(domain):
        return [invalid_value("spec.managedBy", manager, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    return [Cause("spec.managedBy", "Too long: may not be more than 63 bytes", "FieldValueTooLong")] if len(manager) > 63 else []


def _replicated(jobset: Obj, replicated: Obj, path: str, seen: set[str]) -> list[Cause]:
    """One replicated job; adds its name to those seen, so that dependencies can only point backwards."""
    name, found = replicated.get("name", ""), []
    if name in seen:
        found.append(duplicate(f"{path}.name", name))
    seen.add(name)
    replicas, job = children.replicas(replicated), objects.get_path(replicated, "template", "spec") or {}
    if replicas < 0:
        found.append(invalid_value(f"{path}.replicas", replicas, "must be greater than or equal to 0"))
    parallelism = job.get("parallelism")
    if (1 if parallelism is None else parallelism) * replicas > MAX_INT32:
        message = f"the product of replicas and parallelism must not exceed {MAX_INT32} for replicatedJob '{name}'"
        found.append(invalid_value(f"{path}.replicas", replicas, message))
    group = replicated.get("groupName") or ""
    found += [invalid_value(f"{path}.groupName", group, p) for p in _label_problems(group, _GROUP_TOO_LONG)]
    found += _names(jobset, replicated, job, path)
    for dependency in replicated.get("dependsOn") or []:
        if dependency["name"] not in seen or dependency["name"] == name:
            message = f"replicatedJob: {name} cannot depend on replicatedJob: {dependency['name']}"
            found.append(invalid_value(f"{path}.dependsOn", dependency["name"], message))
    return found


def _names(jobset: Obj, replicated: Obj, job: Obj, path: str) -> list[Cause]:
    """The longest names that Jobs and pods will get must be DNS labels."""
    owner = objects.name(jobset) or (objects.meta(jobset).get("generateName") or "") + "abcde"
    longest = children.job_name(owner, replicated.get("name", ""), max(0, children.replicas(replicated) - 1))
    problems = _label_problems(longest, _JOB_NAME_TOO_LONG)
    if job.get("completionMode") == "Indexed" and job.get("completions"):
        problems += _label_problems(f"{longest}-{job['completions'] - 1}-abcde", _POD_NAME_TOO_LONG)
    return [invalid_value(f"{path}.name", longest, problem) for problem in problems]


def _label_problems(text: str, too_long: str) -> list[str]:
    return [too_long if "no more than" in problem else problem for problem in names.problems(text, "label1035")]


def _targets(policy: Obj, known: set[str]) -> list[Cause]:
    path = "spec.successPolicy.targetReplicatedJobs"
    unknown = (name for name in policy.get("targetReplicatedJobs") or [] if name not in known)
    return [invalid_value(path, n, f"invalid replicatedJob name '{n}' does not appear in .spec.ReplicatedJobs") for n in unknown]


def _failure_policy(policy: Obj | None, known: set[str]) -> list[Cause]:
    if not policy:
        return []
    path, found = "spec.failurePolicy", []
    if policy.get("restartStrategy") == "InPlaceRestart":
        message = "InPlaceRestart restart strategy cannot be set when InPlaceRestart feature gate is disabled"
        found.append(forbidden_field(f"{path}.restartStrategy", message))
    by_name: dict[str, list[int]] = {}
    for index, rule in enumerate(policy.get("rules") or []):
        found += _rule(rule, f"{path}.rules[{index}]", known)
        by_name.setdefault(rule.get("name", ""), []).append(index)
    for name, indices in by_name.items():
        if len(indices) > 1:
            listed = " ".join(map(str, indices))
            message = f"rule names are not unique, rules with indices [{listed}] all have the same name '{name}'"
            found.append(invalid_value(f"{path}.rules", name, message))
    return found


def _rule(rule: Obj, path: str, known: set[str]) -> list[Cause]:
    name, found = rule.get("name", ""), []
    if rule.get("action") in UNSUPPORTED_ACTIONS:
        message = (
            "RestartJob and RestartJobAndIgnoreMaxRestarts failure policy actions are not allowed when RestartJob feature gate is disabled"
        )
        found.append(forbidden_field(f"{path}.action", message))
    if not 1 <= len(name) <= 128:
        message = (
            f"invalid failure policy rule name of length {len(name)}, "
            "the rule name must be at least 1 characters long and at most 128 characters long"
        )
        found.append(invalid_value(f"{path}.name", name, message))
    if not _RULE_NAME.fullmatch(name):
        message = (
            f"invalid failure policy rule name '{name}', a failure policy rule name must start with an alphabetic character, optionally "
            "followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'"
        )
        found.append(invalid_value(f"{path}.name", name, message))
    for target in rule.get("targetReplicatedJobs") or []:
        if target not in known:
            message = f"invalid replicatedJob name '{target}' in failure policy does not appear in .spec.ReplicatedJobs"
            found.append(invalid_value(f"{path}.targetReplicatedJobs", target, message))
    for reason in rule.get("onJobFailureReasons") or []:
        if reason not in JOB_FAILURE_REASONS:
            message = f"invalid job failure reason '{reason}' in failure policy is not a recognized job failure reason"
            found.append(invalid_value(f"{path}.onJobFailureReasons", reason, message))
    return found


def _coordinator(jobset: Obj) -> list[Cause]:
    path, wanted = "spec.coordinator", objects.spec(jobset).get("coordinator")
    if not wanted:
        return []
    name = wanted.get("replicatedJob", "")
    replicated = next((r for r in children.replicated_jobs(jobset) if r["name"] == name), None)
    if replicated is None:
        return [invalid_value(f"{path}.replicatedJob", name, f"coordinator replicatedJob {name} does not exist")]
    found: list[Cause] = []
    job_index, pod_index = wanted.get("jobIndex", 0), wanted.get("podIndex", 0)
    if not 0 <= job_index < children.replicas(replicated):
        message = f"coordinator job index {job_index} is invalid for replicatedJob {name}"
        found.append(invalid_value(f"{path}.jobIndex", job_index, message))
    job = objects.get_path(replicated, "template", "spec") or {}
    if job.get("completionMode") != "Indexed" or job.get("completions") is None:
        message = "job for coordinator pod must be indexed completion mode, and completions number must be set"
        found.append(required(path, message))
    elif not 0 <= pod_index < job["completions"]:
        message = f"coordinator pod index {pod_index} is invalid for replicatedJob {name} job index {job_index}"
        found.append(invalid_value(f"{path}.podIndex", pod_index, message))
    endpoint = children.coordinator(jobset)
    found += [invalid_value(path, endpoint, problem) for problem in names.problems(endpoint, "label-value")]
    return found


def _changes(new: Obj, old: Obj) -> list[Cause]:
    """What may change of a JobSet: `suspend`, the time to live, and while suspended what a queue decides about its pods."""
    spec, before = objects.spec(new), objects.spec(old)
    found = [invalid_value(f"spec.{field}", "object", "Value is immutable") for field in IMMUTABLE if spec.get(field) != before.get(field)]
    loose = bool(spec.get("suspend") or before.get("suspend"))
    kept = [_fixed(r, loose) for r in spec.get("replicatedJobs") or []]
    if kept != [_fixed(r, loose) for r in before.get("replicatedJobs") or []]:
        found.append(Cause("spec.replicatedJobs", "Invalid value: field is immutable"))
    if spec.get("managedBy") != before.get("managedBy"):
        found.append(invalid_value("spec.managedBy", spec.get("managedBy"), "field is immutable"))
    return found


def _fixed(replicated: Obj, loose: bool) -> Obj:
    """What must stay of a replicated job."""
    if not loose:
        return replicated
    fixed = objects.copy(replicated)
    template = objects.get_path(fixed, "template", "spec", "template") or {}
    for field in ("labels", "annotations"):
        (template.get("metadata") or {}).pop(field, None)
    if not template.get("metadata"):
        template.pop("metadata", None)
    for field in _QUEUEING_FIELDS:
        (template.get("spec") or {}).pop(field, None)
    found: Obj = fixed
    return found
