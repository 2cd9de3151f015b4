"""Requests and limits of pods, as the kubelet turns them into what the kernel is told."""

from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.node.pods import resources

GIB = 2**30


def pod(*containers: Obj, **spec: Any) -> Obj:
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}}


def container(requests: Obj | None = None, limits: Obj | None = None, **extra: Any) -> Obj:
    return {"name": "c", "resources": {"requests": requests or {}, "limits": limits or {}}, **extra}


def test_a_pod_may_use_what_its_containers_may() -> None:
    found = resources.of_pod(
        pod(container({"cpu": "500m"}, {"cpu": "1", "memory": "1Gi"}), container({}, {"cpu": "250m", "memory": "512Mi"}))
    )
    assert (found.cpu_request, found.cpu, found.memory) == (0.5, 1.25, 1.5 * GIB)


def test_one_container_without_a_limit_leaves_the_pod_without() -> None:
    found = resources.of_pod(pod(container({}, {"cpu": "1", "memory": "1Gi"}), container({"cpu": "1"}, {"cpu": "1"})))
    assert (found.cpu_request, found.cpu, found.memory) == (1.0, 2.0, None)


def test_a_pod_may_be_limited_as_a_whole() -> None:
    whole = pod(
        container(), container({}, {"memory": "1Gi"}), resources={"requests": {"cpu": "2"}, "limits": {"cpu": "3", "memory": "4Gi"}}
    )
    found = resources.of_pod(whole)
    assert (found.cpu_request, found.cpu, found.memory) == (2.0, 3.0, 4 * GIB)
    one, other = (resources.of_container(whole, c, 16 * GIB) for c in whole["spec"]["containers"])
    assert (one.cpu, one.memory, other.memory) == (3.0, 4 * GIB, GIB)


def test_a_container_without_a_request_asks_for_its_limit() -> None:
    found = resources.of_container(pod(), container({}, {"cpu": "2"}), 16 * GIB)
    assert (found.cpu_request, found.cpu, found.memory, found.pids) == (2.0, 2.0, None, None)


BURSTABLE = container({"memory": "4Gi"})
SIDECAR = container({"memory": "1Gi"}, restartPolicy="Always")


@pytest.mark.parametrize(
    ("given", "of", "want"),
    [
        (pod(container()), container(), 1000),
        (pod(container({}, {"cpu": "1", "memory": "1Gi"})), container(), -997),
        (pod(container(), priorityClassName="system-node-critical"), container(), -997),
        (pod(BURSTABLE), BURSTABLE, 750),
        (pod(container({"cpu": "1"})), container({"cpu": "1"}), 999),
        (pod(container({"memory": "16Gi"})), container({"memory": "16Gi"}), 3),
        (pod(BURSTABLE, initContainers=[SIDECAR]), SIDECAR, 750),
        (pod(BURSTABLE, BURSTABLE, resources={"requests": {"memory": "12Gi"}}), BURSTABLE, 625),
    ],
)
def test_who_is_killed_first_when_the_machine_runs_out_of_memory(given: Obj, of: Obj, want: int) -> None:
    assert resources.oom_score(given, of, 16 * GIB) == want
