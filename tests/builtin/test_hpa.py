"""HorizontalPodAutoscalers on our API server, in virtual time; the tests play the node and say what pods use."""

from typing import Any

import pytest

from lightship.builtin.hpa import behavior, replicas
from lightship.builtin.hpa.behavior import Bounds, Memory
from lightship.builtin.hpa.replicas import Tolerance
from lightship.builtin.hpa.samples import Groups, Sample, Unmeasurable
from lightship.kinds import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from lightship.kinds import pods as podlib
from lightship.kinds.metrics import POD_METRICS
from lightship.meta import conditions, objects, times
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
        assert await settled(here, measured, "100m", 15) == 4, "twice the target is twice the pods"
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
            "the HPA was unable to compute the replica count: failed to get cpu resource metric value: failed to get cpu utilization: "
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


def samples(*values: int) -> dict[str, Sample]:
    return {f"p{number}": Sample(value) for number, value in enumerate(values)}


def groups(ready: int, *, unready: tuple[str, ...] = (), missing: tuple[str, ...] = ()) -> Groups:
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset())


@pytest.mark.parametrize(
    ("used", "split", "current", "wanted"),
    [
        ((300, 500, 700), groups(3), 3, 5),  # 50 % where 30 % is wanted
        ((300, 300, 300), groups(3), 3, 3),
        ((330, 330, 330), groups(3), 3, 3),  # within a tenth
        ((100, 100, 100), groups(3), 3, 1),
        ((600, 600), groups(2, missing=("m",)), 3, 4),  # those that say nothing count as idle when it grows
        ((100, 100), groups(2, missing=("m",)), 3, 3),  # and as busy when it shrinks
        ((500, 700), groups(2, unready=("u",)), 3, 4),
        ((400,), groups(1, unready=("u", "v")), 3, 3),  # not turned round by them
    ],
)
def test_replicas_by_utilization(used: tuple[int, ...], split: Groups, current: int, wanted: int) -> None:
    requests = dict.fromkeys(["p0", "p1", "p2", "m", "u", "v"], 1000)
    found = replicas.by_utilization(samples(*used), split, requests, 30, current, Tolerance())
    assert found.replicas == wanted


def test_pods_that_are_not_ready_alone_say_nothing() -> None:
    with pytest.raises(Unmeasurable, match="pods might be unready"):
        replicas.by_average(samples(5), groups(0, unready=("p0",)), 10, 1, Tolerance())


@pytest.mark.parametrize(("value", "current", "wanted"), [(33_000, 3, 5), (21_000, 3, 3), (0, 3, 0), (20_000, 0, 1)])
def test_replicas_by_value(value: int, current: int, wanted: int) -> None:
    assert replicas.by_value(value, 20_000, 3, current, Tolerance()).replicas == wanted


def scaled(rules: Obj | None, current: int, desired: int, *, now: float = 1000.0, memory: Memory | None = None) -> tuple[int, str]:
    found = behavior.limited(
        {"spec": {"behavior": rules} if rules else {}}, memory or Memory(current, 0.0), Bounds(1, 100), current, desired, now
    )
    return found.replicas, found.limited[1]


PODS_4 = {"type": "Pods", "value": 4, "periodSeconds": 60}
PERCENT_100 = {"type": "Percent", "value": 100, "periodSeconds": 60}


@pytest.mark.parametrize(
    ("rules", "current", "desired", "wanted"),
    [
        (None, 3, 50, (6, "ScaleUpLimit")),
        (None, 1, 3, (3, "DesiredWithinRange")),
        (None, 60, 200, (100, "TooManyReplicas")),
        (None, 5, 0, (1, "TooFewReplicas")),
        ({"scaleUp": {"policies": [PODS_4, PERCENT_100], "selectPolicy": "Max"}}, 10, 50, (20, "ScaleUpLimit")),
        ({"scaleUp": {"policies": [PODS_4, PERCENT_100], "selectPolicy": "Min"}}, 10, 50, (14, "ScaleUpLimit")),
        ({"scaleUp": {"selectPolicy": "Disabled", "policies": [PODS_4]}}, 10, 50, (10, "ScaleUpLimit")),
        ({"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [PODS_4], "selectPolicy": "Max"}}, 10, 2, (6, "ScaleDownLimit")),
        ({"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [PERCENT_100]}}, 10, 0, (1, "TooFewReplicas")),
    ],
)
def test_how_fast_it_may(rules: Obj | None, current: int, desired: int, wanted: tuple[int, str]) -> None:
    assert scaled(rules, current, desired) == wanted


def test_what_was_done_within_a_policys_period_counts() -> None:
    memory, rules = Memory(10, 0.0), {"scaleUp": {"policies": [PODS_4]}}
    memory.scaled(10, 14, 990.0)
    assert scaled(rules, 14, 50, memory=memory) == (14, "ScaleUpLimit")
    assert scaled(rules, 14, 50, now=1051.0, memory=memory) == (18, "ScaleUpLimit")
