"""HorizontalPodAutoscalers on our API server, in virtual time; the tests play the node and say what pods use."""

import json
from typing import Any

import pytest

from lightship.kinds import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from lightship.kinds import pods as podlib
from lightship.kinds.metrics import POD_METRICS
from lightship.meta import conditions, errors, objects, times
from lightship.meta.objects import Obj
from lightship.meta.rest import Listing, ListOptions, Transport
from tests.builtin import make
from tests.builtin.site import Site, run

ONLY = ("horizontalpodautoscaler", "deployment", "replicaset")
NAME = "web"


class Measured:
    """The server, and in front of it somebody who says what each pod uses: `cpu` of its containers."""

    def __init__(self) -> None:
        self.cpu = ""
        self.inner: Transport
        self.here: Site

    def wrap(self, inner: Transport) -> Any:
        self.inner = inner
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def list(self, resource: Any, namespace: str, options: ListOptions) -> Listing:
        if resource != POD_METRICS:
            return await self.inner.list(resource, namespace, options)
        pods = [pod for pod in await self.here.pods() if podlib.phase(pod) == "Running"] if self.cpu else []
        now = times.rfc3339(self.here.manager.clock.now())
        return Listing([self._metric(pod, now) for pod in pods], "1", "", None)

    def _metric(self, pod: Obj, now: str) -> Obj:
        usage = {"name": "main", "usage": {"cpu": self.cpu, "memory": "64Mi"}}
        return {"metadata": {"name": objects.name(pod)}, "timestamp": now, "window": "15s", "containers": [usage]}


def autoscaler(least: int = 1, most: int = 10, *, metrics: list[Obj] | None = None, **spec: Any) -> Obj:
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    whole = {"scaleTargetRef": reference, "minReplicas": least, "maxReplicas": most, "metrics": metrics or [cpu], **spec}
    metadata = {"name": NAME, "namespace": "default"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": whole}


async def settled(here: Site, measured: Measured, cpu: str, seconds: float) -> int:
    """Let time pass in which pods use so much; how many are asked for then."""
    measured.here, measured.cpu = here, cpu
    for _ in range(int(seconds)):
        for pod in await here.pods():
            if podlib.phase(pod) == "Pending" and podlib.is_active(pod):
                await here.move(pod, "Running", ready=True, startTime=times.rfc3339(here.manager.clock.now() - 3600))
        await here.manager.clock.sleep(1)
    return int(objects.spec(await here.client.get(DEPLOYMENTS, NAME, "default"))["replicas"])


async def deploy(here: Site, count: int) -> None:
    container = {"name": "main", "image": "python", "resources": {"requests": {"cpu": "100m"}}}
    await here.client.create(
        DEPLOYMENTS, make.workload("Deployment", NAME, replicas=count, pod={"containers": [container], "restartPolicy": "Always"})
    )


def test_it_grows_with_the_load_and_shrinks_when_that_has_been_low_for_a_while() -> None:
    measured = Measured()

    async def work(here: Site) -> None:
        await deploy(here, 2)
        await here.client.create(HORIZONTAL_POD_AUTOSCALERS, autoscaler())
        assert await settled(here, measured, "50m", 60) == 2
        size = 2
        while size == 2:  # as far as its next look, whenever that is
            size = await settled(here, measured, "100m", 1)
        assert size == 4, "twice the target is twice the pods"
        found = await here.client.get(HORIZONTAL_POD_AUTOSCALERS, NAME, "default")
        told = {c["type"]: (c["status"], c["reason"]) for c in objects.status(found)["conditions"]}
        assert told["ScalingActive"] == ("True", "ValidMetricFound")
        assert (
            "SuccessfulRescale",
            "New size: 4; reason: cpu resource utilization (percentage of request) above target",
        ) in await here.events(NAME)
        assert objects.status(found)["lastScaleTime"]
        assert await settled(here, measured, "10m", 200) >= 4, "not at once"
        assert await settled(here, measured, "10m", 200) == 1
        found = await here.client.get(HORIZONTAL_POD_AUTOSCALERS, NAME, "default")
        (current,) = objects.status(found)["currentMetrics"]
        assert current == {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 10, "averageValue": "10m"}}}

    run(work, measured.wrap, only=ONLY)


def test_without_metrics_nothing_happens_and_it_says_why() -> None:
    measured = Measured()

    async def work(here: Site) -> None:
        await deploy(here, 2)
        await here.client.create(HORIZONTAL_POD_AUTOSCALERS, autoscaler())
        assert await settled(here, measured, "", 40) == 2
        found = await here.until_condition(HORIZONTAL_POD_AUTOSCALERS, NAME, "ScalingActive", "False")
        told = conditions.get(found, "ScalingActive") or {}
        assert told["reason"] == "FailedGetResourceMetric"
        assert told["message"] == (
            "the HPA was unable to compute the replica count: failed to get cpu utilization: "
            "unable to get metrics for resource cpu: no metrics returned from resource metrics API"
        )

    run(work, measured.wrap, only=ONLY)


def test_bounds_hold_without_metrics() -> None:
    measured = Measured()

    async def work(here: Site) -> None:
        await deploy(here, 1)
        await here.client.create(HORIZONTAL_POD_AUTOSCALERS, autoscaler(3, 5))
        assert await settled(here, measured, "", 20) == 3
        assert ("SuccessfulRescale", "New size: 3; reason: Current number of replicas below Spec.MinReplicas") in await here.events(NAME)
        await here.client.patch(DEPLOYMENTS, NAME, {"spec": {"replicas": 0}}, "default")
        assert await settled(here, measured, "", 20) == 0, "whoever wants none at all gets none"
        await here.until_condition(HORIZONTAL_POD_AUTOSCALERS, NAME, "ScalingActive", "False")

    run(work, measured.wrap, only=ONLY)


def test_what_does_not_exist_is_said() -> None:
    async def work(here: Site) -> None:
        await here.client.create(HORIZONTAL_POD_AUTOSCALERS, autoscaler())
        found = await here.until_condition(HORIZONTAL_POD_AUTOSCALERS, NAME, "AbleToScale", "False")
        told = conditions.get(found, "AbleToScale") or {}
        assert (told["reason"], told["message"]) == (
            "FailedGetScale",
            'the HPA controller was unable to get the target\'s current scale: deployments.apps "web" not found',
        )

    run(work, only=ONLY)


def external(name: str, **target: str) -> Obj:
    selector = {"matchLabels": {"queue": "jobs"}}
    return {"type": "External", "external": {"metric": {"name": name, "selector": selector}, "target": target}}


def of_object(name: str, described: Obj, value: str) -> Obj:
    found = {"metric": {"name": name}, "describedObject": described, "target": {"type": "Value", "value": value}}
    return {"type": "Object", "object": found}


class Adapter(Measured):
    """The same, with an adapter behind it that answers for metrics of pods, objects and things outside."""

    def __init__(self, answers: dict[str, str], *, version: str = "v1beta2") -> None:
        super().__init__()
        self.answers, self.version = answers, version
        self.asked: list[str] = []

    async def fetch(self, path: str, *, accept: str = "") -> bytes:
        self.asked.append(path)
        if path == "/apis/custom.metrics.k8s.io" and self.version:
            return json.dumps({"versions": [{"version": "v9"}, {"version": self.version}]}).encode()
        if path.partition("?")[0] not in self.answers:
            raise errors.no_such_path()
        found = [
            {"describedObject": {"name": objects.name(pod)}, "value": self.answers[path.partition("?")[0]]}
            for pod in await self.here.pods()
        ]
        return json.dumps({"items": found if "/pods/" in path else found[:1]}).encode()


def test_metrics_of_pods_objects_and_things_outside() -> None:
    custom = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/default"
    answers = {
        f"{custom}/pods/*/rate": "10",
        f"{custom}/deployments.apps/web/depth": "30",
        f"{custom}/metrics/load": "5",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/jobs": "80",
    }
    measured = Adapter(answers, version="v1beta1")
    described = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    space = {"apiVersion": "v1", "kind": "Namespace", "name": "whatever"}
    metrics: list[Obj] = [
        {"type": "Pods", "pods": {"metric": {"name": "rate"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
        {
            "type": "Object",
            "object": {"metric": {"name": "depth"}, "describedObject": described, "target": {"type": "Value", "value": "20"}},
        },
        {"type": "Object", "object": {"metric": {"name": "load"}, "describedObject": space, "target": {"type": "Value", "value": "5"}}},
        external("jobs", type="AverageValue", averageValue="20"),
    ]

    async def work(here: Site) -> None:
        await deploy(here, 2)
        await here.client.create(HORIZONTAL_POD_AUTOSCALERS, autoscaler(metrics=metrics))
        assert await settled(here, measured, "", 20) == 4
        found = await here.client.get(HORIZONTAL_POD_AUTOSCALERS, NAME, "default")
        told = conditions.get(found, "ScalingActive") or {}
        assert told["message"] == f"the HPA was able to successfully calculate a replica count from external metric jobs({JOBS})"
        values = [next(iter(metric.values())) for metric in objects.status(found)["currentMetrics"] if metric.pop("type")]
        assert [value["current"] for value in values] == [{"averageValue": "10"}, {"value": "30"}, {"value": "5"}, {"averageValue": "40"}]
        assert any(path.endswith("/pods/*/rate?labelSelector=app%3Dweb") for path in measured.asked), measured.asked
        assert any(path.endswith("/jobs?labelSelector=queue%3Djobs") for path in measured.asked)

    run(work, measured.wrap, only=ONLY)


JOBS = "&LabelSelector{MatchLabels:map[string]string{queue: jobs,},MatchExpressions:[]LabelSelectorRequirement{},}"
NO_PATH = "the server could not find the requested resource (get jobs.external.metrics.k8s.io)"
UNREAD = "unable to fetch metrics from {} metrics API: "


@pytest.mark.parametrize(
    ("metric", "reason", "message"),
    [
        (
            external("jobs", type="Value", value="20"),
            "FailedGetExternalMetric",
            f"unable to get external metric default/jobs/{JOBS}: {UNREAD.format('external')}{NO_PATH}",
        ),
        (
            {"type": "Pods", "pods": {"metric": {"name": "rate"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
            "FailedGetPodsMetric",
            f"unable to get metric rate: {UNREAD.format('custom')}no custom metrics API (custom.metrics.k8s.io) registered",
        ),
    ],
)
def test_metrics_that_nobody_serves(metric: Obj, reason: str, message: str) -> None:
    measured = Measured()

    async def work(here: Site) -> None:
        await deploy(here, 2)
        await here.client.create(HORIZONTAL_POD_AUTOSCALERS, autoscaler(metrics=[metric]))
        assert await settled(here, measured, "", 20) == 2
        found = await here.client.get(HORIZONTAL_POD_AUTOSCALERS, NAME, "default")
        told = conditions.get(found, "ScalingActive") or {}
        assert (told["status"], told["reason"]) == ("False", reason)
        assert told["message"] == f"the HPA was unable to compute the replica count: {message}"
        assert objects.status(found)["currentMetrics"] == [{"type": ""}]

    run(work, measured.wrap, only=ONLY)


def test_two_of_the_same_pods_are_told_so() -> None:
    measured = Measured()

    async def work(here: Site) -> None:
        await deploy(here, 2)
        await here.client.create(HORIZONTAL_POD_AUTOSCALERS, autoscaler())
        other = autoscaler()
        other["metadata"]["name"] = "other"
        await here.client.create(HORIZONTAL_POD_AUTOSCALERS, other)
        await settled(here, measured, "100m", 40)
        for name in (NAME, "other"):
            found = await here.until_condition(HORIZONTAL_POD_AUTOSCALERS, name, "ScalingActive", "False")
            told = conditions.get(found, "ScalingActive") or {}
            assert told["reason"] == "AmbiguousSelector"
            assert told["message"] == "pods by selector app=web are controlled by multiple HPAs: [{other default} {web default}]"
        await here.client.delete(HORIZONTAL_POD_AUTOSCALERS, "other", "default")
        await settled(here, measured, "100m", 20)
        await here.until_condition(HORIZONTAL_POD_AUTOSCALERS, NAME, "ScalingActive", "True")

    run(work, measured.wrap, only=ONLY)
