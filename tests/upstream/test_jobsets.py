"""The same JobSets under our controller on our server, and under JobSet's own manager on the real one, beside each other: what is made of
them, what is said of them, how they end and what is refused has to be the same. Every feature gate is on in both.

Pods live by kwok, are placed by kube-scheduler, and end as the tests say. Last, JobSet's manager in the place of ours, on our server.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oracle import servers, worlds
from tests.platform.kit import eventually
from tests.upstream.marked import marks
from tests.upstream.test_workloads import SECONDS, alike, apply, kubectl, plain

pytestmark = marks("jobset", files=("jobset",))
Obj = dict[str, Any]
GATES = ("RestartJob", "InPlaceRestart", "ElasticJobSet")
NAME = "jobset.sigs.k8s.io/jobset-name"
ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"
TOPOLOGY = "alpha.jobset.sigs.k8s.io/exclusive-topology"
_SUFFIX = re.compile("-[a-z0-9]{5}$")
_OWN = ("jobset.sigs.k8s.io/jobset-uid", "resourceVersion")


def _switched_on(config: Obj, ports: worlds.Ports, certificates: Path) -> None:
    worlds.JOBSET.configure(config, ports, certificates)
    config["featureGates"] = dict.fromkeys(GATES, True)


@pytest.fixture(scope="module")
def pair() -> Iterator[list[worlds.World]]:
    flags = ("--scheduler=none", "--feature-gates=" + ",".join(f"{gate}=true" for gate in GATES))
    with worlds.pair(flags=flags, operator=replace(worlds.JOBSET, configure=_switched_on)) as found:
        yield found


def replicated(name: str, *, replicas: int = 1, pods: int = 1, job: Obj | None = None, **fields: Any) -> Obj:
    container = {"name": "c", "image": "registry.invalid/c:1"}
    spec = {"parallelism": pods, "completions": pods, "backoffLimit": 0, **(job or {})}
    spec.setdefault("template", {"spec": {"containers": [container], "restartPolicy": "Never"}})
    return {"name": name, "replicas": replicas, "template": {"spec": spec}, **fields}


def jobset(name: str, *jobs: Obj, annotations: dict[str, str] | None = None, **spec: Any) -> Obj:
    metadata = {"name": name, "namespace": "default", "annotations": annotations or {}}
    whole = {"replicatedJobs": list(jobs), **spec}
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": metadata, "spec": whole}


def patch(pair: list[worlds.World], name: str, spec: Obj) -> None:
    kubectl(pair, "patch", "jobset", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def wait(pair: list[worlds.World], name: str, condition: str) -> None:
    worlds.together(lambda world: world.wait(f"jobset/{name}", condition), pair)


def pods(world: worlds.World, name: str, labels: str = "") -> list[Obj]:
    found = world.reader.listed("pods", labels=f"{NAME}={name}" + (f",{labels}" if labels else ""))
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def _has_pods(world: worlds.World, name: str, count: int) -> bool:
    return len(pods(world, name)) == count


def running(pair: list[worlds.World], name: str, count: int, labels: str = "") -> None:
    """Until so many pods run in both."""
    for world in pair:
        _running(world, name, count, labels)


def _running(world: worlds.World, name: str, count: int, labels: str) -> None:
    eventually(
        lambda: [pod["status"]["phase"] for pod in pods(world, name, labels)] == ["Running"] * count,
        f"{count} pods of {name} on the {world.server.name} server",
        lambda: str([(pod["metadata"]["name"], pod["status"]["phase"]) for pod in pods(world, name)]),
        seconds=SECONDS,
    )


def ready(pair: list[worlds.World], name: str, count: int) -> None:
    """Until the JobSet says of so many Jobs that they are ready: what is said of it depends on whether it ever was."""
    for world in pair:
        eventually(
            partial(_is_ready, world, name, count), f"{count} Jobs of {name} ready on the {world.server.name} server", seconds=SECONDS
        )


def _is_ready(world: worlds.World, name: str, count: int) -> bool:
    found = world.reader.named("jobsets", name).get("status", {}).get("replicatedJobsStatus", [])
    return sum(int(jobs.get("ready", 0)) for jobs in found) == count


def end(pair: list[worlds.World], name: str, phase: str, labels: str = "") -> None:
    """Play the kubelet: pods of the JobSet end."""
    status = json.dumps({"status": {"phase": phase}})

    def of_one(world: worlds.World) -> None:
        for pod in pods(world, name, labels):
            world.server.kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge", "-p", status)

    worlds.together(of_one, pair)


def picture(world: worlds.World, name: str) -> Obj:
    """A JobSet and all that it has made, without what is of one cluster only."""
    found: Obj = {"JobSet": [shown(world.reader.named("jobsets", name))]}
    for obj in world.reader.listed("jobs", "pods", "persistentvolumeclaims", labels=f"{NAME}={name}"):
        found.setdefault(obj["kind"], []).append(shown(obj))
    for obj in world.reader.listed("services"):
        if any(owner["name"] == name for owner in obj["metadata"].get("ownerReferences", [])):
            found.setdefault("Service", []).append(shown(obj))
    return {kind: sorted(objs, key=str) for kind, objs in found.items()}


def shown(obj: Obj) -> Obj:
    meta = obj["metadata"]
    for kept in (meta, meta.get("annotations", {}), meta.get("labels", {})):
        for field in _OWN:
            kept.pop(field, None)
    for template in (obj["spec"].get("template", {}).get("metadata", {}),):
        for field in _OWN:
            template.get("labels", {}).pop(field, None)
            template.get("annotations", {}).pop(field, None)
    meta.get("annotations", {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    if obj["kind"] == "Pod":
        meta["name"] = _SUFFIX.sub("", meta["name"])
        obj["spec"]["volumes"] = [v for v in obj["spec"].get("volumes", []) if not v["name"].startswith("kube-api-access-")]
        for container in obj["spec"]["containers"]:
            container["volumeMounts"] = [m for m in container.get("volumeMounts", []) if not m["name"].startswith("kube-api-access-")]
        obj["spec"].get("nodeSelector", {}).pop("rack", None)
    for field in ("clusterIP", "clusterIPs"):
        if obj["kind"] == "Service" and obj["spec"].get(field) not in ("None", ["None"]):
            obj["spec"].pop(field, None)
    found: Obj = plain(obj)
    return found


def said(world: worlds.World, name: str) -> list[str]:
    events = world.reader.listed("events")
    own = [e for e in events if e["involvedObject"]["name"] == name and e["involvedObject"]["kind"] == "JobSet"]
    # Upstream creates a Job once more when its cache has not seen the first, and complains that it is there.
    own = [e for e in own if not (e["reason"] == "JobCreationFailed" and "already exists" in e["message"])]
    return sorted({f"{e['type']} {e['reason']}: {e['message']}" for e in own})


def settled(pair: list[worlds.World], name: str) -> None:
    alike(pair, name, picture)
    alike(pair, name, said)


def test_a_rack_for_each_job(pair: list[worlds.World]) -> None:
    """On nodes that no other JobSet goes to: such Jobs keep away from all others."""
    racks = [worlds.node(f"racked-{number}") for number in range(worlds.NODES)]
    for number, node in enumerate(racks):
        node["metadata"]["labels"]["rack"] = f"r{number}"
        node["spec"] = {"taints": [{"key": "rack", "value": "yes", "effect": "NoSchedule"}]}
    job = replicated("a", replicas=2, pods=3)
    job["template"]["spec"]["template"]["spec"]["tolerations"] = [{"key": "rack", "operator": "Exists"}]
    apply(pair, *racks, jobset("racks", job, annotations={TOPOLOGY: "rack"}))
    running(pair, "racks", 6)
    for world in pair:
        places = {(p["metadata"]["labels"]["jobset.sigs.k8s.io/job-index"], p["spec"]["nodeName"]) for p in pods(world, "racks")}
        assert len(places) == len({job for job, _ in places}) == len({node for _, node in places}) == 2, (
            "one rack for each, and not the same"
        )
    settled(pair, "racks")
    kubectl(pair, "delete", "jobset", "racks", "--wait=false")


def test_from_the_first_pod_to_completion(pair: list[worlds.World]) -> None:
    coordinator = {"replicatedJob": "driver", "jobIndex": 0, "podIndex": 0}
    driver, workers = replicated("driver"), replicated("workers", replicas=2, pods=2, groupName="w")
    apply(pair, jobset("plain", driver, workers, coordinator=coordinator, network={"subdomain": "net", "publishNotReadyAddresses": False}))
    running(pair, "plain", 5)
    settled(pair, "plain")
    end(pair, "plain", "Succeeded")
    wait(pair, "plain", "condition=Completed")
    settled(pair, "plain")


def test_failure_success_of_any_and_times_to_live(pair: list[worlds.World]) -> None:
    some = {"operator": "Any", "targetReplicatedJobs": ["a"]}
    elsewhere = jobset("elsewhere", replicated("a"), managedBy="acme.io/other")
    brief = jobset("brief", replicated("a"), ttlSecondsAfterFinished=0)
    either = jobset("either", replicated("a", replicas=2), replicated("b"), successPolicy=some, network={"enableDNSHostnames": False})
    apply(pair, jobset("fails", replicated("a", replicas=2)), either, brief, elsewhere)
    for name, count in (("fails", 2), ("either", 3), ("brief", 1)):
        running(pair, name, count)
    end(pair, "brief", "Succeeded")
    end(pair, "fails", "Failed", "jobset.sigs.k8s.io/job-index=1")
    end(pair, "either", "Succeeded", "jobset.sigs.k8s.io/job-global-index=0")
    wait(pair, "fails", "condition=Failed")
    wait(pair, "either", "condition=Completed")
    wait(pair, "brief", "delete")
    for name in ("fails", "either", "elsewhere"):
        settled(pair, name)


def test_restarts_of_the_whole(pair: list[worlds.World]) -> None:
    ignored = {"name": "free", "action": "RestartJobSetAndIgnoreMaxRestarts", "targetReplicatedJobs": ["b"]}
    strategies = {"recreate": "Recreate", "blocking": "BlockingRecreate"}
    policies = {name: {"maxRestarts": 1, "restartStrategy": strategy, "rules": [ignored]} for name, strategy in strategies.items()}
    apply(pair, *(jobset(name, replicated("a", pods=2), replicated("b"), failurePolicy=policy) for name, policy in policies.items()))
    for attempt, failing in enumerate(("b", "a", "a")):
        for name in strategies:
            running(pair, name, 3, f"{ATTEMPT}={attempt}")
            ready(pair, name, 2)
            end(pair, name, "Failed", f"jobset.sigs.k8s.io/replicatedjob-name={failing},batch.kubernetes.io/job-completion-index=0")
    for name in strategies:
        wait(pair, name, "condition=Failed")
        settled(pair, name)


def test_restarts_of_single_jobs(pair: list[worlds.World]) -> None:
    rules = [
        {"name": "one", "action": "RestartJob", "targetReplicatedJobs": ["a"], "onJobFailureReasons": ["BackoffLimitExceeded"]},
        {"name": "two", "action": "RestartJobAndIgnoreMaxRestarts", "onJobFailureMessagePatterns": ["backoff (limit|what)"]},
    ]
    apply(pair, jobset("single", replicated("a", replicas=2), replicated("b"), failurePolicy={"maxRestarts": 1, "rules": rules}))
    running(pair, "single", 3)
    ready(pair, "single", 3)
    attempt = "jobset.sigs.k8s.io/job-restart-attempt"
    for failing, number in (("b", 0), ("a", 0), ("a", 1)):
        end(pair, "single", "Failed", f"jobset.sigs.k8s.io/replicatedjob-name={failing},jobset.sigs.k8s.io/job-index=0,{attempt}={number}")
        if number == 0:
            running(pair, "single", 1, f"jobset.sigs.k8s.io/replicatedjob-name={failing},{attempt}=1")
            ready(pair, "single", 3)
            settled(pair, "single")
    wait(pair, "single", "condition=Failed")
    settled(pair, "single")


def test_one_after_the_other(pair: list[worlds.World]) -> None:
    after = [{"name": "a", "status": "Complete"}]
    apply(
        pair,
        jobset("ordered", replicated("a"), replicated("b"), startupPolicy={"startupPolicyOrder": "InOrder"}),
        jobset("depends", replicated("a"), replicated("b", dependsOn=[{"name": "a", "status": "Ready"}]), replicated("c", dependsOn=after)),
    )
    running(pair, "ordered", 2)
    running(pair, "depends", 2)
    settled(pair, "ordered")
    settled(pair, "depends")
    end(pair, "depends", "Succeeded", "jobset.sigs.k8s.io/replicatedjob-name=a")
    running(pair, "depends", 1, "jobset.sigs.k8s.io/replicatedjob-name=c")
    settled(pair, "depends")


def test_suspended_changed_and_resumed(pair: list[worlds.World]) -> None:
    apply(pair, jobset("paused", replicated("a", pods=2), suspend=True))
    wait(pair, "paused", "condition=Suspended")
    settled(pair, "paused")
    changed = replicated("a", pods=2)
    pod = changed["template"]["spec"]["template"]
    pod["metadata"] = {"labels": {"queue": "q"}, "annotations": {"why": "room"}}
    pod["spec"] |= {"nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": [{"key": "k", "operator": "Exists"}]}
    apply(pair, jobset("paused", changed, suspend=False))
    running(pair, "paused", 2)
    settled(pair, "paused")
    patch(pair, "paused", {"suspend": True})
    wait(pair, "paused", "condition=Suspended")
    wait(pair, "paused", "jsonpath={.status.replicatedJobsStatus[0].suspended}=1")
    settled(pair, "paused")
    patch(pair, "paused", {"suspend": False})
    running(pair, "paused", 2)
    settled(pair, "paused")


def test_claims_that_all_jobs_mount(pair: list[worlds.World]) -> None:
    def policy(name: str, when: str) -> Obj:
        spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "nobody", "resources": {"requests": {"storage": "1Gi"}}}
        return {"templates": [{"metadata": {"name": name, "labels": {"l": "v"}}, "spec": spec}], "retentionPolicy": {"whenDeleted": when}}

    job = replicated("a", pods=2)
    job["template"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [
        {"name": n, "mountPath": f"/{n}"} for n in ("in", "out")
    ]
    apply(pair, jobset("stored", job, volumeClaimPolicies=[policy("in", "Delete"), policy("out", "Retain")]))
    for world in pair:
        world.wait("pvc/out-stored", "create")
        eventually(partial(_has_pods, world, "stored", 2), "both pods")
    settled(pair, "stored")
    kubectl(pair, "delete", "jobset", "stored", "--cascade=foreground", "--timeout=60s")
    for world in pair:
        world.wait("pvc/in-stored", "delete")
        assert world.server.get("pvc", "out-stored")["metadata"].get("ownerReferences") is None


def test_jobs_that_grow(pair: list[worlds.World]) -> None:
    apply(pair, jobset("grows", replicated("a", pods=1)))
    running(pair, "grows", 1)
    apply(pair, jobset("grows", replicated("a", pods=3)))
    running(pair, "grows", 3)
    settled(pair, "grows")


def test_restarts_in_place(pair: list[worlds.World]) -> None:
    patient = {"backoffLimit": 2**31 - 1, "podReplacementPolicy": "Failed"}
    policy = {"maxRestarts": 1, "restartStrategy": "InPlaceRestart"}
    apply(pair, jobset("inplace", replicated("a", pods=2, job=patient), failurePolicy=policy))
    running(pair, "inplace", 2)

    def reach(attempt: int, labels: str) -> None:
        """Play the agents."""
        note = f"jobset.sigs.k8s.io/in-place-restart-attempt={attempt}"
        kubectl(pair, "annotate", "pods", "-l", f"{NAME}=inplace{labels}", "--overwrite", note)

    first = ",batch.kubernetes.io/job-completion-index=0"
    reach(0, "")
    wait(pair, "inplace", "jsonpath={.status.currentInPlaceRestartAttempt}=0")
    reach(1, first)
    wait(pair, "inplace", "jsonpath={.status.previousInPlaceRestartAttempt}=0")
    reach(1, "")
    wait(pair, "inplace", "jsonpath={.status.currentInPlaceRestartAttempt}=1")
    settled(pair, "inplace")
    reach(2, first)
    wait(pair, "inplace", "condition=Failed")
    settled(pair, "inplace")


def refused() -> list[Obj]:
    """JobSets that are wrong, each in its own way."""
    job, long = replicated("a"), "n" * 60
    duplicate = [{"name": "x", "action": "FailJobSet"}, {"name": "x", "action": "FailJobSet"}]
    claim = {"templates": [{"metadata": {"name": "v"}, "spec": {}}]}
    specs: list[Obj] = [
        {"successPolicy": {"operator": "All", "targetReplicatedJobs": ["b"]}},
        {"network": {"subdomain": "s" * 64}},
        {"network": {"subdomain": "A.b"}},
        {"managedBy": "nobody"},
        {"managedBy": "a.b/c d"},
        {"managedBy": "acme.io/" + "m" * 60},
        {"replicatedJobs": [job, job]},
        {"replicatedJobs": [{**job, "dependsOn": [{"name": "a", "status": "Ready"}]}]},
        {"replicatedJobs": [job, replicated("b", dependsOn=[{"name": "c", "status": "Ready"}]), replicated("c")]},
        {
            "replicatedJobs": [job, replicated("b", dependsOn=[{"name": "a", "status": "Ready"}])],
            "startupPolicy": {"startupPolicyOrder": "InOrder"},
        },
        {"replicatedJobs": [replicated("B")]},
        {"replicatedJobs": [replicated("b", groupName="-")]},
        {"replicatedJobs": [replicated("b", groupName="g" * 64)]},
        {"replicatedJobs": [replicated(long)]},
        {"replicatedJobs": [replicated("b", replicas=2**20, pods=2**12)]},
        {"failurePolicy": {"rules": duplicate}},
        {"failurePolicy": {"rules": [{"name": "9", "action": "FailJobSet", "targetReplicatedJobs": ["b"], "onJobFailureReasons": ["No"]}]}},
        {"failurePolicy": {"rules": [{"name": "r", "action": "RestartJob"}]}, "replicatedJobs": [replicated("b", replicas=1025)]},
        {"failurePolicy": {"restartStrategy": "InPlaceRestart"}},
        {"coordinator": {"replicatedJob": "b"}},
        {"coordinator": {"replicatedJob": "a", "jobIndex": 1}},
        {"coordinator": {"replicatedJob": "a", "podIndex": -1}},
        {"volumeClaimPolicies": [claim]},
        {"volumeClaimPolicies": [{"templates": [{"metadata": {"name": "v", "namespace": "x"}, "spec": {}}]}]},
        {"failurePolicy": {"maxRestarts": 1, "rules": [{"name": "r", "action": "FailJobSet", "targetReplicatedJobs": ["x"]}]}},
    ]
    return [jobset(f"wrong-{number}", *spec.pop("replicatedJobs", [job]), **spec) for number, spec in enumerate(specs)]


def test_refusals_in_the_same_words(pair: list[worlds.World]) -> None:
    def both(wrong: Obj) -> list[str]:
        return [complaint(world, json.dumps(wrong), "create", "--dry-run=server", "--validate=false", "-f", "-") for world in pair]

    with ThreadPoolExecutor(4) as pool:
        for wrong, (ours, theirs) in zip(refused(), pool.map(both, refused()), strict=True):
            assert ours == theirs, wrong["spec"]
            assert ours, f"nobody refuses {wrong['spec']}"


CHANGES: list[Obj] = [
    {"network": {"subdomain": "x"}},
    {"network": None},
    {"successPolicy": {"operator": "Any"}},
    {"failurePolicy": {"maxRestarts": 3}},
    {"startupPolicy": {"startupPolicyOrder": "InOrder"}},
    {"coordinator": {"replicatedJob": "a"}},
    {"managedBy": "a.b/c"},
    {"suspend": True},
    {"ttlSecondsAfterFinished": 3},
    {"replicatedJobs": [replicated("a", replicas=2)]},
    {"replicatedJobs": [replicated("a", pods=0)]},
    {"replicatedJobs": [replicated("a", job={"parallelism": 2, "completions": 3})]},
    {"replicatedJobs": [replicated("a", job={"backoffLimit": 3})]},
]


def _complaint_about(arguments: tuple[str, ...], world: worlds.World) -> str:
    return complaint(world, None, *arguments)


def test_changes_that_may_be_and_those_that_may_not(pair: list[worlds.World]) -> None:
    apply(pair, jobset("fixed", replicated("a"), failurePolicy={"maxRestarts": 2}, suspend=False))
    running(pair, "fixed", 1)
    for change in CHANGES:
        arguments = ("patch", "jobset", "fixed", "--dry-run=server", "--type=merge", "-p", json.dumps({"spec": change}))
        ours, theirs = worlds.together(partial(_complaint_about, arguments), pair)
        assert ours == theirs, change


def complaint(world: worlds.World, text: str | None, *arguments: str) -> str:
    """What kubectl says was wrong; structs as values are left out, as Go writes all their fields."""
    try:
        world.server.kubectl(*arguments, text=text)
    except RuntimeError as error:
        said = str(error).removeprefix(f"kubectl {' '.join(arguments)}: ")
        return re.sub(r"Invalid value: [\[{].*[\]}]: ", "", said)
    return ""


def test_jobsets_own_manager_on_our_server() -> None:
    with worlds.world(servers.OURS, controllers="*,-jobset") as world:
        world.furnish(worlds.JOBSET, manager=False)
        world.apply([jobset("theirs", replicated("a", replicas=2, pods=2), failurePolicy={"maxRestarts": 1})])
        running([world], "theirs", 4)
        end([world], "theirs", "Failed", "jobset.sigs.k8s.io/job-global-index=0,batch.kubernetes.io/job-completion-index=0")
        running([world], "theirs", 4, f"{ATTEMPT}=1")
        end([world], "theirs", "Succeeded")
        world.wait("jobset/theirs", "condition=Completed")
        managers = {
            entry["manager"] for entry in world.server.get("jobset", "theirs", "--show-managed-fields")["metadata"]["managedFields"]
        }
        assert "lightship" not in managers
        assert not world.dead()
