"""kube-controller-manager, kube-scheduler and kwok on our server and on the real one: a Deployment, a Job and what they leave behind."""

from collections.abc import Iterator
from typing import Any

import pytest

from oracle import servers, worlds
from tests.platform.kit import eventually
from tests.upstream.marked import marks

pytestmark = marks()


@pytest.fixture(scope="module", params=[servers.OURS, servers.REAL])
def world(request: pytest.FixtureRequest) -> Iterator[worlds.World]:
    with worlds.world(request.param) as found:
        found.control_plane()
        yield found


def ready_endpoints(world: worlds.World, service: str) -> int:
    slices = world.server.get("endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
    return sum(endpoint["conditions"]["ready"] for found in slices for endpoint in found.get("endpoints") or ())


def template(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "registry.invalid/c:1"}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec}}


def test_a_deployment_becomes_available_and_its_service_has_endpoints(world: worlds.World) -> None:
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template("web")}
    world.apply(
        [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": spec},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "web", "namespace": "default"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
            },
        ]
    )
    world.wait("deployment/web", "condition=Available")
    world.wait("deployment/web", "jsonpath={.status.readyReplicas}=3")
    world.wait("pods -l app=web", "jsonpath={.status.phase}=Running")
    eventually(lambda: ready_endpoints(world, "web") == 3, "three ready endpoints")
    pods = world.server.get("pods", "-l", "app=web")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} <= {f"node-{number}" for number in range(worlds.NODES)}
    assert not world.dead()


def test_a_rollout_replaces_the_pods_and_can_be_undone(world: worlds.World) -> None:
    kubectl = world.server.kubectl
    kubectl("create", "deployment", "roll", "--image=registry.invalid/c:1", "--replicas=2")
    kubectl("rollout", "status", "deployment/roll", "--timeout=90s")
    kubectl("set", "image", "deployment/roll", "*=registry.invalid/c:2")
    kubectl("rollout", "status", "deployment/roll", "--timeout=90s")
    kubectl("rollout", "undo", "deployment/roll")
    kubectl("rollout", "status", "deployment/roll", "--timeout=90s")
    assert (
        kubectl("get", "pods", "-l", "app=roll", "-o", "jsonpath={.items[*].spec.containers[0].image}").split()
        == ["registry.invalid/c:1"] * 2
    )
    kubectl("delete", "deployment", "roll", "--cascade=foreground", "--timeout=90s")
    assert not world.server.get("pods,replicasets", "-l", "app=roll")["items"]


def test_sets_of_every_kind_get_their_pods(world: worlds.World) -> None:
    for kind, name, spec in (
        ("StatefulSet", "state", {"replicas": 2, "serviceName": "state"}),
        ("DaemonSet", "daemon", {}),
        ("ReplicaSet", "replica", {"replicas": 2}),
    ):
        meta = {"name": name, "namespace": "default"}
        full = {**spec, "selector": {"matchLabels": {"app": name}}, "template": template(name)}
        world.apply([{"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": full}])
    world.wait("statefulset/state", "jsonpath={.status.readyReplicas}=2")
    world.wait("daemonset/daemon", f"jsonpath={{.status.numberReady}}={worlds.NODES}")
    world.wait("replicaset/replica", "jsonpath={.status.readyReplicas}=2")


def test_a_job_runs_and_counts_its_ready_pods(world: worlds.World) -> None:
    spec = {"parallelism": 2, "completions": 2, "template": template("work", restartPolicy="Never")}
    world.apply([{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work", "namespace": "default"}, "spec": spec}])
    world.wait("job/work", "jsonpath={.status.ready}=2")


def test_a_namespace_goes_with_all_that_it_holds(world: worlds.World) -> None:
    kubectl = world.server.kubectl
    kubectl("create", "namespace", "short")
    world.wait("serviceaccount/default", "create", namespace="short")
    world.wait("configmap/kube-root-ca.crt", "create", namespace="short") if world.server.name == servers.OURS else None
    kubectl("create", "deployment", "web", "-n", "short", "--image=registry.invalid/c:1")
    kubectl("rollout", "status", "-n", "short", "deployment/web", "--timeout=90s")
    kubectl("delete", "namespace", "short", "--timeout=90s")
    assert "short" not in kubectl("get", "namespaces", "-o", "name")
