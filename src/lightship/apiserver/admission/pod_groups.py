"""Rules of PodGroups: what is in use is kept by a finalizer, a template that is named must be there, and gangs do not change their size.

The finalizer is taken away by a protection controller; the priority of a group is resolved by `priorities`.
Contract: kube-apiserver plugins PodGroupProtection, PodGroupWorkloadExists and JobValidation.
"""

from lightship.apiserver.core import Core
from lightship.meta import objects
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj

from .refusals import forbidden

GROUP, VERSION = "scheduling.k8s.io", "v1alpha2"
BUCKET, WORKLOADS = f"{GROUP}/podgroups", f"{GROUP}/workloads"
FINALIZER = f"{GROUP}/podgroup-protection"


def protection(core: Core) -> list[Admission]:
    """PodGroupProtection, for servers that serve the kind."""
    groups = core.catalogue.find(GROUP, VERSION, "podgroups")
    if groups is None:
        return []
    return [Admission(name="PodGroupProtection", resources=(groups,), mutate=_protect, operations=("CREATE",), whole=True)]


async def _protect(request: AdmissionRequest) -> list[str] | None:
    obj = request.obj
    if obj is None or request.operation != "CREATE" or request.subresource:
        return None
    finalizers = obj["metadata"].get("finalizers") or []
    if FINALIZER not in finalizers:
        obj["metadata"]["finalizers"] = [*finalizers, FINALIZER]
    return None


def workloads(core: Core) -> list[Admission]:
    """PodGroupWorkloadExists and JobValidation."""
    groups, jobs = core.catalogue.find(GROUP, VERSION, "podgroups"), core.catalogue.find("batch", "v1", "jobs")
    if groups is None:
        return []

    async def exists(request: AdmissionRequest) -> None:
        if request.operation == "CREATE" and not request.subresource and request.obj is not None:
            _check_template(core, request, request.obj)

    async def keeps_size(request: AdmissionRequest) -> None:
        if request.operation == "UPDATE" and not request.subresource and request.obj is not None and request.old is not None:
            _check_parallelism(core, request, request.obj, request.old)

    found = [Admission(name="PodGroupWorkloadExists", resources=(groups,), validate=exists, operations=("CREATE",), whole=True)]
    if jobs is not None:
        found.append(
            Admission(name="JobValidation", resources=(jobs,), validate=keeps_size, operations=("UPDATE",), whole=True, buckets=(BUCKET,))
        )
    return found


def _check_template(core: Core, request: AdmissionRequest, group: Obj) -> None:
    reference = (objects.spec(group).get("podGroupTemplateRef") or {}).get("workload")
    if reference is None:
        return
    name, template = reference.get("workloadName") or "", reference.get("podGroupTemplateName") or ""
    record = core.store.get(f"{WORKLOADS}/{request.namespace}/{name}")
    if record is None:
        raise forbidden(request, f'PodGroup rejected: Workload "{name}" not found')
    if objects.is_deleting(record.obj):
        raise forbidden(request, f'PodGroup rejected: Workload "{name}" is being deleted')
    if all(each.get("name") != template for each in objects.spec(record.obj).get("podGroupTemplates") or ()):
        raise forbidden(request, f'PodGroup rejected: PodGroupTemplate "{template}" not found in Workload "{name}"')


def _check_parallelism(core: Core, request: AdmissionRequest, job: Obj, old: Obj) -> None:
    if objects.spec(job).get("parallelism") == objects.spec(old).get("parallelism"):
        return
    for group in _groups_of(core, request.namespace, old):
        if (objects.spec(group).get("schedulingPolicy") or {}).get("gang") is not None:
            why = f'cannot change parallelism for a Job referencing gang-scheduled PodGroup "{objects.name(group)}"'
            raise forbidden(request, why)


def _groups_of(core: Core, namespace: str, job: Obj) -> list[Obj]:
    """The group that its pods name, or else those that it controls."""
    named = (objects.get_path(job, "spec", "template", "spec", "schedulingGroup") or {}).get("podGroupName")
    if named is not None:
        record = core.store.get(f"{BUCKET}/{namespace}/{named}")
        return [record.obj] if record is not None else []
    groups = [record.obj for record in core.store.list(f"{BUCKET}/{namespace}/").records]
    return [group for group in groups if (objects.controller_of(group) or {}).get("uid") == objects.uid(job)]
