"""The tables of upstream's unit tests of Trainer, on our plugins: TrainJobs and runtimes in, objects or refusals out.

`cases/tables.jsonl` holds them (`tools/make_trainer_cases.py`). Where upstream's tables begin behind its first step, with the runtime read
and merged (its `runtime.Info`), a runtime is put together here that reads as that, and the JobSet is looked at instead of what
upstream's next step would see. Tables of functions that only upstream has (indexes, wrappers, registries) are left out.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from lightship.builtin.api import JOB_SETS
from lightship.kinds import PRIORITY_CLASSES
from lightship.meta import times
from lightship.meta.objects import Obj, copy
from lightship.train import snapshot
from lightship.train.admission import check_replicated_jobs, judge, stamp_patches
from lightship.train.errors import PlanError, SnapshotError
from lightship.train.plugins import FRAMEWORK, curve
from tests.train import site
from tests.train.site import Site

ROWS: list[Obj] = [json.loads(line) for line in (Path(__file__).parent / "cases" / "tables.jsonl").read_text().splitlines()]
ANCESTOR = "trainer.kubeflow.org/trainjob-ancestor-step"
SINCE_OPEN_MPI_5 = "PRTE_MCA_"
"""Variables that say to Open MPI 5 what upstream says to Open MPI 4 only: we add them, upstream has not."""
BY_OTHER_STEPS = ("resources", "parallelism", "completions", "blockOwnerDeletion", "controller", "uid", "data")
LISTS = {"env": "Env", "ports": "Ports", "volumeMounts": "VolumeMounts"}


def rows(*tests: str) -> list[Any]:
    found = [row for row in ROWS if row["test"] in tests]
    return [pytest.param(row["given"], id=f"{row['package']}: {row['case']}") for row in found]


@pytest.mark.parametrize("given", rows("TestTrainingRuntimeNewObjects", "TestClusterTrainingRuntimeNewObjects"))
def test_objects_of_a_trainjob(given: Obj) -> None:
    runtime = given.get("trainingRuntime") or given.get("clusterTrainingRuntime")
    if runtime is None:
        assert "not found" in given["wantError"]
        return  # which is the controller's matter
    assert built(given["trainJob"], runtime) == wanted(given["wantObjs"])


@pytest.mark.parametrize("given", rows("TestRunComponentBuilderPlugins", "TestBuild"))
def test_objects_behind_the_first_step(given: Obj) -> None:
    """What pods ask for is not compared: upstream's Info says it twice there, and not alike."""
    info = given.get("runtimeInfo") or given.get("info")
    if not info or not given.get("trainJob"):
        return
    got, want = built(given["trainJob"], runtime_of(info)), wanted(given["wantObjs"])
    assert without(got, BY_OTHER_STEPS) == without(want, BY_OTHER_STEPS)


@pytest.mark.parametrize(
    "given",
    rows(
        *("TestTorchEnforceMLPolicy", "TestJAXEnforceMLPolicy", "TestXGBoostEnforceMLPolicy", "TestPlainML", "TestMPI", "TestFlux"),
        *("TestCoScheduling", "TestVolcano", "TestRunEnforceMLPolicyPlugins", "TestRunEnforcePodGroupPolicyPlugins"),
    ),
)
def test_pods_that_policies_ask_for(given: Obj) -> None:
    info = given.get("info") or given.get("runtimeInfo")
    want = given.get("wantInfo") or given.get("expectInfo") or given.get("wantRuntimeInfo")
    if not info or not want or not given.get("trainJob"):
        return  # functions that are called with nothing, which ours never are
    job, runtime = trainjob(given["trainJob"]), runtime_of(info)
    if refusal := given.get("wantMLPolicyError"):
        with pytest.raises(PlanError) as refused:
            FRAMEWORK.build(job, runtime)
        assert str(refused.value) == refusal
        return
    objs = {component.obj["kind"]: component.obj for component in FRAMEWORK.build(job, runtime)}
    if "flux" in (info["RuntimePolicy"].get("MLPolicySource") or {}):
        want["TemplateSpec"]["PodSets"] = [without(pods, ("Count",)) for pods in want["TemplateSpec"]["PodSets"]]  # PlainML counts for Flux
    for pods in want["TemplateSpec"]["PodSets"]:
        assert pods_of(objs["JobSet"], pods) == pods_wanted(pods, want.get("Scheduler") or {}, job["spec"].get("trainer") or {})
    for obj in given.get("wantObjs") or given.get("expectObjs") or ():
        if obj["kind"] != "PodGroup" or info["TemplateSpec"]["PodSets"]:  # Info names hosts as it likes: they are not compared
            assert without(plain(objs[obj["kind"]]), ("data",)) == without(plain(obj), ("data",))


@pytest.mark.parametrize("given", rows("TestValidate", "TestTorchValidate", "TestXGBoostValidate"))
def test_refusals(given: Obj) -> None:
    info, new = given.get("info") or given.get("runtimeInfo"), given.get("newObj") or given.get("trainJob")
    if not info or not new or given.get("clientErr"):
        return
    job = trainjob(new)
    old = trainjob(given["oldObj"]) if given.get("oldObj") else None

    async def scenario(s: Site) -> None:
        for obj in given.get("objs") or ():
            await s.client.create(PRIORITY_CLASSES, obj)
        if given.get("jobSet"):
            await put_jobset(s, given["jobSet"])
        causes = await judge(s.client, FRAMEWORK, job, old, runtime_of(info))
        assert [c.text() for c in causes] == [w["text"] for w in given.get("wantError") or given.get("wantErrs") or ()]

    site.run(scenario)


@pytest.mark.parametrize("given", rows("TestValidateReplicatedJobs"))
def test_refusals_of_runtimes(given: Obj) -> None:
    """Upstream's table says where, not why."""
    runtime = {"spec": {"template": {"spec": {"replicatedJobs": given["rJobs"]}}}}
    assert [c.field for c in check_replicated_jobs(runtime)] == [w["field"] for w in given["wantError"]]


FAKE_NOW = "2025-06-15T12:00:00Z"


@pytest.mark.parametrize("test", sorted({row["case"] for row in ROWS if row["test"] == "TestDefault"}))
def test_times_of_patches(test: str) -> None:
    """Each case is there twice: as the test begins, and as upstream's webhook has left it."""
    before, after = (row["given"] for row in ROWS if row["test"] == "TestDefault" and row["case"] == test)
    job = copy(before["newObj"])
    stamp_patches(job, before.get("oldObj"), times.parse(FAKE_NOW))
    assert job == after["newObj"]


@pytest.mark.parametrize("given", rows("TestGetRuntimeSnapshot"))
def test_snapshots_that_are_read(given: Obj) -> None:
    if given.get("configMap") is None:
        return  # there is none to read
    if want := given.get("wantError"):
        with pytest.raises(SnapshotError) as refused:
            snapshot.read(trainjob(given["trainJob"]), given["configMap"])
        assert str(refused.value).startswith(want)
    else:
        assert plain(snapshot.read(trainjob(given["trainJob"]), given["configMap"])) == plain(given["wantRuntimeObj"])


def test_a_curve_certificate_is_that_of_its_uid() -> None:
    lines = curve.certificate("job", "uid-123").splitlines()
    assert lines == curve.certificate("job", "uid-123").splitlines()
    assert lines[3:6] == ["metadata", '    name = "job"', "curve"]
    assert [len(line.split('"')[1]) for line in lines[6:]] == [40, 40]
    assert curve.z85(bytes.fromhex("864fd26fb559f75b")) == "HelloWorld", "of ZeroMQ's RFC 32"


def trainjob(given: Obj) -> Obj:
    """A TrainJob as the API server would hand it out."""
    job: Obj = copy(given)
    job |= {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob"}
    job.setdefault("metadata", {"name": "job"}).setdefault("namespace", "default")
    job["metadata"].setdefault("uid", "")
    job.setdefault("spec", {}).setdefault("runtimeRef", {})
    return job


def runtime_of(info: Obj) -> Obj:
    """A runtime that upstream would read as this Info."""
    template = info["TemplateSpec"]
    spec: Obj = copy(template.get("ObjApply") or {})
    jobs: list[Obj] = spec.setdefault("replicatedJobs", [])
    for i, nameless in enumerate(jobs):
        nameless.setdefault("name", f"job{i}")
    policy: Obj = copy(info["RuntimePolicy"].get("MLPolicySource") or {})
    for pods in template["PodSets"]:
        job: Obj | None = next((j for j in jobs if j["name"] == pods["Name"]), None)
        if job is None:
            jobs.append(job := {"name": pods["Name"]})
        found = job.setdefault("template", {})
        if pods.get("Ancestor"):
            found.setdefault("metadata", {}).setdefault("labels", {})[ANCESTOR] = pods["Ancestor"]
        if pods.get("Count") is not None:
            found.setdefault("spec", {})["parallelism"] = pods["Count"]
            if pods.get("Ancestor") == "trainer" and "MLPolicySource" in info["RuntimePolicy"]:
                policy["numNodes"] = pods["Count"]
        fill(found.setdefault("spec", {}).setdefault("template", {}).setdefault("spec", {}), pods)
    runtime: Obj = {"metadata": {"name": "runtime"}, "spec": {"template": {"spec": spec}}}
    runtime["spec"]["template"]["metadata"] = {"labels": info.get("Labels") or {}, "annotations": info.get("Annotations") or {}}
    if "MLPolicySource" in info["RuntimePolicy"]:
        runtime["spec"]["mlPolicy"] = policy
    if info["RuntimePolicy"].get("PodGroupPolicy"):
        runtime["spec"]["podGroupPolicy"] = info["RuntimePolicy"]["PodGroupPolicy"]
    return runtime


def fill(pod: Obj, pods: Obj) -> None:
    """The containers of a pod set, into those that the template has already."""
    for kind, listed in (("containers", pods["Containers"]), ("initContainers", pods["InitContainers"])):
        for i, container in enumerate(listed):
            there = pod.setdefault(kind, [])
            if i == len(there):
                there.append({"name": container["Name"]})
            for field, name in LISTS.items():
                known = there[i].get(field) or []
                if container[name]:
                    there[i][field] = [*known, *(item for item in container[name] if item not in known)]
            there[i] |= {field: container[field.title()] for field in ("image", "command") if container[field.title()]}
    if pods["Volumes"]:
        pod["volumes"] = pods["Volumes"]
    if pods.get("SinglePodRequests"):
        pod.setdefault("containers", [{"name": "any"}])[0]["resources"] = {"requests": pods["SinglePodRequests"]}


def built(job: Obj, runtime: Obj) -> dict[str, Obj]:
    """Objects by their kind."""
    return {component.obj["kind"]: without_data(plain(component.obj)) for component in FRAMEWORK.build(trainjob(job), runtime)}


def wanted(objs: list[Obj]) -> dict[str, Obj]:
    listed = ({"apiVersion": JOB_SETS.api_version, "kind": "JobSet", **obj} for obj in objs)
    return {obj["kind"]: without_data(plain(obj)) for obj in listed}


def pods_of(jobset: Obj, pods: Obj) -> Obj:
    """What there is to compare of a replicated job's pods."""
    job = next(j for j in jobset["spec"]["replicatedJobs"] if j["name"] == pods["Name"])
    template = job["template"]["spec"]["template"]
    listed = [*template["spec"].get("containers", ()), *template["spec"].get("initContainers", ())]
    return {
        "count": job["template"]["spec"]["parallelism"] if "Count" in pods else None,
        "containers": {
            c["name"]: {field: plain({field: c.get(field) or []})[field] for field in LISTS} for c in listed if c["name"] != "any"
        },
        "volumes": plain({"volumes": template["spec"].get("volumes", [])})["volumes"],
        "labels": template.get("metadata", {}).get("labels", {}),
        "annotations": template.get("metadata", {}).get("annotations", {}),
    }


def pods_wanted(pods: Obj, scheduler: Obj, trainer: Obj) -> Obj:
    """The same of upstream's pod set; what the TrainJob says of its trainer comes in a later step there."""
    containers: Obj = {}
    for container in (*pods["Containers"], *pods["InitContainers"]):
        found = containers[container["Name"]] = {field: container[name] for field, name in LISTS.items()}
        if pods.get("Ancestor") == "trainer" and container["Name"] == "node":
            said = {e["name"]: e for e in (*found["env"], *trainer.get("env", ()))}
            found["env"] = list(said.values())
        containers[container["Name"]] = {field: plain({field: found[field]})[field] for field in LISTS}
    return {
        "count": pods.get("Count"),
        "containers": containers,
        "volumes": plain({"volumes": pods["Volumes"]})["volumes"],
        "labels": scheduler.get("PodLabels") or {},
        "annotations": scheduler.get("PodAnnotations") or {},
    }


def plain(value: Any) -> Any:
    """Without what Go writes of things that are not there; variables by name, as upstream compares them."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: plain(item) for key, item in value.items() if item is not None}
    if kept.get("env"):
        kept["env"] = sorted((e for e in kept["env"] if not e["name"].startswith(SINCE_OPEN_MPI_5)), key=lambda e: e["name"])
    for field in ("volumes", "volumeMounts"):
        if kept.get(field):
            kept[field] = sorted(kept[field], key=lambda item: (item["name"], item.get("mountPath", "")))
    if kept.get("suspend") is False:
        del kept["suspend"]
    kept.pop("status", None)
    return {
        key: item for key, item in kept.items() if item not in ({}, []) or key in ("env", "emptyDir", "ports", "volumes", "volumeMounts")
    }


def without(value: Any, fields: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [without(item, fields) for item in value]
    return {key: without(item, fields) for key, item in value.items() if key not in fields} if isinstance(value, dict) else value


def without_data(obj: Obj) -> Obj:
    """Keys are made up when they are created, scripts are upstream's or ours."""
    if obj["kind"] == "Secret" or obj["metadata"]["name"].endswith("-flux-entrypoint"):
        return {key: item for key, item in obj.items() if key != "data"}
    return obj


async def put_jobset(s: Site, jobset: Obj) -> None:
    template = {"replicatedJobs": [{"name": "node", "template": {"spec": {"template": {"spec": {"containers": [{"name": "node"}]}}}}}]}
    made = await s.client.create(JOB_SETS, {"metadata": jobset["metadata"], "spec": template})
    await s.client.patch_status(JOB_SETS, made, jobset.get("status") or {})
