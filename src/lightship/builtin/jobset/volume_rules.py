"""What volume claim policies must keep to, against the Jobs that mount the claims and the claims that are there already.

Pure: called by `admission`, which gives the claims. Contract: JobSet 0.12 vjobset.kb.io.
"""

from collections.abc import Iterator, Mapping, Sequence

from lightship.builtin.jobset import children, volumes
from lightship.meta import names, objects
from lightship.meta.errors import Cause, invalid_value
from lightship.meta.objects import Obj

LONGEST_CLAIM = 63


def problems(jobset: Obj, existing: Mapping[str, Obj]) -> list[Cause]:
    """`existing` are claims in the namespace of the JobSet by their names."""
    found: list[Cause] = []
    seen: set[str] = set()
    for at, policy in enumerate(objects.spec(jobset).get("volumeClaimPolicies") or []):
        path = f"spec.volumeClaimPolicies[{at}]"
        for index, template in enumerate(policy.get("templates") or []):
            name, field = objects.name(template), f"{path}.template[{index}]"
            if name in seen:
                found.append(invalid_value(f"{field}.name", name, "names must be unique for VolumeClaimPolicies template"))
            found += (invalid_value(f"{field}.name", name, text) for text in names.problems(name, "subdomain"))
            claim = volumes.claim_name(objects.name(jobset), name)
            if len(claim) > LONGEST_CLAIM:
                found.append(invalid_value(f"{field}.name", name, "VolumeClaimPolicies template name is too long"))
            found += _mounted(children.replicated_jobs(jobset), name)
            if claim in existing:
                found += _taken(jobset, policy, template, existing[claim], (path, field))
            seen.add(name)
    return found


def _mounted(replicated_jobs: Sequence[Obj], name: str) -> Iterator[Cause]:
    pods = [objects.get_path(r, "template", "spec", "template", "spec") or {} for r in replicated_jobs]
    for at, pod in enumerate(pods):
        for index, volume in enumerate(pod.get("volumes") or []):
            if volume.get("name") == name:
                field = f"spec.replicatedJobs[{at}].template.spec.template.spec.volumes[{index}].name"
                yield invalid_value(field, name, f"volume name conflicts with VolumeClaimPolicy template name: {name}")
    if not any(volumes.mounts(pod, name) for pod in pods):
        text = f"replicatedJob containers don't have a matching volumeMount: {name} from VolumeClaimPolicies"
        yield invalid_value("spec.replicatedJobs", replicated_jobs, text)


def _taken(jobset: Obj, policy: Obj, template: Obj, claim: Obj, paths: tuple[str, str]) -> Iterator[Cause]:
    """A claim of the name is there already and used as it is: it must be what is asked for, and must not be deleted with this JobSet."""
    path, field = paths
    if objects.spec(claim) != objects.spec(template):
        text = f"spec does not match existing PVC {objects.name(claim)} in namespace {objects.namespace(jobset)}"
        yield invalid_value(f"{field}.spec", objects.spec(template), text)
    if volumes.is_deleted_along(policy):
        yield invalid_value(f"{path}.retentionPolicy.whenDeleted", "Delete", "retentionPolicy must be retain when PVC exists")
