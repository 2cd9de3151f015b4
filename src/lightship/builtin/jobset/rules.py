"""What a new JobSet must keep to: what upstream's validating webhook looks at when one is created.

Pure; called by `admission`, after the schema and the rules of the definition. Refusals are worded as upstream words them: where it knows no
field, the path is `<nil>`.
Contract: JobSet 0.12 vjobset.kb.io, with every feature gate.
"""

from collections.abc import Iterator

from lightship.builtin.jobset import children, inplace, policy_rules, terms
from lightship.builtin.jobset.gates import NONE, Gates
from lightship.kinds.workloads.job_checks import check_manager
from lightship.meta import names, objects
from lightship.meta.errors import Cause, invalid_value
from lightship.meta.objects import Obj

MAX_INT32 = 2**31 - 1
_JOB_NAME_TOO_LONG = "JobSet name is too long, job names generated for this JobSet will exceed 63 characters"
_POD_NAME_TOO_LONG = "JobSet name is too long, pod names generated for this JobSet will exceed 63 characters"
_GROUP_TOO_LONG = ".spec.replicatedJob[].groupName is too long, must be less than 63 characters"
_SUBDOMAIN_TOO_LONG = ".spec.network.subdomain is too long, must be less than 63 characters"
_NO_IN_PLACE = "InPlaceRestart restart strategy cannot be set when InPlaceRestart feature gate is disabled"
_IN_PLACE_SIZES = "completions and parallelism must be set and equal to each other when in-place restart is enabled"


def internal(message: str) -> Cause:
    """A refusal that names no field."""
    return Cause("<nil>", f"Internal error: {message}", "InternalError")


def problems(jobset: Obj, gates: Gates = NONE) -> list[Cause]:
    """Everything wrong with a new JobSet that has its defaults, but for what claims in the cluster say about it (`volume_rules`)."""
    spec = objects.spec(jobset)
    found: list[Cause] = []
    if inplace.is_wanted(jobset) and not gates.in_place_restart:
        found.append(internal(_NO_IN_PLACE))
    replicated_jobs = children.replicated_jobs(jobset)
    if replicated_jobs and replicated_jobs[0].get("dependsOn") is not None:
        found.append(internal("DependsOn can't be set for the first ReplicatedJob"))
    found += _subdomain(spec)
    if (manager := spec.get("managedBy")) is not None:
        found += check_manager("spec.managedBy", manager)
    seen: set[str] = set()
    for index, replicated in enumerate(replicated_jobs):
        seen.add(replicated["name"])
        found += _replicated(jobset, replicated, f"spec.replicatedJobs[{index}]", seen)
        if inplace.is_wanted(jobset) and gates.in_place_restart:
            found += _in_place(replicated, f"spec.replicatedJobs[{index}].template.spec")
    for target in objects.get_path(spec, "successPolicy", "targetReplicatedJobs") or []:
        if target not in seen:
            found.append(internal(f"invalid replicatedJob name '{target}' does not appear in .spec.ReplicatedJobs"))
    found += (internal(text) for text in policy_rules.problems(spec.get("failurePolicy"), replicated_jobs, gates))
    found += (internal(text) for text in _coordinator(jobset))
    return found


def _subdomain(spec: Obj) -> list[Cause]:
    subdomain = objects.get_path(spec, "network", "subdomain")
    if not subdomain:
        return []
    texts = names.problems(subdomain, "subdomain") + _label_problems(subdomain, _SUBDOMAIN_TOO_LONG)
    return [invalid_value("spec.network.subdomain", subdomain, text) for text in texts]


def _replicated(jobset: Obj, replicated: Obj, path: str, seen: set[str]) -> Iterator[Cause]:
    """One replicated job; `seen` are the names of those up to this one, so that dependencies cannot point forward."""
    name, job = replicated["name"], objects.get_path(replicated, "template", "spec") or {}
    parallelism = job.get("parallelism")
    if (1 if parallelism is None else parallelism) * children.replicas(replicated) > MAX_INT32:
        yield internal(f"the product of replicas and parallelism must not exceed {MAX_INT32} for replicatedJob '{name}'")
    group = replicated.get("groupName") or ""
    yield from (invalid_value(f"{path}.groupName", group, text) for text in _label_problems(group, _GROUP_TOO_LONG))
    yield from (invalid_value(f"{path}.name", longest, text) for longest, text in _names(jobset, replicated, job))
    for dependency in replicated.get("dependsOn") or []:
        if dependency["name"] not in seen:
            yield internal(f"replicatedJob: {name} cannot depend on replicatedJob: {dependency['name']}")


def _names(jobset: Obj, replicated: Obj, job: Obj) -> Iterator[tuple[str, str]]:
    """The longest names that Jobs and pods will get must be DNS labels."""
    longest = children.job_name(objects.name(jobset), replicated["name"], children.replicas(replicated) - 1)
    for text in _label_problems(longest, _JOB_NAME_TOO_LONG):
        yield longest, text
    if job.get("completionMode") == "Indexed" and job.get("completions") is not None:
        for text in _label_problems(f"{longest}-{job['completions'] - 1}-abcde", _POD_NAME_TOO_LONG):
            yield longest, text


def _label_problems(text: str, too_long: str) -> list[str]:
    return [too_long if "must be no more than 63 characters" in problem else problem for problem in names.problems(text, "label1035")]


def _in_place(replicated: Obj, path: str) -> Iterator[Cause]:
    """What Jobs must say so that nothing but an agent ever restarts their pods."""
    name, job = replicated["name"], objects.get_path(replicated, "template", "spec") or {}
    limit, policy = job.get("backoffLimit"), job.get("podReplacementPolicy")
    parallelism, completions = job.get("parallelism"), job.get("completions")
    if limit != MAX_INT32:
        text = f"replicatedJob {name}: must be set to {MAX_INT32} (MaxInt32) when in-place restart is enabled"
        yield invalid_value(f"{path}.backoffLimit", limit, text)
    if policy != "Failed":
        text = f"replicatedJob {name}: must be set to Failed when in-place restart is enabled"
        yield invalid_value(f"{path}.podReplacementPolicy", policy, text)
    if parallelism is None or completions != parallelism:
        yield invalid_value(f"{path}.completions", completions, f"replicatedJob {name}: {_IN_PLACE_SIZES}")


def _coordinator(jobset: Obj) -> Iterator[str]:
    wanted = objects.spec(jobset).get("coordinator")
    if wanted is None:
        return
    if text := _wrong_coordinator(jobset, wanted):
        yield text
    endpoint = children.coordinator(jobset)
    if found := names.problems(endpoint, "label-value"):
        what = f'spec will lead to invalid label value "{endpoint}" for coordinator label "{terms.COORDINATOR}"'
        yield f"{what} (long JobSet / ReplicatedJob / SubDomain name?): {', '.join(found)}"


def _wrong_coordinator(jobset: Obj, wanted: Obj) -> str:
    name, index, pod = wanted["replicatedJob"], wanted.get("jobIndex", 0), wanted.get("podIndex", 0)
    replicated = next((r for r in children.replicated_jobs(jobset) if r["name"] == name), None)
    if replicated is None:
        return f"coordinator replicatedJob {name} does not exist"
    if not 0 <= index < children.replicas(replicated):
        return f"coordinator job index {index} is invalid for replicatedJob {name}"
    job = objects.get_path(replicated, "template", "spec") or {}
    if job.get("completionMode") != "Indexed" or job.get("completions") is None:
        return "job for coordinator pod must be indexed completion mode, and completions number must be set"
    if not 0 <= pod < job["completions"]:
        return f"coordinator pod index {pod} is invalid for replicatedJob {name} job index {index}"
    return ""
