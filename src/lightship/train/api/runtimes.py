"""Rules of a TrainingRuntime and ClusterTrainingRuntime that need nothing but the runtime.

Called by the API server through `Resource.validate`. Both kinds have one spec: a machine-learning policy, a pod group policy, and a
JobSet template. What the webhook checks of its replicated jobs is in `train.admission`, since refusals are worded differently there.
Contract: the CEL rules of (cluster)trainingruntimes.trainer.kubeflow.org, Trainer 2.3.0, and those of the JobSet spec inside.
"""

from collections.abc import Iterator

from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import names
from .causes import by_key, items, part, refused, unchanged

POLICIES = ("torch", "mpi", "jax", "xgboost", "flux")
_NO_NODE = "containerNames must not include the main node container because PET_* envs are always injected into it"
_IMMUTABLE_JOBSET_FIELDS = ("failurePolicy", "network", "startupPolicy", "successPolicy", "volumeClaimPolicies")
_JOBSET_IMMUTABLE = "Value is immutable"


def validate(runtime: Obj, old: Obj | None) -> list[Cause]:
    """Everything wrong with a runtime (and with its change, if `old` is given)."""
    template = part(runtime, "spec", "template", "spec")
    causes = [*_check_policy(part(runtime, "spec", "mlPolicy")), *_check_jobset(template)]
    if old is not None:
        causes.extend(_check_change(template, part(old, "spec", "template", "spec")))
    return causes


def _check_policy(policy: Obj) -> Iterator[Cause]:
    path = "spec.mlPolicy"
    if sum(source in policy for source in POLICIES) > 1:
        yield refused(path, policy, "Only one of the policy can be configured")
    processes = part(policy, "flux").get("numProcPerNode")
    if isinstance(processes, int) and processes < 1:
        yield refused(f"{path}.flux.numProcPerNode", processes, "NumProcPerNode in fluxPolicy must be >= 1")
    for i, target in enumerate(items(policy, "torch", "envInjection", "targets")):
        if names.NODE in (target.get("containerNames") or ()):
            yield refused(f"{path}.torch.envInjection.targets[{i}].containerNames", target["containerNames"], _NO_NODE)


def _check_jobset(spec: Obj) -> Iterator[Cause]:
    path = "spec.template.spec"
    in_order = part(spec, "startupPolicy").get("startupPolicyOrder") == "InOrder"
    if in_order and any("dependsOn" in job for job in items(spec, "replicatedJobs")):
        yield refused(path, spec, "StartupPolicy and DependsOn APIs are mutually exclusive")
    for i, policy in enumerate(items(spec, "volumeClaimPolicies")):
        if any(part(t, "metadata").get("namespace") for t in items(policy, "templates")):
            yield refused(f"{path}.volumeClaimPolicies[{i}]", policy, "namespace cannot be set for VolumeClaimPolicies templates")


def _check_change(spec: Obj, old: Obj) -> Iterator[Cause]:
    path = "spec.template.spec"
    for field in _IMMUTABLE_JOBSET_FIELDS:
        yield from unchanged(f"{path}.{field}", spec.get(field), old.get(field), _JOBSET_IMMUTABLE)
    before = by_key(items(old, "replicatedJobs"), "name")
    for i, job in enumerate(items(spec, "replicatedJobs")):
        was = before.get(str(job.get("name", "")), {}).get("dependsOn")
        yield from unchanged(f"{path}.replicatedJobs[{i}].dependsOn", job.get("dependsOn"), was, _JOBSET_IMMUTABLE)
