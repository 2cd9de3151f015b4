"""Which pods a Job takes for its own: it adopts those that nobody controls and that its selector finds, and lets go of those it no longer
finds.

Pure; the controller hands in what its caches hold and carries the answer out. Pods without a controller and Jobs meet by `handles`, so
that a pod that never was a Job's costs a look into an index and nothing more.
Contract: Kubernetes 1.36 job controller, batch/v1 JobSpec.selector.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from lightship.builtin.job import podset
from lightship.kinds import JOBS
from lightship.meta import objects, selectors
from lightship.meta.objects import Key, Obj


class Claims(NamedTuple):
    mine: list[Obj]
    adopt: list[Obj]
    """Pods without a controller that the Job should control."""
    part: list[Obj]
    """Pods of the Job that its selector no longer finds."""


def divide(job: Obj, owned: Iterable[Obj], loose: Iterable[Obj], *, open: bool) -> Claims:
    """Sort pods out. A Job that is finished or on its way out (not `open`) keeps what it has."""
    if not open:
        return Claims(list(owned), [], [])
    matches = selectors.from_label_selector(objects.spec(job).get("selector")).matches
    claims = Claims([], [pod for pod in loose if matches(objects.labels(pod)) and not objects.is_deleting(pod)], [])
    for pod in owned:
        (claims.mine if matches(objects.labels(pod)) else claims.part).append(pod)
    return claims


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


def handle(job: Obj) -> str:
    """By what label a Job's selector finds pods, of several the first; a selector of expressions alone looks at all of the namespace."""
    wanted = objects.get_path(job, "spec", "selector", "matchLabels") or {}
    return f"{objects.namespace(job)}/{next((f'{label}={wanted[label]}' for label in sorted(wanted)), '')}"


def index_by_handle(job: Obj) -> Iterable[str]:
    return (handle(job),)


def handles(pod: Obj) -> Iterable[str]:
    """Where a pod without a controller may be looked for; an index of pods."""
    if objects.controller_of(pod) is not None:
        return ()
    space = objects.namespace(pod)
    return [f"{space}/", *(f"{space}/{label}={value}" for label, value in objects.labels(pod).items())]


def adoption(job: Obj, pod: Obj) -> list[Obj]:
    """The JSON patch that makes a pod the Job's, to be counted when it ends."""
    patch = [_same(pod), _appended(pod, "ownerReferences", objects.owner_reference(job))]
    return patch if podset.is_tracked(pod) else [*patch, _appended(pod, "finalizers", podset.TRACKING)]


def parting(job: Obj, pod: Obj) -> list[Obj]:
    """The JSON patch that takes the Job's reference and finalizer from a pod."""
    number = next(i for i, owner in enumerate(objects.owners(pod)) if owner.get("uid") == objects.uid(job))
    path = f"/metadata/ownerReferences/{number}"
    patch = [_same(pod), {"op": "test", "path": f"{path}/uid", "value": objects.uid(job)}, {"op": "remove", "path": path}]
    return patch + release(pod)[1:]


def release(pod: Obj) -> list[Obj]:
    """The JSON patch that takes our finalizer away, of this very pod, without disturbing those of others."""
    finalizers = objects.meta(pod).get("finalizers") or []
    if podset.TRACKING not in finalizers:
        return []
    path = f"/metadata/finalizers/{finalizers.index(podset.TRACKING)}"
    return [_same(pod), {"op": "test", "path": path, "value": podset.TRACKING}, {"op": "remove", "path": path}]


def _same(pod: Obj) -> Obj:
    return {"op": "test", "path": "/metadata/uid", "value": objects.uid(pod)}


def _appended(pod: Obj, field: str, value: Any) -> Obj:
    if objects.meta(pod).get(field):
        return {"op": "add", "path": f"/metadata/{field}/-", "value": value}
    return {"op": "add", "path": f"/metadata/{field}", "value": [value]}
