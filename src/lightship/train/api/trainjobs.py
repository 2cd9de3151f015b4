"""Defaults and rules of a TrainJob that need nothing but the TrainJob.

Called by the API server through `Resource.default` and `Resource.validate`, after types and lengths have been checked against the
schema. Rules that need the runtime or the JobSet are in `train.admission`.
Contract: the CEL rules and markers of trainjobs.trainer.kubeflow.org, Trainer 2.3.0.
"""

import re
from collections.abc import Iterator

from lightship.meta.errors import Cause, invalid_value
from lightship.meta.objects import Obj

from . import names
from .causes import IMMUTABLE, by_key, items, part, refused, unchanged

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
_IMMUTABLE_FIELDS = ("runtimeRef", "initializer", "trainer", "activeDeadlineSeconds", "managedBy")
_IMMUTABLE_POD_FIELDS = {
    "serviceAccountName": "",
    "volumes": "name",
    "initContainers": "name",
    "containers": "name",
    "imagePullSecrets": "name",
    "securityContext": "",
    "terminationGracePeriodSeconds": "",
}
"""Fields of a PodSpecPatch that may not change → the key of list items, empty for anything but lists."""


def default(job: Obj) -> None:
    """Fill what the CRD defaults; `mlPolicy` and other defaults live in the runtime."""
    spec = job.get("spec")
    if not isinstance(spec, dict):
        return
    spec.setdefault("managedBy", names.CONTROLLER_NAME)
    spec.setdefault("suspend", False)
    ref = spec.get("runtimeRef")
    if isinstance(ref, dict):
        ref.setdefault("apiGroup", names.GROUP)
        ref.setdefault("kind", names.CLUSTER_RUNTIME_KIND)


def validate(job: Obj, old: Obj | None) -> list[Cause]:
    """Everything wrong with a TrainJob (and with its change, if `old` is given)."""
    spec = job.get("spec")
    if not isinstance(spec, dict):
        return [Cause("spec", "Required value", "FieldValueRequired")]
    causes = [*_check_name(job["metadata"].get("name") or ""), *_check_spec(spec), *_check_status(part(job, "status"))]
    if old is not None:
        causes.extend(_check_change(spec, old.get("spec") or {}))
    return causes


def _check_name(name: str) -> Iterator[Cause]:
    if not name:
        return  # generateName: the name comes later and is made of a checked base
    if not _NAME.fullmatch(name):
        yield Cause("<nil>", "Invalid value: metadata.name must match RFC 1035 DNS label format")
    if len(name) > 63:
        yield Cause("<nil>", "Invalid value: metadata.name must be no more than 63 characters")


def _check_spec(spec: Obj) -> Iterator[Cause]:
    managed_by = spec.get("managedBy")
    if managed_by is not None and managed_by not in (names.CONTROLLER_NAME, names.MULTIKUEUE):
        yield refused("spec.managedBy", managed_by, f"ManagedBy must be {names.CONTROLLER_NAME} or {names.MULTIKUEUE} if set")
    for step in ("dataset", "model"):
        uri = part(spec, "initializer", step).get("storageUri")
        if isinstance(uri, str) and uri and not _URI.fullmatch(uri):
            yield refused(f"spec.initializer.{step}.storageUri", uri, "storageUri may be empty, or it must be a valid URI (scheme://...)")
    trainer = part(spec, "trainer")
    nodes = trainer.get("numNodes")
    if isinstance(nodes, int) and nodes < 0:
        yield invalid_value("spec.trainer.numNodes", nodes, "spec.trainer.numNodes in body should be greater than or equal to 0")


def _check_status(status: Obj) -> Iterator[Cause]:
    trainer = status.get("trainerStatus")
    if isinstance(trainer, dict) and "lastUpdatedTime" not in trainer:
        yield refused("status.trainerStatus", trainer, "lastUpdatedTime is required when trainerStatus is present")


def _check_change(spec: Obj, old: Obj) -> Iterator[Cause]:
    for field in _IMMUTABLE_FIELDS:
        yield from unchanged(f"spec.{field}", spec.get(field), old.get(field))
    before = by_key(items(old, "runtimePatches"), "manager")
    for i, patch in enumerate(items(spec, "runtimePatches")):
        was = {name: pod for name, _, pod in _pod_patches(before.get(str(patch.get("manager", "")), {}))}
        for name, path, pod in _pod_patches(patch):
            if name in was:
                yield from _check_pod_patch(f"spec.runtimePatches[{i}].{path}", pod, was[name])


def _pod_patches(patch: Obj) -> Iterator[tuple[str, str, Obj]]:
    """(name of the replicated job, path for messages, its PodSpecPatch) for each replicated job that a patch names."""
    for i, job in enumerate(items(patch, "trainingRuntimeSpec", "template", "spec", "replicatedJobs")):
        path = f"trainingRuntimeSpec.template.spec.replicatedJobs[{i}].template.spec.template.spec"
        yield str(job.get("name", "")), path, part(job, "template", "spec", "template", "spec")


def _check_pod_patch(path: str, new: Obj, old: Obj) -> Iterator[Cause]:
    for field, key in _IMMUTABLE_POD_FIELDS.items():
        after, before = new.get(field), old.get(field)
        if key and after is not None and before is not None:
            if by_key(items(new, field), key) != by_key(items(old, field), key):
                yield refused(f"{path}.{field}", after, IMMUTABLE)
        else:
            yield from unchanged(f"{path}.{field}", after, before)
