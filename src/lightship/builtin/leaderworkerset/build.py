"""The children of a set: the leaders' StatefulSet, each group's StatefulSet of workers, the headless Services.

Pure; called by `sync` and `groups`. Contract: LeaderWorkerSet 0.9: names, labels and annotations are what its webhook, its users and
other programs go by.
"""

from lightship.builtin.leaderworkerset import revisions, rollout, rules, terms, tpu
from lightship.meta import objects
from lightship.meta.objects import Obj

_CLAIM_FIELDS = ("accessModes", "storageClassName", "volumeMode", "resources")
"""What is taken over of a claim's template."""


def leader_set(lws: Obj, step: rollout.Step, revision: str) -> Obj:
    """The StatefulSet of all leaders, as it is to be applied."""
    given, name = rules.template(lws), objects.name(lws)
    of = {terms.WORKER_INDEX: "0", terms.NAME: name}
    pod = _pod(given.get("leaderTemplate") or given.get("workerTemplate") or {}, {**of, terms.REVISION: revision}, _notes(lws, leads=True))
    allowed = rollout.limits(lws)
    rolling = {"partition": step.partition, "maxUnavailable": max(1, allowed.unavailable + allowed.surge)}
    found = _set(lws, name, {terms.NAME: name, terms.REVISION: revision}, owner=lws)
    found["metadata"]["annotations"] = {terms.REPLICAS: str(rules.replicas(lws))}
    found["spec"] |= {
        "serviceName": name,
        "replicas": step.replicas,
        "template": pod,
        "updateStrategy": {"type": objects.get_path(lws, "spec", "rolloutStrategy", "type"), "rollingUpdate": rolling},
        "selector": {"matchLabels": of},
    }
    return found


def worker_set(lws: Obj, leader: Obj, revision: Obj) -> Obj:
    """The StatefulSet of a group's workers, of the version that its leader is of."""
    labels = objects.labels(leader)
    of = {label: labels.get(label, "") for label in (terms.GROUP_INDEX, terms.NAME, terms.GROUP_KEY)} | {terms.NAME: objects.name(lws)}
    labelled = {**of, terms.REVISION: revisions.key(leader)}
    notes = {**_notes(lws, leads=False), terms.LEADER_NAME: objects.name(leader)}
    if tpu.is_requested(leader):
        notes[terms.LEADER_REQUESTS_TPUS] = "true"
    then = rules.template(revisions.restored(lws, revision))
    found = _set(lws, objects.name(leader), labelled, owner={"apiVersion": "v1", "kind": "Pod", **leader})
    found["spec"] |= {
        "serviceName": objects.name(leader) if rules.is_unique(lws) else objects.name(lws),
        "replicas": rules.size(lws) - 1,
        "template": _pod(then.get("workerTemplate") or {}, labelled, notes),
        "ordinals": {"start": 1},
        "selector": {"matchLabels": of},
    }
    return found


def service(lws: Obj, name: str, selector: dict[str, str], owner: Obj) -> Obj:
    """A headless Service: the names by which the pods of a set or of a group find each other, ready or not."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": objects.namespace(lws),
            "labels": {terms.NAME: objects.name(lws)},
            "ownerReferences": [objects.owner_reference(owner)],
        },
        "spec": {"clusterIP": "None", "selector": selector, "publishNotReadyAddresses": True},
    }


def shared_service(lws: Obj) -> Obj:
    return service(lws, objects.name(lws), {terms.NAME: objects.name(lws)}, lws)


def group_service(lws: Obj, leader: Obj) -> Obj:
    selector = {terms.NAME: objects.name(lws), terms.GROUP_INDEX: objects.labels(leader).get(terms.GROUP_INDEX, "")}
    return service(lws, objects.name(leader), selector, {"apiVersion": "v1", "kind": "Pod", **leader})


def _notes(lws: Obj, *, leads: bool) -> dict[str, str]:
    """The annotations by which pods know their group, whoever makes them."""
    found, policy = {terms.SIZE: str(rules.size(lws))}, rules.subgroup(lws)
    inherited = [terms.EXCLUSIVE]
    if policy is not None:
        found[terms.SUBGROUP_SIZE] = str(policy.get("subGroupSize"))
        inherited.append(terms.SUBGROUP_EXCLUSIVE)
        if leads:
            found[terms.SUBGROUP_TYPE] = policy.get("subGroupPolicyType") or "LeaderWorker"
    if leads and rules.is_unique(lws):
        found[terms.SUBDOMAIN_POLICY] = terms.UNIQUE
    return found | {name: value for name in inherited if (value := objects.annotations(lws).get(name))}


def _pod(template: Obj, labels: dict[str, str], annotations: dict[str, str]) -> Obj:
    found: Obj = objects.copy(template)
    metadata = found.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    return found


def _set(lws: Obj, name: str, labels: dict[str, str], *, owner: Obj) -> Obj:
    """What both StatefulSets have alike."""
    spec: Obj = {"podManagementPolicy": "Parallel"}
    claims, retention = rules.template(lws).get("volumeClaimTemplates"), rules.template(lws).get("persistentVolumeClaimRetentionPolicy")
    if claims:
        spec["volumeClaimTemplates"] = [_claim(lws, claim) for claim in claims]
    if retention is not None:
        spec["persistentVolumeClaimRetentionPolicy"] = retention
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": name,
            "namespace": objects.namespace(lws),
            "labels": labels,
            "ownerReferences": [objects.owner_reference(owner)],
        },
        "spec": spec,
    }


def _claim(lws: Obj, claim: Obj) -> Obj:
    spec = objects.spec(claim)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": objects.name(claim), "namespace": objects.namespace(lws)},
        "spec": {field: objects.copy(spec[field]) for field in _CLAIM_FIELDS if spec.get(field)},
    }
