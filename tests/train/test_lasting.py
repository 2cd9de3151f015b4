"""Annotations of survival: what they make of a JobSet, and what is refused of them."""

from typing import Any

import pytest

from lightship.kinds import PERSISTENT_VOLUME_CLAIMS
from lightship.meta import objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.train import lasting
from lightship.train.api import TRAIN_JOBS
from lightship.train.lasting import Bounds, Place, Restarts
from lightship.train.plugins import FRAMEWORK
from tests.train import make, site
from tests.train.site import Site

DISRUPTED = [{"type": "DisruptionTarget", "status": "True"}]


def annotated(said: dict[str, str], **spec: Any) -> Obj:
    """A TrainJob with annotations of ours, written without their domain."""
    job = make.job(**{"trainer": {"numNodes": 2}, **spec})
    job["metadata"]["annotations"] = {f"lightship.dev/{name}": value for name, value in said.items()}
    return job


def never(policy: Obj | None = None, **spec: Any) -> Obj:
    """A runtime like those that we ship."""
    runtime = make.runtime(policy=policy)
    job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    job["backoffLimit"] = 0
    job["template"]["spec"]["restartPolicy"] = "Never"
    runtime["spec"]["template"]["spec"].update(spec)
    return runtime


def build(job: Obj, runtime: Obj | None = None) -> tuple[Obj, list[Obj]]:
    """The JobSet, and what came beside it."""
    built = FRAMEWORK.build(make.stored(job), runtime or never())
    return built[-1].obj, [component.obj for component in built[:-1]]


def of_node(jobset: Obj) -> Obj:
    found: Obj = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    return found


def container(jobset: Obj) -> Obj:
    found: Obj = of_node(jobset)["template"]["spec"]["containers"][0]
    return found


def environment(jobset: Obj) -> dict[str, Any]:
    return {e["name"]: e.get("value") for e in container(jobset).get("env", ())}


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ({}, (None, None, None)),
        ({"max-restarts": "3"}, (Restarts(3), None, None)),
        ({"max-restarts": "3", "restart-scope": "rank"}, (Restarts(3, "rank"), None, None)),
        ({"max-restarts": "2", "restart-backoff-seconds": "5"}, (Restarts(2, "group", 5), None, None)),
        ({"checkpoint": "true"}, (Restarts(0), Place("mnist-checkpoint", made=True), None)),
        ({"checkpoint": "true", "checkpoint-size": "2Ti"}, (Restarts(0), Place("mnist-checkpoint", made=True, size="2Ti"), None)),
        ({"checkpoint": "false"}, (None, None, None)),
        ({"checkpoint": "team-disk"}, (Restarts(0), Place("team-disk"), None)),
        ({"checkpoint": "pvc://team-disk/runs/7/"}, (Restarts(0), Place("team-disk", "runs/7"), None)),
        ({"max-nodes": "4"}, (Restarts(3, "rank"), Place("mnist-checkpoint", made=True), Bounds(1, 4))),
        ({"min-nodes": "2", "max-nodes": "4", "nodes": "3"}, (Restarts(3, "rank"), Place("mnist-checkpoint", made=True), Bounds(2, 4, 3))),
        ({"max-nodes": "4", "checkpoint": "false", "max-restarts": "0"}, (Restarts(0, "rank"), None, Bounds(1, 4))),
        ({"max-restarts": "many", "checkpoint": "a/b", "max-nodes": "0"}, (None, None, None)),
    ],
)
def test_annotations_are_read(said: dict[str, str], want: tuple[Restarts | None, Place | None, Bounds | None]) -> None:
    job = annotated(said)
    assert (lasting.restarts(job), lasting.checkpoint(job), lasting.elastic(job)) == want


@pytest.mark.parametrize(("bounds", "want"), [(Bounds(1, 4), 4), (Bounds(1, 4, 2), 2), (Bounds(2, 4, 1), 2), (Bounds(1, 4, 9), 4)], ids=str)
def test_what_is_asked_for_stays_within_bounds(bounds: Bounds, want: int) -> None:
    assert bounds.wanted == want


def test_nothing_said_changes_nothing() -> None:
    jobset, others = build(annotated({}))
    assert "failurePolicy" not in jobset["spec"]
    assert of_node(jobset)["backoffLimit"] == 0
    assert not others


def test_the_group_is_restarted_by_its_jobset() -> None:
    jobset, _ = build(annotated({"max-restarts": "3"}))
    rule = {"name": "disrupted", "action": "RestartJobSetAndIgnoreMaxRestarts", "onJobFailureReasons": ["PodFailurePolicy"]}
    assert jobset["spec"]["failurePolicy"] == {"maxRestarts": 3, "rules": [{**rule, "targetReplicatedJobs": ["node"]}]}
    assert of_node(jobset)["podFailurePolicy"] == {"rules": [{"action": "FailJob", "onPodConditions": DISRUPTED}]}
    assert of_node(jobset)["backoffLimit"] == 0
    assert environment(jobset)["PET_NNODES"] == "2"
    assert "PET_RDZV_BACKEND" not in environment(jobset)


def test_a_runtimes_own_failure_policy_stays() -> None:
    policy = {"maxRestarts": 9, "rules": [{"action": "FailJobSet", "targetReplicatedJobs": ["node"]}]}
    jobset, _ = build(annotated({"max-restarts": "3"}), never(failurePolicy=policy))
    assert jobset["spec"]["failurePolicy"] == {**policy, "maxRestarts": 3}
    assert "podFailurePolicy" not in of_node(jobset)


def test_pods_that_restart_themselves_are_not_judged() -> None:
    jobset, _ = build(annotated({"max-restarts": "1"}), make.runtime())
    assert jobset["spec"]["failurePolicy"] == {"maxRestarts": 1}


def test_one_rank_is_replaced_by_its_job() -> None:
    jobset, _ = build(annotated({"max-restarts": "3", "restart-scope": "rank"}))
    node = of_node(jobset)
    assert (node["backoffLimitPerIndex"], node["maxFailedIndexes"], "backoffLimit" in node) == (3, 0, False)
    assert node["podFailurePolicy"] == {"rules": [{"action": "Ignore", "onPodConditions": DISRUPTED}]}
    assert "failurePolicy" not in jobset["spec"]
    found = environment(jobset)
    assert found["PET_NNODES"] == "2"
    assert (found["PET_RDZV_BACKEND"], found["PET_RDZV_ENDPOINT"]) == ("c10d", "mnist-node-0-0.mnist:29500")
    assert (found["PET_MAX_RESTARTS"], found["PET_RDZV_ID"]) == ("3", make.UID)
    order = list(found)
    assert order.index("PET_NODE_RANK") < order.index("PET_LOCAL_ADDR"), "variables refer to earlier ones only"


def test_one_rank_of_something_else_meets_nobody() -> None:
    jobset, _ = build(annotated({"max-restarts": "3", "restart-scope": "rank"}), never({"numNodes": 1, "jax": {}}))
    assert of_node(jobset)["backoffLimitPerIndex"] == 3
    assert "PET_RDZV_BACKEND" not in environment(jobset)


def test_a_checkpoint_of_the_jobs_own() -> None:
    jobset, others = build(annotated({"checkpoint": "true"}))
    (claim,) = others
    assert claim["metadata"]["ownerReferences"][0]["uid"] == make.UID
    assert claim["metadata"]["name"] == "mnist-checkpoint"
    assert claim["spec"] == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}}}
    assert of_node(jobset)["template"]["spec"]["volumes"] == [
        {"name": "checkpoint", "persistentVolumeClaim": {"claimName": "mnist-checkpoint"}}
    ]
    assert container(jobset)["volumeMounts"] == [{"name": "checkpoint", "mountPath": "/checkpoint"}]
    assert environment(jobset)["LIGHTSHIP_CHECKPOINT_DIR"] == "/checkpoint"
    assert container(jobset)["lifecycle"]["preStop"]["exec"]["command"][:2] == ["sh", "-c"]


def test_a_single_node_asks_for_a_claim_that_one_node_mounts() -> None:
    _, (claim,) = build(annotated({"checkpoint": "true", "checkpoint-size": "1Gi"}, trainer={}))
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def test_a_checkpoint_in_a_claim_that_is_there() -> None:
    jobset, others = build(annotated({"checkpoint": "pvc://disk/runs/7"}))
    assert not others
    assert container(jobset)["volumeMounts"] == [{"name": "checkpoint", "mountPath": "/checkpoint", "subPath": "runs/7"}]


def test_a_runtimes_own_hook_stays() -> None:
    runtime = never()
    hook = {"preStop": {"exec": {"command": ["bye"]}}}
    runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = hook
    jobset, _ = build(annotated({"checkpoint": "disk"}), runtime)
    assert container(jobset)["lifecycle"] == hook


@pytest.mark.parametrize(("nodes", "asked", "want"), [(2, "", 2), (2, "3", 3), (None, "", 2), (None, "9", 4)])
def test_an_elastic_job_starts_with_what_was_asked_for(nodes: int | None, asked: str, want: int) -> None:
    said = {"min-nodes": "2", "max-nodes": "4", **({"nodes": asked} if asked else {})}
    jobset, _ = build(annotated(said, trainer={} if nodes is None else {"numNodes": nodes}))
    node = of_node(jobset)
    assert (node["parallelism"], node["completions"], node["completionMode"]) == (want, want, "Indexed")
    found = environment(jobset)
    assert (found["PET_NNODES"], found["PET_RDZV_BACKEND"], found["PET_MAX_RESTARTS"]) == ("2:4", "c10d", "100")


def test_what_the_job_says_of_the_rendezvous_counts() -> None:
    mine = {"name": "PET_RDZV_CONF", "value": "last_call_timeout=1"}
    jobset, _ = build(annotated({"max-nodes": "2", "max-restarts": "7"}, trainer={"env": [mine]}))
    assert (environment(jobset)["PET_RDZV_CONF"], environment(jobset)["PET_MAX_RESTARTS"]) == ("last_call_timeout=1", "7")


@pytest.mark.parametrize(
    ("said", "spec", "want"),
    [
        ({"max-restarts": "-1"}, {}, 'annotations[lightship.dev/max-restarts]: Invalid value: "-1": must be a whole number, 0 or more'),
        ({"max-nodes": "0"}, {}, "must be a whole number, 1 or more"),
        ({"restart-scope": "all"}, {}, "must be group or rank"),
        ({"checkpoint": "Disk!"}, {}, "must be true, false, the name of a PersistentVolumeClaim, or pvc://claim/path"),
        ({"checkpoint": "disk/path"}, {}, "must be true, false, the name of a PersistentVolumeClaim, or pvc://claim/path"),
        ({"checkpoint": "pvc://disk/../x"}, {}, "must not lead out of the claim"),
        ({"checkpoint-size": "big"}, {}, "must be a quantity, such as 10Gi"),
        ({"min-nodes": "2"}, {}, "lightship.dev/max-nodes]: Required value"),
        ({"min-nodes": "3", "max-nodes": "2"}, {}, "must not be more than lightship.dev/max-nodes, which is 2"),
        ({"max-nodes": "2", "restart-scope": "group"}, {}, "must be rank or left out"),
        ({"max-nodes": "2"}, {"trainer": {"numNodes": 3}}, "spec.trainer.numNodes: Invalid value: 3: must be between 1 and 2"),
        ({"max-nodes": "2"}, {"runtime": "plain"}, "only PyTorch jobs with a spec.trainer can be elastic"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(said: dict[str, str], spec: Any, want: str) -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.runtime(name="plain", policy={"numNodes": 1})
        with pytest.raises(StatusError, match="denied") as refusal:
            await s.client.create(TRAIN_JOBS, annotated(said, **spec))
        assert want in refusal.value.message

    site.run(scenario)


def test_only_the_number_of_nodes_changes_while_a_job_runs() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.client.create(TRAIN_JOBS, annotated({"max-nodes": "4"}))
        await s.patch({"metadata": {"annotations": {"lightship.dev/nodes": "1"}}})
        for name, value in (("nodes", "none"), ("max-nodes", "5"), ("checkpoint", "disk")):
            with pytest.raises(StatusError, match=f"lightship.dev/{name}]"):
                await s.patch({"metadata": {"annotations": {f"lightship.dev/{name}": value}}})
        await s.patch({"spec": {"suspend": True}, "metadata": {"annotations": {"lightship.dev/max-nodes": "5"}}})

    site.run(scenario)


def test_the_claim_is_made_before_the_pods_and_once() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        job = await s.client.create(TRAIN_JOBS, annotated({"checkpoint": "true"}))
        async with s.controllers():
            await s.until(s.jobset)
            claim = await s.client.get(PERSISTENT_VOLUME_CLAIMS, "mnist-checkpoint", "default")
            assert objects.is_controlled_by(claim, job)
            await s.patch({"spec": {"suspend": True}})
            await s.settle()
            assert await s.client.get(PERSISTENT_VOLUME_CLAIMS, "mnist-checkpoint", "default") == claim

    site.run(scenario)
