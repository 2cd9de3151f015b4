"""What may change of a JobSet: `suspend`, the time to live, and while it is suspended what a queue decides about its pods.

`breaches` are the rules of the definition (CEL in upstream's), for every server that has none of them compiled; `problems` those of the
webhook. Pure. Contract: JobSet 0.12 x-kubernetes-validations and vjobset.kb.io, with every feature gate.
"""

from collections.abc import Iterator
from typing import Any

from lightship.builtin.jobset.gates import NONE, Gates
from lightship.meta import conditions, objects
from lightship.meta.errors import Cause, forbidden_field, invalid_value
from lightship.meta.objects import Obj

IMMUTABLE = ("failurePolicy", "network", "startupPolicy", "successPolicy", "volumeClaimPolicies")
_EXCLUSIVE = "StartupPolicy and DependsOn APIs are mutually exclusive"
_FIXED = "Value is immutable"
_NAMESPACED = "namespace cannot be set for VolumeClaimPolicies templates"
_QUEUEING_FIELDS = ("nodeSelector", "tolerations", "schedulingGates")
_OVER = "Cannot mutate parallelism or completions when JobSet is in a terminal state (Completed or Failed)"
_UNEQUAL = "completions must be equal to parallelism for Elastic Indexed Jobs"


def breaches(new: Obj, old: Obj | None) -> list[Cause]:
    """What the rules of the definition say. What is no object is the schema's to refuse."""
    spec, before = new.get("spec"), (old or {}).get("spec")
    if not isinstance(spec, dict) or spec is before:
        return []
    found = list(_rules(spec))
    if isinstance(before, dict):
        found += _transitions(spec, before)
    return found


def _rules(spec: Obj) -> Iterator[Cause]:
    replicated_jobs = _listed(spec.get("replicatedJobs"))
    if objects.get_path(spec, "startupPolicy", "startupPolicyOrder") == "InOrder" and any("dependsOn" in r for r in replicated_jobs):
        yield _breach("spec", _EXCLUSIVE)
    for index, policy in enumerate(_listed(spec.get("volumeClaimPolicies"))):
        if any(objects.get_path(template, "metadata", "namespace") for template in _listed(policy.get("templates"))):
            yield _breach(f"spec.volumeClaimPolicies[{index}]", _NAMESPACED)


def _transitions(spec: Obj, before: Obj) -> Iterator[Cause]:
    """A field may come and go, but not change."""
    for field in IMMUTABLE:
        if field in spec and field in before and spec[field] != before[field]:
            yield _breach(f"spec.{field}", _FIXED)
    known = {r.get("name"): r for r in _listed(before.get("replicatedJobs"))}
    for index, replicated in enumerate(_listed(spec.get("replicatedJobs"))):
        was = known.get(replicated.get("name"), {})
        if "dependsOn" in replicated and "dependsOn" in was and replicated["dependsOn"] != was["dependsOn"]:
            yield _breach(f"spec.replicatedJobs[{index}].dependsOn", _FIXED)


def _breach(field: str, text: str) -> Cause:
    """A rule of a definition that an object breaks; the real server does not repeat the value."""
    return Cause(field, f"Invalid value: {text}")


def _listed(items: Any) -> list[Obj]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def problems(new: Obj, old: Obj, gates: Gates = NONE) -> list[Cause]:
    """What the webhook says against a change."""
    spec, before = objects.spec(new), objects.spec(old)
    known = {r["name"]: r for r in before.get("replicatedJobs") or []}
    loose = bool(spec.get("suspend") or before.get("suspend"))
    found: list[Cause] = []
    judged: list[Obj] = []
    for index, replicated in enumerate(spec.get("replicatedJobs") or []):
        was, kept = known.get(replicated["name"]), replicated
        if was is not None and gates.elastic and _job(replicated).get("completionMode") == "Indexed":
            found += _sizes(_job(replicated), _job(was), f"spec.replicatedJobs[{index}].template.spec", old)
            kept = _as_before(kept, was, ("template", "spec"), ("parallelism", "completions"))
        if was is not None and loose:
            kept = _as_before(kept, was, ("template", "spec", "template", "metadata"), ("labels", "annotations"))
            kept = _as_before(kept, was, ("template", "spec", "template", "spec"), _QUEUEING_FIELDS)
        judged.append(kept)
    if _plain(judged) != _plain(before.get("replicatedJobs") or []):
        found.append(invalid_value("spec.replicatedJobs", judged, "field is immutable"))
    if spec.get("managedBy") != before.get("managedBy"):
        found.append(invalid_value("spec.managedBy", spec.get("managedBy"), "field is immutable"))
    return found


def _job(replicated: Obj) -> Obj:
    return objects.get_path(replicated, "template", "spec") or {}


def _sizes(job: Obj, was: Obj, path: str, old: Obj) -> Iterator[Cause]:
    """May a Job grow or shrink so?"""
    parallelism, completions = job.get("parallelism"), job.get("completions")
    moved = [field for field in ("parallelism", "completions") if job.get(field) != was.get(field)]
    if not moved:
        return
    if conditions.is_true(old, "Completed") or conditions.is_true(old, "Failed"):
        yield forbidden_field(path, _OVER)
        return
    for field in moved:
        if job.get(field) is not None and job[field] < 1:
            yield invalid_value(f"{path}.{field}", job[field], f"{field} must be >= 1")
    if parallelism is not None and completions is not None and parallelism != completions:
        yield invalid_value(f"{path}.completions", completions, _UNEQUAL)


def _as_before(new: Obj, old: Obj, path: tuple[str, ...], fields: tuple[str, ...]) -> Obj:
    """A copy of `new` in which these fields at the path are those of `old`."""
    found: Obj = dict(new)
    at, was = found, old
    for step in path:
        at[step] = dict(at.get(step) or {})
        at, was = at[step], was.get(step) or {}
    for field in fields:
        at.pop(field, None)
        if field in was:
            at[field] = was[field]
    return found


def _plain(value: Any) -> Any:
    """Without what means nothing: upstream reads objects into structs, in which empty and missing are the same."""
    if isinstance(value, dict):
        return {k: found for k, v in value.items() if (found := _plain(v)) not in (None, {}, [])}
    return [_plain(item) for item in value] if isinstance(value, list) else value
