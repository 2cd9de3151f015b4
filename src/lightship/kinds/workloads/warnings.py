"""What to say of accepted objects that make pods: names that no hostname can have, schedules with zones, and what their templates hold.

Called by the server through the `warn` of these kinds. Contract: kube-apiserver 1.36 WarningsOnCreate and WarningsOnUpdate of the
strategies in pkg/registry/apps and batch, pkg/api/job warnings; texts as kube-apiserver's.
"""

from lightship.kinds.pods import warnings as pod_warnings
from lightship.kinds.storage import claim_checks
from lightship.meta import names, objects
from lightship.meta.objects import Obj

_HOSTNAMES = "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended"
_MANY_COMPLETIONS, _MUCH_PARALLELISM = 100_000, 10_000
_UNTRACKED = (
    "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
    "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
)
_HISTORY = "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
_ZONE = (
    "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, "
    "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
)


def named(workload: Obj, old: Obj | None) -> list[str]:
    """Of Deployments, ReplicaSets and ReplicationControllers."""
    return _name(workload, old) + _template(workload, old)


def replication_controller(workload: Obj, old: Obj | None) -> list[str]:
    """On a change the template that was, as the real server does."""
    return named(workload, old) if old is None or objects.spec(workload) == objects.spec(old) else _template(old, workload)


def daemon_set(workload: Obj, old: Obj | None) -> list[str]:
    same = old is not None and objects.spec(workload).get("template") == objects.spec(old).get("template")
    return [] if same else _template(workload, None)


def stateful_set(workload: Obj, old: Obj | None) -> list[str]:
    found, spec = _template(workload, old), objects.spec(workload)
    for i, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        path = f"spec.volumeClaimTemplates[{i}]{'.Spec' if old else ''}"  # as the real server writes it
        found += claim_checks.warn_of_spec(path, claim.get("spec") or {})
    if (spec.get("revisionHistoryLimit") or 0) < 0:
        found.append(_HISTORY)
    return found


def pod_template(template: Obj, old: Obj | None) -> list[str]:
    if old is not None and old.get("template") == template.get("template"):
        return []
    return pod_warnings.of_template("template.", template.get("template"))


def job(work: Obj, old: Obj | None) -> list[str]:
    spec = objects.spec(work)
    return _name(work, old) + (_job_spec("spec", spec) if old is None or spec != objects.spec(old) else [])


def cron_job(cron: Obj, old: Obj | None) -> list[str]:
    spec = objects.spec(cron)
    found = _name(cron, old)
    if old is None or spec != objects.spec(old):
        found += _job_spec("spec.jobTemplate.spec", (spec.get("jobTemplate") or {}).get("spec") or {})
    return [*found, _ZONE] if old is not None and "TZ" in (spec.get("schedule") or "") else found


def _job_spec(path: str, spec: Obj) -> list[str]:
    many = (spec.get("completions") or 0) > _MANY_COMPLETIONS and (spec.get("parallelism") or 0) > _MUCH_PARALLELISM
    found = [f"{path}: {_UNTRACKED}"] if many and spec.get("completionMode") == "Indexed" else []
    return found + pod_warnings.of_template(f"{path}.template.", spec.get("template"))


def _name(workload: Obj, old: Obj | None) -> list[str]:
    wrong = [] if old is not None else names.problems(objects.name(workload), "label")
    return [f"metadata.name: {_HOSTNAMES}: [{' '.join(wrong)}]"] if wrong else []


def _template(workload: Obj, old: Obj | None) -> list[str]:
    spec = objects.spec(workload)
    if old is not None and spec == objects.spec(old):
        return []
    return pod_warnings.of_template("spec.template.", spec.get("template"))
