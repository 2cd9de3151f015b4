"""Rules of a TrainingRuntime and ClusterTrainingRuntime that need nothing but the runtime.

Called by the API server through `Resource.validate`. Both kinds have one spec: a machine-learning policy, a pod group policy, and a
JobSet template. What the webhook checks of its replicated jobs is in `train.admission`, since refusals are worded differently there.
Contract: the CEL rules of (cluster)trainingruntimes.trainer.kubeflow.org, Trainer 2.3.0, and those of the JobSet spec inside.
"""

from collections.abc import Iterator

from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import names
from .causes import by_key, refused, unchanged

POLICIES = ("torch", "mpi", "jax", "xgboost", "flux")
_NO_NODE = "containerNames must not include the main node container because PET_* envs are always injected into it"
_IMMUTABLE_JOBSET_FIELDS = ("failurePolicy", "network", "startupPolicy", "successPolicy", "volumeClaimPolicies")
_JOBSET_IMMUTABLE = "Value is immutable"


def validate(runtime: Obj, old: Obj | None) -> list[Cause]:
    """Everything wrong with a runtime (and with its change, if `old` is given)."""
    spec = runtime.get("spec") or {}
    template = (spec.get("template") or {}).get("spec") or {}
    causes = [*_check_policy(spec.get("mlPolicy") or {}), *_check_jobset(template)]
    if old is not None:
        before = ((old.get("spec") or {}).get("template") or {}).get("spec") or {}
        causes.extend(_check_change(template, before))
    return causes


def _check_policy(policy: Obj) -> Iterator[Cause]:
    path = "spec.mlPolicy"
    if sum(source in policy for source in POLICIES) > 1:
        yield refused(path, policy, "Only one of the policy can be configured")
    processes = (policy.get("flux") or {}).get("numProcPerNode")
    if processes is not None and processes < 1:
        yield refused(f"{path}.flux.numProcPerNode", processes, "NumProcPerNode in fluxPolicy must be >= 1")
    targets = ((policy.get("torch") or {}).get("envInjection") or {}).get("targets") or ()
    for i, target in enumerate(targets):
        if names.NODE in (target.get("containerNames") or ()):
            yield refused(f"{path}.torch.envInjection.targets[{i}].containerNames", target["containerNames"], _NO_NODE)


def _check_jobset(spec: Obj) -> Iterator[Cause]:
    path = "spec.template.spec"
    in_order = (spec.get("startupPolicy") or {}).get("startupPolicyOrder") == "InOrder"
    if in_order and any("dependsOn" in job for job in spec.get("replicatedJobs") or ()):
        yield refused(path, spec, "StartupPolicy and DependsOn APIs are mutually exclusive")
    for i, policy in enumerate(spec.get("volumeClaimPolicies") or ()):
        if any((t.get("metadata") or {}).get("namespace") for t in policy.get("templates") or ()):
            yield refused(f"{path}.volumeClaimPolicies[{i}]", policy, "namespace cannot be set for VolumeClaimPolicies templates")


def _check_change(spec: Obj, old: Obj) -> Iterator[Cause]:
    path = "spec.template.spec"
    for field in _IMMUTABLE_JOBSET_FIELDS:
        yield from unchanged(f"{path}.{field}", spec.get(field), old.get(field), _JOBSET_IMMUTABLE)
    before = by_key(old.get("replicatedJobs"), "name")
    for i, job in enumerate(spec.get("replicatedJobs") or ()):
        was = (before.get(job.get("name", "")) or {}).get("dependsOn")
        yield from unchanged(f"{path}.replicatedJobs[{i}].dependsOn", job.get("dependsOn"), was, _JOBSET_IMMUTABLE)
