"""Bad input meets a whole platform: jobs too big, functions that raise, images nobody knows. Each says what is wrong and what to do."""

import sys
from typing import Any

import pytest

from .kit import EVENTS, JOBS, PODS, Api, Home, Obj, Site

pytestmark = pytest.mark.slow
TRAIN_JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/default/trainjobs"
RUNTIMES = "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes"
# The interpreter's own image: an environment is not made for it, and no framework is needed.
IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}"


def plain_runtime(api: Api, name: str) -> None:
    """A runtime of one plain Python container, made once."""
    container = {"name": "node", "image": IMAGE}
    # One try: what fails has failed.
    template = {"spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}
    job = {"name": "node", "template": {"metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}}, **template}}
    spec = {"mlPolicy": {"numNodes": 1}, "template": {"spec": {"replicatedJobs": [job]}}}
    body = {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": name, "labels": {"trainer.kubeflow.org/framework": "plain"}},
        "spec": spec,
    }
    assert api.call("POST", RUNTIMES, body).code in (201, 409)


def train_job(name: str, runtime: str, **trainer: Any) -> Obj:
    spec = {"runtimeRef": {"name": runtime}, "trainer": trainer}
    return {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": name}, "spec": spec}


def condition(obj: Obj, type: str) -> Obj:
    return next((c for c in obj.get("status", {}).get("conditions") or [] if c["type"] == type), {})


def test_a_function_that_raises(site: Site) -> None:
    api = site.api
    plain_runtime(api, "plain")
    script = "def train():\n    loss = [1.0]\n    raise ValueError(f'the loss is {loss[0]}')\ntrain()\n"
    api.create(TRAIN_JOBS, train_job("raises", "plain", command=["python", "-c", script], numNodes=1))
    job = api.until(f"{TRAIN_JOBS}/raises", lambda job: condition(job, "Failed"), "fails")
    assert condition(job, "Failed")["status"] == "True"
    pods = [pod for pod in api.get(PODS)["items"] if pod["metadata"]["name"].startswith("raises-")]
    log = api.log(pods[0]["metadata"]["name"])
    assert "Traceback (most recent call last):" in log
    assert log.rstrip().endswith("ValueError: the loss is 1.0")
    ended = pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    assert pods[0]["status"]["phase"] == "Failed"
    assert "ValueError: the loss is 1.0" in site.home.call("train", "logs", "raises").out
    api.delete(f"{TRAIN_JOBS}/raises")


@pytest.mark.parametrize(("resource", "amount"), [("cpu", "1000"), ("memory", "1Pi"), ("nvidia.com/gpu", "64")])
def test_a_job_that_is_too_big_for_the_machine(site: Site, resource: str, amount: str) -> None:
    api, name = site.api, "big-" + resource.rpartition("/")[2]
    plain_runtime(api, "plain")
    size = {"requests": {resource: amount}, "limits": {resource: amount}}
    api.create(TRAIN_JOBS, train_job(name, "plain", command=["true"], resourcesPerNode=size))

    def told(events: Obj) -> list[Obj]:
        return [e for e in events["items"] if e["reason"] == "FailedScheduling" and e["involvedObject"]["name"].startswith(name)]

    event = told(api.until(EVENTS, told, "FailedScheduling"))[0]
    assert event["type"] == "Warning"
    assert event["message"].startswith(f"0/1 nodes are available: 1 Insufficient {resource}")
    pod = api.get(f"{PODS}/{event['involvedObject']['name']}")
    assert pod["status"]["phase"] == "Pending"
    scheduled = condition(pod, "PodScheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    assert f"Insufficient {resource}" in scheduled["message"]
    assert not condition(api.get(f"{TRAIN_JOBS}/{name}"), "Failed")
    api.delete(f"{TRAIN_JOBS}/{name}")
    api.until(PODS, lambda pods: not [p for p in pods["items"] if p["metadata"]["name"].startswith(name)], "its pods are gone")


def test_an_image_that_nobody_knows(site: Site) -> None:
    api = site.api
    api.run("strange", "true", image="registry.example.com/team/strange:v1")
    reasons = ("ErrImagePull", "ImagePullBackOff")

    def waits(pod: Obj) -> bool:
        return any((c.get("state", {}).get("waiting") or {}).get("reason") in reasons for c in pod["status"].get("containerStatuses") or [])

    pod = api.until(f"{PODS}/strange", waits, "ErrImagePull")
    message = pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
    assert "registry.example.com/team/strange:v1" in message
    assert "lightship images" in message or "images.json" in message, "how to map it"
    assert pod["status"]["phase"] == "Pending"
    shown = site.home.call("get", "pods", "strange").out
    assert any(reason in shown for reason in reasons)
    api.delete(f"{PODS}/strange?gracePeriodSeconds=0")


def job(**spec: Any) -> Obj:
    return {"metadata": {"name": "x"}, "spec": spec}


def bad_train_job(**spec: Any) -> Obj:
    return {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", **job(**spec)}


CONTAINER = {"name": "c", "image": "i"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (PODS, {"spec": {"containers": [CONTAINER]}}, "metadata.name"),
        (PODS, job(containers=[]), "spec.containers"),
        (PODS, job(containers=[{**CONTAINER, "name": "C_"}]), "spec.containers[0].name"),
        (JOBS, job(template={"spec": {"containers": [CONTAINER]}}), "spec.template.spec.restartPolicy"),
        (TRAIN_JOBS, bad_train_job(), "spec.runtimeRef"),
        (TRAIN_JOBS, bad_train_job(runtimeRef={"name": "plain"}, trainer={"numNodes": "two"}), "spec.trainer.numNodes"),
    ],
    ids=["no name", "no containers", "bad name", "no restart policy", "no runtime", "wrong type"],
)
def test_refusals_name_the_field(site: Site, path: str, body: Obj, field: str) -> None:
    answer = site.api.call("POST", path, body)
    assert (answer.code, answer.body["kind"], answer.body["reason"]) == (422, "Status", "Invalid"), answer
    assert field in [cause["field"] for cause in answer.body["details"]["causes"]], answer.body["details"]


def nested(depth: int) -> bytes:
    return b'{"metadata": {"name": "deep"}, "x": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b'{"metadata": 3}', b"[" * 20_000, nested(900), nested(5000)]
)
def test_bodies_that_are_no_objects(site: Site, raw: bytes) -> None:
    answer = site.api.send("POST", PODS, raw)
    assert answer.code in (400, 422), answer
    assert answer.body["kind"] == "Status"
    assert answer.body["message"]


def test_a_train_job_whose_runtime_is_not_there(site: Site) -> None:
    answer = site.api.call("POST", TRAIN_JOBS, train_job("lost", "no-such-runtime", command=["true"]))
    assert answer.code in (403, 422)
    assert "no-such-runtime" in answer.body["message"]


def test_folders_of_the_machine_are_mounted_only_where_that_is_allowed(site: Site, home: Home) -> None:
    (home.path / "shared").mkdir()
    (home.path / "shared" / "file").write_text("from the host\n")
    spec = {"volumes": [{"name": "v", "hostPath": {"path": str(home.path / "shared")}}]}
    container = {"volumeMounts": [{"name": "v", "mountPath": "/shared"}]}
    site.api.run("mounts", "cat ${LIGHTSHIP_POD_ROOT}/shared/file", container=container, **spec)
    site.api.until(EVENTS, lambda events: "--allow-host-path" in str(events), "the way out")
    assert site.api.get(f"{PODS}/mounts")["status"]["phase"] == "Pending"
    site.api.delete(f"{PODS}/mounts?gracePeriodSeconds=0")
    allowed = home.up("--allow-host-path").api
    allowed.run("mounts", "cat ${LIGHTSHIP_POD_ROOT}/shared/file", container=container, **spec)
    allowed.phase("mounts", "Succeeded")
    assert allowed.log("mounts") == "from the host\n"
