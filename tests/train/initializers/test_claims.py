"""`pvc://` of initializers: what the plugin adds to their pods, and to nobody else's."""

from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.train.plugins import FRAMEWORK
from tests.train import make
from tests.train.test_build import build, pod_job


def runtime() -> Obj:
    jobs = [make.initializer("dataset-initializer"), make.initializer("model-initializer"), make.replicated_job("node", step="trainer")]
    return make.runtime(policy={"numNodes": 1}, jobs=jobs)


def pod(jobset: Obj, step: str) -> Obj:
    found: Obj = pod_job(jobset, step)["template"]["spec"]["template"]["spec"]
    return found


def job(**initializer: Any) -> Obj:
    return make.job(trainer={}, initializer=initializer)


def test_the_claim_is_mounted_read_only_where_it_is_read() -> None:
    asked = {"storageUri": "pvc://shared.data/sets/one"}
    jobset = build(job(dataset=asked, model={"storageUri": "hf://org/name"}), runtime())
    dataset = pod(jobset, "dataset-initializer")
    assert dataset["volumes"] == [
        {"name": "lightship-claim", "persistentVolumeClaim": {"claimName": "shared.data", "readOnly": True}},
    ]
    (container,) = dataset["containers"]
    assert {"name": "lightship-claim", "mountPath": "/mnt/lightship/claim", "readOnly": True} in container["volumeMounts"]
    assert {e["name"]: e["value"] for e in container["env"]} == {
        "LIGHTSHIP_CLAIM": "/mnt/lightship/claim",
        "STORAGE_URI": "pvc://shared.data/sets/one",
    }
    assert "volumes" not in pod(jobset, "model-initializer")
    assert "volumes" not in pod(jobset, "node")


def test_a_runtime_may_say_so_itself() -> None:
    found = runtime()
    container = found["spec"]["template"]["spec"]["replicatedJobs"][1]["template"]["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "STORAGE_URI", "value": "pvc://models/small"}]
    assert pod(build(job(), found), "model-initializer")["volumes"][0]["persistentVolumeClaim"]["claimName"] == "models"
    elsewhere = build(job(model={"storageUri": "s3://bucket/small"}), found)
    assert "volumes" not in pod(elsewhere, "model-initializer"), "the TrainJob's word counts"


@pytest.mark.parametrize("uri", ["pvc:///path", "pvc://Not_A_Name/path"])
def test_what_names_no_claim_is_refused(uri: str) -> None:
    (cause,) = FRAMEWORK.validate(make.stored(job(dataset={"storageUri": uri})), runtime())
    assert cause.field == "spec.initializer.dataset.storageUri"
    assert "must name a claim, pvc://claim/path" in cause.text()
