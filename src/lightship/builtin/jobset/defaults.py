"""What a JobSet says that nobody wrote: the defaults of its definition, and those of upstream's mutating webhook.

`admission` fills in the webhook's when a JobSet is created, the schema the definition's; the controller asks for `defaulted`, because other
servers may know neither. Contract: JobSet 0.12 mjobset.kb.io and the defaults of the CustomResourceDefinition.
"""

from lightship.meta import objects
from lightship.meta.objects import Obj


def default(jobset: Obj) -> None:
    """The webhook's defaults, in place. What is no object is left for the schema to refuse."""
    spec = _child(jobset, "spec")
    spec.setdefault("successPolicy", {"operator": "All"})
    spec.setdefault("startupPolicy", {"startupPolicyOrder": "AnyOrder"})
    network = _child(spec, "network")
    network.setdefault("enableDNSHostnames", True)
    network.setdefault("publishNotReadyAddresses", True)
    for replicated in _dicts(spec.get("replicatedJobs")):
        job = _child(_child(replicated, "template"), "spec")
        job.setdefault("completionMode", "Indexed")
        pod = _child(_child(job, "template"), "spec")
        pod["restartPolicy"] = pod.get("restartPolicy") or "OnFailure"
    policy = spec.get("failurePolicy")
    for index, rule in enumerate(_dicts(policy.get("rules")) if isinstance(policy, dict) else ()):
        rule["name"] = rule.get("name") or f"failurePolicyRule{index}"
    for claims in _dicts(spec.get("volumeClaimPolicies")):
        claims.setdefault("retentionPolicy", {"whenDeleted": "Delete"})


def defaulted(jobset: Obj) -> Obj:
    """A JobSet with all its defaults, whoever stored it."""
    filled: Obj = objects.copy(jobset)
    default(filled)
    for replicated in _dicts(filled["spec"].get("replicatedJobs")):
        replicated.setdefault("replicas", 1)
        replicated.setdefault("groupName", "default")
    policy = filled["spec"].get("failurePolicy")
    if isinstance(policy, dict):
        policy.setdefault("restartStrategy", "Recreate")
    return filled


def _child(parent: Obj, field: str) -> Obj:
    """The object in a field, made if it is missing; one that nobody keeps where something else stands."""
    found = parent.setdefault(field, {})
    return found if isinstance(found, dict) else {}


def _dicts(items: object) -> list[Obj]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
