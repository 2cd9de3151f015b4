"""Which pods a Job takes for its own: `claiming`, and what a Job adds: its pods carry a finalizer until they are counted, and a Job that
has ended claims nothing any more.

Pure; the controller hands in what its caches hold and carries the answer out.
Contract: Kubernetes 1.36 job controller, batch/v1 JobSpec.selector.
"""

from collections.abc import Iterable

from lightship.builtin import claiming
from lightship.builtin.claiming import Claims, appended, same
from lightship.builtin.job import podset
from lightship.kinds import JOBS
from lightship.meta import objects
from lightship.meta.objects import Key, Obj


def divide(job: Obj, owned: Iterable[Obj], loose: Iterable[Obj], *, open: bool) -> Claims:
    """Sort pods out. A Job that is finished or on its way out (not `open`) keeps what it has."""
    return claiming.divide(job, owned, loose, open=True) if open else Claims(list(owned), [], [])


def job_key(pod: Obj) -> Key | None:
    """The Job that controls a pod; of a pod without a controller that still waits to be counted, the one that its label names."""
    owner = objects.controller_of(pod)
    if owner is None:
        name = objects.labels(pod).get(podset.JOB_NAME) if podset.is_tracked(pod) else None
        return Key(objects.namespace(pod), name) if name else None
    if owner.get("kind") != JOBS.kind or not owner.get("apiVersion", "").startswith(f"{JOBS.group}/"):
        return None
    return Key(objects.namespace(pod), owner["name"])


def index_by_job(pod: Obj) -> Iterable[str]:
    found = job_key(pod)
    return () if found is None else (str(found),)


def adoption(job: Obj, pod: Obj) -> list[Obj]:
    """The JSON patch that makes a pod the Job's, to be counted when it ends."""
    patch = claiming.adoption(job, pod)
    return patch if podset.is_tracked(pod) else [*patch, appended(pod, "finalizers", podset.TRACKING)]


def parting(job: Obj, pod: Obj) -> list[Obj]:
    """The JSON patch that takes the Job's reference and finalizer from a pod."""
    return claiming.parting(job, pod) + release(pod)[1:]


def release(pod: Obj) -> list[Obj]:
    """The JSON patch that takes our finalizer away, of this very pod, without disturbing those of others."""
    finalizers = objects.meta(pod).get("finalizers") or []
    if podset.TRACKING not in finalizers:
        return []
    path = f"/metadata/finalizers/{finalizers.index(podset.TRACKING)}"
    return [same(pod), {"op": "test", "path": path, "value": podset.TRACKING}, {"op": "remove", "path": path}]
