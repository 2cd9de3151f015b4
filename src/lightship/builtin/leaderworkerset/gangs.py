"""Groups that are placed as a whole or not at all: their PodGroup, and by what their pods refer to it.

Pure; called by `groups` and `admission` where the provider is chosen. The only one that LeaderWorkerSet 0.9 knows is Volcano's
`scheduling.volcano.sh/v1beta1`; its scheduler brings the definition. Contract: LeaderWorkerSet 0.9 pkg/schedulerprovider.
"""

from lightship.builtin.leaderworkerset import revisions, rules, terms
from lightship.kinds import pods as podlib
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

POD_GROUPS = Resource(group="scheduling.volcano.sh", version="v1beta1", kind="PodGroup", plural="podgroups", custom=True)
GROUP_NAME = "scheduling.k8s.io/group-name"
QUEUE_NAME = "scheduling.volcano.sh/queue-name"
_INHERITED = "volcano.sh/"


def mark(pod: Obj) -> None:
    """Say, in place, of which PodGroup a dressed pod is."""
    labels = objects.labels(pod)
    name = f"{labels.get(terms.NAME, '')}-{labels.get(terms.GROUP_INDEX, '')}-{labels.get(terms.REVISION, '')}"
    pod["metadata"]["annotations"] = {**objects.annotations(pod), GROUP_NAME: name}


def name_of(pod: Obj) -> str:
    return objects.annotations(pod).get(GROUP_NAME, "")


def build(lws: Obj, leader: Obj) -> Obj:
    """The PodGroup of a leader's group, which goes with the leader."""
    labels = objects.labels(leader)
    given = {name: value for name, value in objects.annotations(lws).items() if name.startswith(_INHERITED)}
    # Where workers wait for their leader it has to be placed alone, but not without room for all.
    members = 1 if objects.spec(lws).get("startupPolicy") == terms.LEADER_READY else rules.size(lws)
    spec: Obj = {"minMember": members, "minResources": least_resources(lws)}
    if queue := objects.annotations(lws).get(QUEUE_NAME):
        spec["queue"] = queue
    return {
        "apiVersion": "scheduling.volcano.sh/v1beta1",
        "kind": "PodGroup",
        "metadata": {
            "name": name_of(leader),
            "namespace": objects.namespace(lws),
            "labels": {
                terms.NAME: objects.name(lws),
                terms.GROUP_INDEX: labels.get(terms.GROUP_INDEX, ""),
                terms.REVISION: revisions.key(leader),
            },
            **({"annotations": given} if given else {}),
            "ownerReferences": [objects.owner_reference({"apiVersion": "v1", "kind": "Pod", **leader})],
        },
        "spec": spec,
    }


def least_resources(lws: Obj) -> dict[str, str]:
    """What a leader and its workers ask for together."""
    template = rules.template(lws)
    workers = template.get("workerTemplate") or {}
    total = podlib.total_requests(template.get("leaderTemplate") or workers)
    each = podlib.total_requests(workers)
    for _ in range(rules.size(lws) - 1):
        total = quantity.add(total, each)
    return total
