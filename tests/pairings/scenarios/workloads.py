"""Deployments, StatefulSets, DaemonSets and their kin: rolled, rolled back, paused, scaled."""

from lightship.kinds import (
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from tests.pairings.user import IMAGE, User, image, observed, pod_spec, template, workload

REVISION = "deployment.kubernetes.io/revision"
SECOND = "registry.invalid/c:2"


async def deployment_rolled_and_rolled_back(user: User) -> None:
    await user.node()
    await user.create(DEPLOYMENTS, workload("web", replicas=3, pod=template("web", **user.homely())))
    await user.until(DEPLOYMENTS, "web", _rolled, "rolled")
    await user.until_pods(3, "Running")
    await user.patch(DEPLOYMENTS, "web", image(SECOND))
    await user.until(DEPLOYMENTS, "web", _rolled, "rolled again")
    pods = await user.until_pods(3, "Running")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {SECOND}
    await user.until_all(REPLICA_SETS, lambda sets: sorted(map(_revision, sets)) == ["1", "2"], what="of two revisions")
    await user.patch(DEPLOYMENTS, "web", image(IMAGE))
    await user.until(DEPLOYMENTS, "web", _rolled, "rolled back")
    sets = await user.until_all(REPLICA_SETS, lambda sets: sorted(map(_revision, sets)) == ["2", "3"], what="the old one is used again")
    assert {_revision(found): objects.spec(found)["replicas"] for found in sets} == {"2": 0, "3": 3}
    await user.until_told("web", "ScalingReplicaSet")


async def deployment_paused_and_scaled(user: User) -> None:
    await user.node()
    await user.create(DEPLOYMENTS, workload("web", replicas=2, pod=template("web", **user.homely())))
    await user.until(DEPLOYMENTS, "web", _rolled, "rolled")
    await user.patch(DEPLOYMENTS, "web", {"spec": {"paused": True}})
    await user.until_condition(DEPLOYMENTS, "web", "Progressing", "Unknown", "DeploymentPaused")
    await user.patch(DEPLOYMENTS, "web", {**image(SECOND), "spec": {**image(SECOND)["spec"], "replicas": 3}})
    await user.until(DEPLOYMENTS, "web", lambda found: observed(found) and found["status"].get("readyReplicas") == 3, "scaled")
    pods = await user.until_pods(3, "Running")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {IMAGE}, "what is paused does not roll"
    await user.patch(DEPLOYMENTS, "web", {"spec": {"paused": None}})
    await user.until(DEPLOYMENTS, "web", _rolled, "rolled")
    pods = await user.until_pods(3, "Running")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {SECOND}


async def deployment_recreated(user: User) -> None:
    await user.node()
    spec = workload("web", replicas=2, strategy={"type": "Recreate"}, pod=template("web", **user.homely()))
    await user.create(DEPLOYMENTS, spec)
    first = {objects.uid(pod) for pod in await user.until_pods(2, "Running")}
    await user.patch(DEPLOYMENTS, "web", image(SECOND))
    await user.until(DEPLOYMENTS, "web", _rolled, "rolled")
    assert not first & {objects.uid(pod) for pod in await user.until_pods(2, "Running")}
    await user.until_condition(DEPLOYMENTS, "web", "Available")


async def deployment_that_never_gets_there(user: User) -> None:
    pod = template("web", **pod_spec(nodeSelector={"nowhere": "at-all"}))
    await user.create(DEPLOYMENTS, workload("web", replicas=1, progressDeadlineSeconds=1, pod=pod))
    await user.until_condition(DEPLOYMENTS, "web", "Progressing", "False", "ProgressDeadlineExceeded")


async def replica_set_adopts_and_lets_go(user: User) -> None:
    await user.create(PODS, {"metadata": {"name": "loose", "labels": {"app": "web"}}, "spec": pod_spec()})
    found = await user.create(REPLICA_SETS, workload("web", replicas=2))
    pods = await user.until_pods(2)
    assert "loose" in {objects.name(pod) for pod in pods}
    await user.until(PODS, "loose", lambda pod: objects.is_controlled_by(pod, found), "adopted")
    await user.patch(PODS, "loose", {"metadata": {"labels": {"app": "other"}}})
    await user.until(PODS, "loose", lambda pod: not objects.owners(pod), "let go")
    await user.until_pods(2, labels="app=web")
    await user.until_status(REPLICA_SETS, "web", replicas=2, fullyLabeledReplicas=2)


async def replication_controller_scaled(user: User) -> None:
    spec = {"replicas": 2, "selector": {"app": "old"}, "template": template("old")}
    await user.create(REPLICATION_CONTROLLERS, {"metadata": {"name": "old"}, "spec": spec})
    await user.until_pods(2)
    await user.patch(REPLICATION_CONTROLLERS, "old", {"spec": {"replicas": 1}})
    await user.until_pods(1)
    await user.until_status(REPLICATION_CONTROLLERS, "old", replicas=1)


async def stateful_set_ordered(user: User) -> None:
    await user.node()
    await user.create(STATEFUL_SETS, workload("db", replicas=3, serviceName="db", pod=template("db", **user.homely())))
    pods = await user.until_pods(3, "Running")
    assert [objects.name(pod) for pod in pods] == ["db-0", "db-1", "db-2"]
    ready = [_since(pod) for pod in pods[:2]]
    assert ready[0] <= objects.meta(pods[1])["creationTimestamp"], "each waits for the one before it"
    assert ready[1] <= objects.meta(pods[2])["creationTimestamp"]
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    await user.patch(STATEFUL_SETS, "db", {"spec": {**image(SECOND)["spec"], "updateStrategy": rolling}})
    await user.until(STATEFUL_SETS, "db", lambda found: observed(found) and _counts(found, "updatedReplicas", "readyReplicas") == (2, 3))
    images = [pod["spec"]["containers"][0]["image"] for pod in await user.until_pods(3, "Running")]
    assert images == [IMAGE, SECOND, SECOND], "what is below the partition stays"
    await user.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 1}})
    assert [objects.name(pod) for pod in await user.until_pods(1)] == ["db-0"]
    await user.until_status(STATEFUL_SETS, "db", replicas=1)


async def stateful_set_in_parallel(user: User) -> None:
    pod = template("db", **pod_spec(nodeSelector={"nowhere": "at-all"}))
    await user.create(STATEFUL_SETS, workload("db", replicas=3, serviceName="db", podManagementPolicy="Parallel", pod=pod))
    await user.until_pods(3, "Pending")
    await user.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 1, "ordinals": {"start": 1}}})
    assert [objects.name(pod) for pod in await user.until_pods(1)] == ["db-1"]


async def daemon_set_rolled(user: User) -> None:
    nodes = [await user.node() for _ in range(2)]
    await user.create(DAEMON_SETS, workload("agent", pod=template("agent", **user.homely())))
    pods = await user.until_pods(2, "Running")
    assert {pod["spec"]["nodeName"] for pod in pods} == set(nodes)
    await user.patch(DAEMON_SETS, "agent", image(SECOND))
    await user.until(
        DAEMON_SETS, "agent", lambda found: observed(found) and _counts(found, "updatedNumberScheduled", "numberAvailable") == (2, 2)
    )
    pods = await user.until_pods(2, "Running")
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {SECOND}
    third = await user.node()
    assert third in {pod["spec"]["nodeName"] for pod in await user.until_pods(3, "Running")}
    await user.until_status(DAEMON_SETS, "agent", desiredNumberScheduled=3, numberReady=3)


async def cron_job_due(user: User) -> None:
    job = {"spec": {"template": {"spec": pod_spec(restartPolicy="Never")}}}
    spec = {"schedule": "*/5 * * * *", "suspend": True, "concurrencyPolicy": "Forbid", "jobTemplate": job}
    made = await user.create(CRON_JOBS, {"metadata": {"name": "nightly"}, "spec": spec})
    last = times.rfc3339(times.parse(objects.meta(made)["creationTimestamp"]) - 600)
    await user.patch(CRON_JOBS, "nightly", {"status": {"lastScheduleTime": last}}, subresource="status")
    await user.patch(CRON_JOBS, "nightly", {"spec": {"suspend": False}})
    (found,) = await user.until_all(JOBS, lambda jobs: len(jobs) == 1, what="the one that was missed")
    assert objects.is_controlled_by(found, made)
    assert objects.name(found).startswith("nightly-")
    await user.until(CRON_JOBS, "nightly", lambda cron: len(objects.status(cron).get("active") or ()) == 1, "active")
    await user.until_told("nightly", "SuccessfulCreate")
    await user.delete(JOBS, objects.name(found), "Background")
    await user.until(CRON_JOBS, "nightly", lambda cron: not objects.status(cron).get("active"), "inactive")


async def autoscaler_keeps_to_its_bounds(user: User) -> None:
    await user.create(DEPLOYMENTS, workload("web", replicas=1))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4, "metrics": [metric]}
    await user.create(HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": "web"}, "spec": spec})
    await user.until_pods(2)
    await user.until_condition(HORIZONTAL_POD_AUTOSCALERS, "web", "AbleToScale")
    await user.until_told("web", "SuccessfulRescale", "New size: 2")
    await user.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}})
    await user.until_pods(4)


def _rolled(found: Obj) -> bool:
    """As `kubectl rollout status` sees it."""
    wanted = objects.spec(found)["replicas"]
    return observed(found) and _counts(found, "replicas", "updatedReplicas", "availableReplicas") == (wanted,) * 3


def _counts(found: Obj, *fields: str) -> tuple[int, ...]:
    return tuple(objects.status(found).get(field) or 0 for field in fields)


def _revision(found: Obj) -> str:
    return objects.annotations(found).get(REVISION, "")


def _since(pod: Obj) -> str:
    """When a pod got ready."""
    text: str = (conditions.get(pod, "Ready") or {})["lastTransitionTime"]
    return text
