"""What is played in bad weather: for each controller something that it must do once, and rules that hold at every moment."""

import itertools
from collections import Counter
from typing import Any

from lightship.aio.tasks import background
from lightship.builtin.api import JOB_SETS, LEADER_WORKER_SETS
from lightship.kinds import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
)
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from tests.storms.town import Play, Town

INDEX = "batch.kubernetes.io/job-completion-index"
ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"
_signatures = itertools.count()


def _spec(**fields: Any) -> Obj:
    return {"containers": [{"name": "c", "image": "registry.invalid/c:1"}], **fields}


def _template(name: str, fate: str = "", **spec: Any) -> Obj:
    return {"metadata": {"labels": {"app": name} | ({"fate": fate} if fate else {})}, "spec": _spec(**spec)}


def _job(name: str, fate: str = "", **spec: Any) -> Obj:
    return {"metadata": {"name": name}, "spec": {"template": _template(name, fate, restartPolicy="Never"), **spec}}


def _workload(name: str, **spec: Any) -> Obj:
    template = spec.pop("template", _template(name))
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}}


def _image(image: str) -> Obj:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}


def _alive(pods: list[Obj]) -> list[Obj]:
    return [pod for pod in pods if not objects.is_deleting(pod) and objects.status(pod).get("phase") in ("Pending", "Running")]


def _at_most(count: int) -> Any:
    def check(pods: list[Obj]) -> str:
        alive = [objects.name(pod) for pod in _alive(pods)]
        return f"{len(alive)} pods, {count} wanted: {alive}" if len(alive) > count else ""

    return check


def _one_each(kind: str, key: Any) -> Any:
    """Of all that are alive no two stand for the same thing."""

    def check(listed: list[Obj]) -> str:
        twice = [which for which, count in Counter(map(key, listed)).items() if count > 1]
        return f"{kind} twice: {twice}" if twice else ""

    return check


def _ended(here: Town, name: str, type: str) -> Any:
    return lambda: conditions.is_true(here.get(JOBS, name), type)


async def job_in_parallel(here: Town) -> None:
    here.rule(PODS, _at_most(2))
    await here.create(JOBS, _job("work", "succeed", completions=6, parallelism=2))
    await here.until(_ended(here, "work", "Complete"))
    assert len(here.made[PODS]) == 6, "as many pods as successes"


async def job_with_indexes_that_fail_once(here: Town) -> None:
    here.rule(PODS, lambda pods: _one_each("index", lambda pod: objects.annotations(pod)[INDEX])(_alive(pods)))
    spec = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
    await here.create(JOBS, _job("work", "each-fails-once", **spec))
    await here.until(_ended(here, "work", "Complete"))
    assert len(here.made[PODS]) == 6, "each index failed once and succeeded once"


async def job_that_fails(here: Town) -> None:
    here.rule(PODS, _at_most(1))
    await here.create(JOBS, _job("work", "fail", backoffLimit=2))
    await here.until(_ended(here, "work", "Failed"))
    assert len(here.made[PODS]) == 3, "tried once and twice again"


async def job_suspended_and_resumed(here: Town) -> None:
    here.rule(PODS, _at_most(3))
    await here.create(JOBS, _job("work", completions=3, parallelism=3))
    await here.until(lambda: len(_alive(here.all(PODS))) == 3)
    await here.patch(JOBS, "work", {"spec": {"suspend": True}})
    await here.until(lambda: not here.all(PODS) and _ended(here, "work", "Suspended")())
    await here.patch(JOBS, "work", {"spec": {"suspend": False}})
    await here.until(lambda: objects.status(here.get(JOBS, "work")).get("ready") == 3)
    assert len(here.made[PODS]) == 6


async def job_forgotten(here: Town) -> None:
    await here.create(JOBS, _job("work", "succeed", completions=2, parallelism=2, ttlSecondsAfterFinished=5))
    await here.until(lambda: here.all(JOBS))
    await here.until(lambda: not here.all(JOBS) and not here.all(PODS))
    assert len(here.made[PODS]) == 2


async def cron_job(here: Town) -> None:
    here.look(JOBS)
    job = {"spec": {"template": _template("cron", "succeed", restartPolicy="Never")}}
    spec = {"schedule": "*/2 * * * *", "jobTemplate": job, "successfulJobsHistoryLimit": 2}
    await here.create(CRON_JOBS, {"metadata": {"name": "often"}, "spec": spec})
    await here.clock.sleep(900)
    await here.patch(CRON_JOBS, "often", {"spec": {"suspend": True}})
    times = [objects.annotations(job)["batch.kubernetes.io/cronjob-scheduled-timestamp"] for job in here.made[JOBS].values()]
    assert len(times) == len(set(times)) >= 3, "one Job for each time"
    await here.until(lambda: not objects.status(here.get(CRON_JOBS, "often")).get("active") and len(here.all(JOBS)) == 2)


async def job_set_begun_anew(here: Town) -> None:
    here.look(JOBS)
    parts = [_part("lead"), _part("work", replicas=2, pods=2)]
    await here.create(JOB_SETS, {"metadata": {"name": "set"}, "spec": {"replicatedJobs": parts, "failurePolicy": {"maxRestarts": 3}}})
    await here.until(lambda: conditions.is_true(here.get(JOB_SETS, "set"), "Completed"))
    made = Counter((objects.name(job), objects.labels(job)[ATTEMPT]) for job in here.made[JOBS].values())
    assert max(made.values()) == 1, "a Job of each attempt once"
    assert 1 <= objects.status(here.get(JOB_SETS, "set"))["restarts"] <= 3


async def job_set_in_order(here: Town) -> None:
    here.look(JOBS)
    second = {**_part("second", fate="succeed", pods=2), "dependsOn": [{"name": "first", "status": "Complete"}]}
    await here.create(JOB_SETS, {"metadata": {"name": "set"}, "spec": {"replicatedJobs": [_part("first", fate="succeed"), second]}})
    await here.until(lambda: conditions.is_true(here.get(JOB_SETS, "set"), "Completed"))
    assert len(here.made[JOBS]) == 2
    assert len(here.made[PODS]) == 3


async def leader_worker_set(here: Town) -> None:
    here.look(STATEFUL_SETS)
    spec = {"replicas": 2, "leaderWorkerTemplate": {"size": 3, "workerTemplate": {"spec": _spec()}}}
    await here.create(LEADER_WORKER_SETS, {"metadata": {"name": "groups"}, "spec": spec})
    await here.until(lambda: conditions.is_true(here.get(LEADER_WORKER_SETS, "groups"), "Available"))
    assert len(here.made[STATEFUL_SETS]) == 3, "one of leaders, and one of workers for each"
    assert len(here.made[PODS]) == 6


async def replica_sets_scaled(here: Town) -> None:
    here.rule(PODS, lambda pods: _at_most(4)([pod for pod in pods if objects.labels(pod)["app"] == "web"]))
    here.rule(PODS, lambda pods: _at_most(2)([pod for pod in pods if objects.labels(pod)["app"] == "old"]))
    await here.create(REPLICA_SETS, _workload("web", replicas=4))
    old = {"replicas": 2, "selector": {"app": "old"}, "template": _template("old")}
    await here.create(REPLICATION_CONTROLLERS, {"metadata": {"name": "old"}, "spec": old})
    await here.until(lambda: objects.status(here.get(REPLICA_SETS, "web")).get("readyReplicas") == 4)
    await here.patch(REPLICA_SETS, "web", {"spec": {"replicas": 1}})
    await here.until(lambda: objects.status(here.get(REPLICA_SETS, "web")).get("replicas") == 1)
    await here.until(lambda: objects.status(here.get(REPLICATION_CONTROLLERS, "old")).get("readyReplicas") == 2)


async def deployment_rolled(here: Town) -> None:
    """The surge bounds what ReplicaSets are asked for: they shrink and grow side by side, as upstream's do."""

    def surge(sets: list[Obj]) -> str:
        wanted = sum(objects.spec(found)["replicas"] for found in sets)
        return f"{wanted} pods are asked for, 5 may be" if wanted > 5 else ""

    asked: dict[str, int] = {}

    def remember(sets: list[Obj]) -> str:
        asked.update({objects.uid(found): max(asked.get(objects.uid(found), 0), objects.spec(found)["replicas"]) for found in sets})
        return ""

    def made(pods: list[Obj]) -> str:
        counts = Counter((objects.controller_of(pod) or {})["uid"] for pod in _alive(pods))
        more = {uid: count for uid, count in counts.items() if count > asked.get(uid, 0)}
        return f"more pods than their ReplicaSets were ever asked for: {more}, {asked}" if more else ""

    here.rule(REPLICA_SETS, surge)
    here.rule(REPLICA_SETS, remember)
    here.rule(PODS, made)
    here.look(REPLICA_SETS)
    await here.create(DEPLOYMENTS, _workload("web", replicas=4))
    for image in ("2", "3", "1"):
        await here.until(lambda: _rolled(here.get(DEPLOYMENTS, "web")))
        await here.patch(DEPLOYMENTS, "web", _image(f"registry.invalid/c:{image}"))
    await here.until(lambda: _rolled(here.get(DEPLOYMENTS, "web")))
    assert len(here.made[REPLICA_SETS]) == 3, "one for each template"


async def stateful_set_rolled(here: Town) -> None:
    here.look(PERSISTENT_VOLUME_CLAIMS)
    data = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    here.rule(PODS, _in_order)
    await here.create(STATEFUL_SETS, _workload("db", replicas=3, serviceName="db", volumeClaimTemplates=[data]))
    await here.until(lambda: objects.status(here.get(STATEFUL_SETS, "db")).get("readyReplicas") == 3)
    await here.patch(STATEFUL_SETS, "db", _image("registry.invalid/c:2"))
    await here.until(lambda: _settled(here.get(STATEFUL_SETS, "db"), "updatedReplicas", 3))
    await here.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 1}})
    await here.until(lambda: len(here.all(PODS)) == 1)
    assert len(here.made[PERSISTENT_VOLUME_CLAIMS]) == 3
    assert len(here.made[PODS]) == 6, "each ordinal once of each version"


async def daemon_set_rolled(here: Town) -> None:
    here.rule(PODS, lambda pods: _one_each("node", _target)(_alive(pods)))
    for number in range(3):
        await _node(here, f"n{number}")
    await here.create(DAEMON_SETS, _workload("agent"))
    await here.until(lambda: objects.status(here.get(DAEMON_SETS, "agent")).get("numberReady") == 3)
    await here.patch(DAEMON_SETS, "agent", _image("registry.invalid/c:2"))
    await here.until(lambda: _settled(here.get(DAEMON_SETS, "agent"), "updatedNumberScheduled", 3))
    assert len(here.made[PODS]) == 6


async def endpoints(here: Town) -> None:
    here.look(ENDPOINT_SLICES)
    await here.create(SERVICES, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
    for number in range(3):
        await here.create(PODS, {"metadata": {"name": f"p{number}", "labels": {"app": "web"}}, "spec": _spec()})
    await here.until(lambda: any(len(found.get("endpoints") or ()) == 3 for found in here.all(ENDPOINT_SLICES)))
    await here.delete(PODS, "p1")
    await here.until(lambda: any(len(found.get("endpoints") or ()) == 2 for found in here.all(ENDPOINT_SLICES)))
    assert len(here.made[ENDPOINT_SLICES]) == 1


async def budgets_and_autoscalers(here: Town) -> None:
    here.rule(PODS, _at_most(3))
    await here.create(DEPLOYMENTS, _workload("web", replicas=1, strategy={"type": "Recreate"}))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    await here.create(
        HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": "web"}, "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 3}}
    )
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    await here.create(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "web"}, "spec": budget})
    await here.until(lambda: objects.status(here.get(POD_DISRUPTION_BUDGETS, "web")).get("currentHealthy") == 3)
    await here.until(lambda: objects.status(here.get(HORIZONTAL_POD_AUTOSCALERS, "web")).get("currentReplicas") == 3)


async def nodes_fail(here: Town) -> None:
    """Only those leave that do not bear it, and only from where it is."""
    said = {"good": "True", "bad": "True"}
    for name in said:
        await _node(here, name)
    bears = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
    pods: tuple[tuple[str, str, list[Obj]], ...] = (
        ("good", "stays", []),
        ("bad", "bears", [bears]),
        ("bad", "leaves", [{**bears, "tolerationSeconds": 20}]),
    )
    async with background(_heartbeats(here, said)):
        for node, name, tolerations in pods:
            await here.create(PODS, {"metadata": {"name": name}, "spec": _spec(nodeName=node, tolerations=tolerations)})
        await here.until(lambda: len(_alive(here.all(PODS))) == 3)
        said["bad"] = "False"
        await here.until(lambda: not here.get(PODS, "leaves"), "the one leaves")
        said["bad"] = "True"
        await here.until(lambda: not objects.spec(here.get(NODES, "bad")).get("taints"), "the taint goes")
    assert [objects.name(pod) for pod in here.all(PODS)] == ["bears", "stays"]


async def _heartbeats(here: Town, said: dict[str, str]) -> None:
    while True:
        for name, ready in said.items():
            await _report(here, name, ready)
        await here.clock.sleep(5)


async def pods_of_lost_nodes(here: Town) -> None:
    await _node(here, "there")
    for node, name in (("there", "stays"), ("lost", "goes")):
        await here.create(PODS, {"metadata": {"name": name}, "spec": _spec(nodeName=node)})
    await here.until(lambda: not here.get(PODS, "goes"))
    assert here.get(PODS, "stays")


async def garbage(here: Town) -> None:
    """What has an owner goes with it, or stays, and nothing else goes."""

    def lost(listed: list[Obj]) -> str:
        names = {objects.name(found) for found in listed}
        missing = {child for owner, child in expected if owner in names and child not in names}
        return f"{missing} went before what owns it" if missing else ""

    expected: set[tuple[str, str]] = set()
    for owner in ("back", "orphan", "stays"):
        made = await here.create(CONFIG_MAPS, {"metadata": {"name": owner}})
        for number in range(2):
            metadata = {"name": f"{owner}-{number}", "ownerReferences": [objects.owner_reference(made)]}
            await here.create(CONFIG_MAPS, {"metadata": metadata})
            expected.add((owner, f"{owner}-{number}"))
    fore = await here.create(CONFIG_MAPS, {"metadata": {"name": "fore"}})
    blocks = {**objects.owner_reference(fore), "blockOwnerDeletion": True}
    await here.create(CONFIG_MAPS, {"metadata": {"name": "fore-0", "ownerReferences": [blocks]}})
    here.rule(CONFIG_MAPS, lost)
    await here.clock.sleep(1)
    for name, policy in (("back", "Background"), ("orphan", "Orphan"), ("fore", "Foreground")):
        await here.delete(CONFIG_MAPS, name, policy)
    await here.until(lambda: len(_own(here)) == 5 and not objects.owners(here.get(CONFIG_MAPS, "orphan-0")), "five are left")


async def namespaces(here: Town) -> None:
    for number in range(2):
        await here.create(NAMESPACES, {"metadata": {"name": f"short-{number}"}})
    accounts = here.people.cache.informer(SERVICE_ACCOUNTS)
    await here.until(lambda: len(accounts.list("short-0")) == 1 and len(accounts.list("short-1")) == 1)
    await here.create(CONFIG_MAPS, {"metadata": {"name": "in-it", "finalizers": ["example.com/x"]}}, "short-0")
    await here.client.delete(NAMESPACES, "short-0")
    await here.until(lambda: conditions.is_true(here.get(NAMESPACES, "short-0"), "NamespaceFinalizersRemaining"))
    await here.client.patch(CONFIG_MAPS, "in-it", {"metadata": {"finalizers": None}}, "short-0")
    await here.until(lambda: not here.get(NAMESPACES, "short-0"))
    assert accounts.list("short-1")


async def quotas(here: Town) -> None:
    await here.create(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "9", "count/configmaps": "20"}}})
    for number in range(3):
        await here.create(PODS, {"metadata": {"name": f"p{number}"}, "spec": _spec()})
    await here.until(lambda: _used(here) == "3")
    await here.delete(PODS, "p0")
    await here.until(lambda: _used(here) == "2")


async def claims_of_devices(here: Town) -> None:
    here.look(RESOURCE_CLAIMS)
    requests = [{"name": "gpu", "exactly": {"deviceClassName": "x.example.com"}}]
    await here.create(RESOURCE_CLAIM_TEMPLATES, {"metadata": {"name": "t"}, "spec": {"spec": {"devices": {"requests": requests}}}})
    spec = _spec(resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "t"}])
    for number in range(2):
        await here.create(PODS, {"metadata": {"name": f"p{number}", "labels": {"fate": "waits"}}, "spec": spec})
    await here.until(lambda: all(objects.status(pod).get("resourceClaimStatuses") for pod in here.all(PODS)) and len(here.all(PODS)) == 2)
    owners = Counter((objects.controller_of(claim) or {})["uid"] for claim in here.made[RESOURCE_CLAIMS].values())
    assert set(owners.values()) == {1}, "one claim for each pod"
    await here.delete(PODS, "p0")
    await here.until(lambda: len(here.all(RESOURCE_CLAIMS)) == 1)


async def ephemeral_volumes(here: Town) -> None:
    here.look(PERSISTENT_VOLUME_CLAIMS)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    volume = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}
    await here.create(PODS, {"metadata": {"name": "p", "labels": {"fate": "waits"}}, "spec": _spec(volumes=[volume])})
    await here.until(lambda: here.get(PERSISTENT_VOLUME_CLAIMS, "p-scratch"))
    await here.delete(PODS, "p")
    await here.until(lambda: not here.all(PERSISTENT_VOLUME_CLAIMS))
    assert len(here.made[PERSISTENT_VOLUME_CLAIMS]) == 1


async def claims_find_volumes(here: Town) -> None:
    def once(volumes: list[Obj]) -> str:
        claimed = Counter((objects.spec(volume).get("claimRef") or {}).get("name") for volume in volumes)
        twice = [claim for claim, count in claimed.items() if claim and count > 1]
        return f"two volumes for one claim: {twice}" if twice else ""

    here.rule(PERSISTENT_VOLUMES, once)
    size = {"storage": "1Gi"}
    for number in range(3):
        spec = {"capacity": size, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}, "storageClassName": "by-hand"}
        await here.create(PERSISTENT_VOLUMES, {"metadata": {"name": f"v{number}"}, "spec": spec})
    for number in range(2):
        wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": size}, "storageClassName": "by-hand"}
        await here.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": f"c{number}"}, "spec": wanted})
    await here.until(lambda: all(objects.status(claim).get("phase") == "Bound" for claim in here.all(PERSISTENT_VOLUME_CLAIMS)))
    names = [objects.spec(claim)["volumeName"] for claim in here.all(PERSISTENT_VOLUME_CLAIMS)]
    assert len(set(names)) == 2
    await here.delete(PERSISTENT_VOLUME_CLAIMS, "c0")
    await here.until(lambda: objects.status(here.get(PERSISTENT_VOLUMES, names[0])).get("phase") == "Released")


async def accounts_and_tokens(here: Town) -> None:
    seen: set[str] = set()

    def once(secrets: list[Obj]) -> str:
        seen.update(token for secret in secrets if (token := (secret.get("data") or {}).get("token")))
        return f"{len(seen)} tokens for one Secret" if len(seen) > 1 else ""

    here.rule(SECRETS, once)
    await here.until(lambda: here.get(SERVICE_ACCOUNTS, "default") and here.get(CONFIG_MAPS, "kube-root-ca.crt"))
    noted = {"kubernetes.io/service-account.name": "default"}
    secret = {"metadata": {"name": "long", "annotations": noted}, "type": "kubernetes.io/service-account-token"}
    await here.create(SECRETS, secret)
    await here.until(lambda: (here.get(SECRETS, "long").get("data") or {}).get("token"))
    await here.delete(SERVICE_ACCOUNTS, "default")
    await here.until(lambda: not here.get(SECRETS, "long") and here.get(SERVICE_ACCOUNTS, "default"))


async def pods_placed(here: Town) -> None:
    """No node gets more than it has, and the members of a gang go together or not at all."""

    def room(pods: list[Obj]) -> str:
        on = Counter(objects.spec(pod).get("nodeName") for pod in pods if not objects.is_deleting(pod))
        full = {node: count for node, count in on.items() if node and count > 3}
        return f"more than there is room for: {full}" if full else ""

    here.rule(PODS, room)
    for number in range(3):
        await _node(here, f"n{number}", pods="3")
    for number in range(8):
        await here.create(PODS, {"metadata": {"name": f"p{number}", "labels": {"fate": "placed"}}, "spec": _spec()})
    await here.until(lambda: sum(bool(objects.spec(pod).get("nodeName")) for pod in here.all(PODS)) == 8)
    for number in range(2):
        await here.delete(PODS, f"p{number}")
    for number in range(3):
        await here.create(PODS, {"metadata": {"name": f"q{number}", "labels": {"fate": "placed"}}, "spec": _spec()})
    await here.until(lambda: sum(bool(objects.spec(pod).get("nodeName")) for pod in here.all(PODS)) == 9)


async def everything_at_once(here: Town) -> None:
    for number in range(2):
        await _node(here, f"n{number}")
    async with background(_heartbeats(here, {"n0": "True", "n1": "True"})):
        await _all_kinds(here)


async def _all_kinds(here: Town) -> None:
    """Made, at work, and gone."""
    await here.until(lambda: here.get(SERVICE_ACCOUNTS, "default"))
    await here.create(DEPLOYMENTS, _workload("web", replicas=2))
    await here.create(STATEFUL_SETS, _workload("db", replicas=2, serviceName="db"))
    await here.create(DAEMON_SETS, _workload("agent", template=_template("agent", "placed")))
    await here.create(JOBS, _job("work", "succeed", completions=3, parallelism=2))
    await here.create(JOB_SETS, {"metadata": {"name": "set"}, "spec": {"replicatedJobs": [_part("part", fate="succeed")]}})
    await here.create(SERVICES, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
    await here.until(lambda: _rolled(here.get(DEPLOYMENTS, "web")))
    await here.until(lambda: objects.status(here.get(STATEFUL_SETS, "db")).get("readyReplicas") == 2)
    await here.until(lambda: objects.status(here.get(DAEMON_SETS, "agent")).get("numberReady") == 2)
    await here.until(lambda: conditions.is_true(here.get(JOBS, "work"), "Complete"))
    await here.until(lambda: conditions.is_true(here.get(JOB_SETS, "set"), "Completed"))
    for kind, name in ((DEPLOYMENTS, "web"), (STATEFUL_SETS, "db"), (DAEMON_SETS, "agent"), (JOBS, "work"), (JOB_SETS, "set")):
        await here.delete(kind, name, "Background")
    await here.delete(SERVICES, "web")
    left = (PODS, REPLICA_SETS, CONTROLLER_REVISIONS, JOBS, ENDPOINT_SLICES, ENDPOINTS)
    await here.until(lambda: not any(here.all(kind) for kind in left), "nothing is left")


WORKLOADS = (PODS, REPLICA_SETS, DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, CONTROLLER_REVISIONS, JOBS, JOB_SETS, SERVICES)
PLAYS = {
    "job": Play(job_in_parallel, ("job",), (JOBS, PODS)),
    "job-indexed": Play(job_with_indexes_that_fail_once, ("job",), (JOBS,)),
    "job-fails": Play(job_that_fails, ("job",), (JOBS,)),
    "job-suspended": Play(job_suspended_and_resumed, ("job",), (JOBS, PODS)),
    "ttl": Play(job_forgotten, ("job", "ttl", "garbagecollector"), (JOBS, PODS)),
    "cronjob": Play(cron_job, ("cronjob", "job", "garbagecollector")),
    "jobset": Play(job_set_begun_anew, ("jobset", "job", "garbagecollector"), (SERVICES,)),
    "jobset-in-order": Play(job_set_in_order, ("jobset", "job"), (JOB_SETS, JOBS, SERVICES, PODS)),
    "leaderworkerset": Play(leader_worker_set, ("leaderworkerset", "leaderworkerset-pods", "statefulset"), (SERVICES,)),
    "volumes": Play(claims_find_volumes, ("persistentvolume-binder", "pvc-protection", "pv-protection")),
    "replicaset": Play(replica_sets_scaled, ("replicaset", "replicationcontroller"), (*WORKLOADS, REPLICATION_CONTROLLERS)),
    "deployment": Play(deployment_rolled, ("deployment", "replicaset"), WORKLOADS),
    "statefulset": Play(stateful_set_rolled, ("statefulset",), (*WORKLOADS, PERSISTENT_VOLUME_CLAIMS)),
    "daemonset": Play(daemon_set_rolled, ("daemonset",), WORKLOADS),
    "endpoints": Play(endpoints, ("endpoints", "endpointslice"), (ENDPOINTS, ENDPOINT_SLICES)),
    "budgets": Play(
        budgets_and_autoscalers,
        ("deployment", "replicaset", "horizontalpodautoscaler", "disruption", "stale-disruption"),
        (*WORKLOADS, POD_DISRUPTION_BUDGETS),
    ),
    "nodes": Play(nodes_fail, ("nodelifecycle", "taint-eviction"), (PODS,)),
    "podgc": Play(pods_of_lost_nodes, ("podgc",), (PODS,)),
    "garbage": Play(garbage, ("garbagecollector",), (CONFIG_MAPS,)),
    "namespace": Play(namespaces, ("namespace", "serviceaccount", "rootca"), (NAMESPACES, CONFIG_MAPS)),
    "quota": Play(quotas, ("resourcequota",), (RESOURCE_QUOTAS,)),
    "resourceclaims": Play(claims_of_devices, ("resourceclaim", "resourceclaim-release", "garbagecollector"), (RESOURCE_CLAIMS,)),
    "ephemeral": Play(
        ephemeral_volumes, ("ephemeral-volume", "pvc-protection", "pv-protection", "garbagecollector"), (PERSISTENT_VOLUME_CLAIMS,)
    ),
    "accounts": Play(
        accounts_and_tokens,
        ("serviceaccount", "serviceaccount-token", "rootca"),
        (SERVICE_ACCOUNTS, SECRETS, CONFIG_MAPS),
        {"sign": lambda *_: f"token-{next(_signatures)}"},
    ),
    "scheduler": Play(pods_placed, ("scheduler",), ()),
    "everything": Play(everything_at_once, (), (*WORKLOADS, ENDPOINTS, ENDPOINT_SLICES, SERVICE_ACCOUNTS)),
}


def _part(name: str, *, fate: str = "first-attempt-fails", replicas: int = 1, pods: int = 1) -> Obj:
    template = _template(name, fate, restartPolicy="Never")
    return {
        "name": name,
        "replicas": replicas,
        "template": {"spec": {"parallelism": pods, "completions": pods, "backoffLimit": 0, "template": template}},
    }


async def _node(here: Town, name: str, **room: str) -> None:
    offers = {"cpu": "8", "memory": "32Gi", "pods": "110", **room}
    await here.create(NODES, {"metadata": {"name": name}, "status": {"allocatable": offers, "capacity": offers}})
    await _report(here, name, "True")


async def _report(here: Town, node: str, ready: str) -> None:
    condition = {"type": "Ready", "status": ready, "reason": "Said", "lastHeartbeatTime": times.rfc3339(here.clock.now())}
    await here.patch(NODES, node, {"status": {"conditions": [condition]}}, subresource="status")


def _own(here: Town) -> list[Obj]:
    return [found for found in here.all(CONFIG_MAPS) if objects.name(found) != "kube-root-ca.crt"]


def _used(here: Town) -> str:
    return str((objects.status(here.get(RESOURCE_QUOTAS, "q")).get("used") or {}).get("pods"))


def _settled(found: Obj, field: str, count: int) -> bool:
    return (
        objects.status(found).get("observedGeneration") == objects.meta(found)["generation"] and objects.status(found).get(field) == count
    )


def _rolled(found: Obj) -> bool:
    if not found:
        return False
    wanted = objects.spec(found)["replicas"]
    status = objects.status(found)
    counts = [status.get(field) for field in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration") == objects.meta(found)["generation"] and counts == [wanted] * 3


def _target(pod: Obj) -> str:
    """The node that a daemon's pod is for."""
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return str(terms[0]["matchFields"][0]["values"][0])


def _in_order(pods: list[Obj]) -> str:
    """Of an ordered set, at most one pod is not ready."""
    waiting = [objects.name(pod) for pod in pods if not conditions.is_true(pod, "Ready")]
    return f"{waiting} at once" if len(waiting) > 1 else ""
