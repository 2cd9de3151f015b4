"""Kueue's manager on our server and on the real one: quota, admission through its webhooks, conversion of its definitions, preemption."""

from collections.abc import Iterator
from typing import Any

import pytest

from oracle import servers, worlds
from tests.upstream.marked import marks

pytestmark = marks("kueue", files=("kueue",))
VERSION = "kueue.x-k8s.io/v1beta2"


@pytest.fixture(scope="module", params=[servers.OURS, servers.REAL])
def world(request: pytest.FixtureRequest) -> Iterator[worlds.World]:
    with worlds.world(request.param) as found:
        found.furnish(worlds.KUEUE)
        found.apply(queues())
        found.wait("clusterqueue/all", "condition=Active")
        yield found


def queues() -> list[dict[str, Any]]:
    """One flavour, room for two CPUs, and a queue in `default`."""
    quota = {"name": "cpu", "nominalQuota": "2"}
    group = {"coveredResources": ["cpu"], "flavors": [{"name": "any", "resources": [quota]}]}
    return [
        {"apiVersion": VERSION, "kind": "ResourceFlavor", "metadata": {"name": "any"}},
        {
            "apiVersion": VERSION,
            "kind": "ClusterQueue",
            "metadata": {"name": "all"},
            "spec": {"namespaceSelector": {}, "resourceGroups": [group]},
        },
        {
            "apiVersion": VERSION,
            "kind": "LocalQueue",
            "metadata": {"name": "mine", "namespace": "default"},
            "spec": {"clusterQueue": "all"},
        },
    ]


def job(name: str, cpu: str) -> dict[str, Any]:
    container = {"name": "c", "image": "registry.invalid/c:1", "resources": {"requests": {"cpu": cpu}}}
    meta = {"name": name, "namespace": "default", "labels": {"kueue.x-k8s.io/queue-name": "mine"}}
    spec = {"parallelism": 1, "completions": 1, "template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}


def test_a_job_waits_for_its_quota_and_then_runs(world: worlds.World) -> None:
    world.apply([job("first", "2")])
    world.wait("job/first", "jsonpath={.status.ready}=1")
    world.apply([job("second", "1")])
    world.wait("workloads.kueue.x-k8s.io -l kueue.x-k8s.io/job-uid=" + uid(world, "second"), "create")
    workload = world.server.get("workloads.kueue.x-k8s.io", "-l", "kueue.x-k8s.io/job-uid=" + uid(world, "second"))["items"][0]
    assert workload["metadata"]["ownerReferences"][0]["name"] == "second"
    world.wait(f"workloads.kueue.x-k8s.io/{workload['metadata']['name']}", "condition=QuotaReserved=False")
    assert world.server.get("job", "second")["spec"]["suspend"] is True, "the mutating webhook suspends it"
    world.server.kubectl("delete", "job", "first", "--timeout=60s")
    world.wait("job/second", "jsonpath={.status.ready}=1")
    world.wait(f"workloads.kueue.x-k8s.io/{workload['metadata']['name']}", "condition=Admitted")
    if world.server.name == servers.OURS:  # the real one has native gangs only because we ask for them, and means those
        assert world.server.get("workload", workload["metadata"]["name"])["apiVersion"] == VERSION
    assert not world.dead()


def test_an_older_version_is_converted_by_its_webhook(world: worlds.World) -> None:
    old = world.server.get("clusterqueues.v1beta1.kueue.x-k8s.io", "all")
    new = world.server.get("clusterqueues.v1beta2.kueue.x-k8s.io", "all")
    assert (old["apiVersion"], new["apiVersion"]) == ("kueue.x-k8s.io/v1beta1", VERSION)
    assert old["spec"]["resourceGroups"] == new["spec"]["resourceGroups"]


def test_what_its_webhook_refuses(world: worlds.World) -> None:
    broken = queues()[1]
    broken["metadata"]["name"] = "broken"
    broken["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"] = "-1"
    with pytest.raises(
        RuntimeError, match=r'admission webhook "vclusterqueue\.kb\.io" denied the request.*must be greater than or equal to 0'
    ):
        world.apply([broken])


def uid(world: worlds.World, name: str) -> str:
    found: str = world.server.get("job", name)["metadata"]["uid"]
    return found
