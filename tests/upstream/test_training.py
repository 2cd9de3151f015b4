"""The JobSet and Trainer managers on our server and on the real one, as they are installed: definitions, webhooks, roles, configuration.

On ours their definitions are applied over the kinds that Lightship serves by itself, and its own controllers for them stay out.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from oracle import manifests, servers, worlds
from tests.upstream.marked import marks

pytestmark = marks("jobset", "trainer", files=("jobset", "trainer", "runtimes"))


@pytest.fixture(scope="module", params=[servers.OURS, servers.REAL])
def world(request: pytest.FixtureRequest) -> Iterator[worlds.World]:
    with worlds.world(request.param) as found:
        found.furnish(worlds.JOBSET, worlds.TRAINER)
        found.apply(manifests.read("runtimes"))
        yield found


def jobset(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "registry.invalid/c:1"}
    job = {"parallelism": 2, "completions": 2, "template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}
    replicated = [{"name": "workers", "replicas": 2, "template": {"spec": job}}]
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicatedJobs": replicated, **spec},
    }


def test_what_is_served_has_every_field_of_the_definitions_applied(world: worlds.World) -> None:
    for file in ("jobset", "trainer"):
        for definition in manifests.read(file):
            if definition["kind"] == manifests.DEFINITION:
                version = definition["spec"]["versions"][0]
                group, kind = definition["spec"]["group"], definition["spec"]["names"]["kind"]
                document = json.loads(world.server.kubectl("get", "--raw", f"/openapi/v3/apis/{group}/{version['name']}"))
                name = ".".join((*reversed(group.split(".")), version["name"], kind))
                served = document["components"]["schemas"][name]["properties"]
                wanted = version["schema"]["openAPIV3Schema"]["properties"]
                assert set(wanted["spec"]["properties"]) <= set(served["spec"]["properties"]), kind


def test_a_jobset_runs_all_its_jobs(world: worlds.World) -> None:
    world.apply([jobset("plain")])
    world.wait("jobset/plain", "jsonpath={.status.replicatedJobsStatus[0].ready}=2")
    pods = world.server.get("pods", "-l", "jobset.sigs.k8s.io/jobset-name=plain")["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 4
    assert world.server.get("service", "plain")["spec"]["clusterIP"] == "None"
    stored = world.server.get("jobset", "plain")["spec"]
    assert stored["replicatedJobs"][0]["template"]["spec"]["completionMode"] == "Indexed", "the mutating webhook sets it"
    assert stored["network"] == {"enableDNSHostnames": True, "publishNotReadyAddresses": True}


def test_a_jobset_that_its_webhook_refuses(world: worlds.World) -> None:
    broken = jobset("broken", successPolicy={"operator": "All", "targetReplicatedJobs": ["no-such-job"]})
    with pytest.raises(RuntimeError, match=r"invalid replicatedJob name 'no-such-job' does not appear in \.spec\.ReplicatedJobs"):
        world.apply([broken])


def test_a_jobset_suspends_and_resumes(world: worlds.World) -> None:
    world.apply([jobset("paused", suspend=True)])
    world.wait("jobset/paused", "condition=Suspended")
    assert not world.server.get("pods", "-l", "jobset.sigs.k8s.io/jobset-name=paused")["items"]
    world.server.kubectl("patch", "jobset", "paused", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    world.wait("jobset/paused", "jsonpath={.status.replicatedJobsStatus[0].ready}=2")


def test_a_trainjob_runs_on_its_nodes(world: worlds.World) -> None:
    spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 3}}
    meta = {"name": "train", "namespace": "default"}
    world.apply([{"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": meta, "spec": spec}])
    world.wait("jobset/train", "create")
    world.wait("jobset/train", "jsonpath={.status.replicatedJobsStatus[0].ready}=1")
    world.wait("trainjob/train", "jsonpath={.status.jobsStatus[0].ready}=1")
    pods = world.server.get("pods", "-l", "jobset.sigs.k8s.io/jobset-name=train")["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3
    names = {entry["name"] for entry in pods[0]["spec"]["containers"][0]["env"]}
    assert {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"} <= names


def test_a_trainjob_of_no_runtime_is_refused(world: worlds.World) -> None:
    meta = {"name": "nowhere", "namespace": "default"}
    spec = {"runtimeRef": {"name": "no-such-runtime"}}
    with pytest.raises(RuntimeError, match=r'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request'):
        world.apply([{"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": meta, "spec": spec}])


def test_a_deleted_trainjob_takes_everything_along(world: worlds.World) -> None:
    spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 1}}
    meta = {"name": "gone", "namespace": "default"}
    world.apply([{"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": meta, "spec": spec}])
    world.wait("trainjob/gone", "jsonpath={.status.jobsStatus[0].ready}=1")
    world.server.kubectl("delete", "trainjob", "gone", "--timeout=90s")
    world.wait("jobset/gone", "delete")
    world.wait("jobs,pods -l jobset.sigs.k8s.io/jobset-name=gone", "delete")
    assert not world.dead()
