"""JobSets on our server, with its rules and every gate: single restarts, elastic Jobs, claims, racks of their own, restarts in place."""

import pytest

from lightship.builtin.api import JOB_SETS
from lightship.builtin.jobset import admission, gates, terms
from lightship.kinds import JOBS, NODES, PERSISTENT_VOLUME_CLAIMS, PODS
from lightship.meta import conditions, errors, objects
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.rest import User
from tests.builtin import make
from tests.builtin.site import Site, run

ALL = gates.Gates(in_place_restart=True, restart_job=True, elastic=True)
HINT = "RestartJob is off by default: `lightship up --feature-gates RestartJob=true` switches it on"
RACKS = {terms.EXCLUSIVE_TOPOLOGY: "rack"}


def test_gates_are_read_as_upstream_reads_them() -> None:
    assert gates.parse("") == gates.NONE
    assert gates.parse("RestartJob=true, ElasticJobSet=1,InPlaceRestart=F") == gates.Gates(restart_job=True, elastic=True)


@pytest.mark.parametrize(
    ("text", "want"),
    [("Restart=true", 'no feature gate is called "Restart": there are InPlaceRestart, RestartJob'), ("RestartJob", 'cannot be ""')],
)
def test_gates_that_are_none(text: str, want: str) -> None:
    with pytest.raises(ValueError, match=want):
        gates.parse(text)


async def refused(here: Site, jobset: Obj) -> errors.StatusError:
    with pytest.raises(errors.StatusError) as caught:
        await here.client.create(JOB_SETS, jobset)
    return caught.value


def test_what_is_off_is_refused_as_a_webhook_refuses() -> None:
    async def work(here: Site) -> None:
        single = make.jobset(failurePolicy={"rules": [{"name": "one", "action": "RestartJob"}]})
        error = await refused(here, single)
        assert (error.code, error.reason) == (422, "Invalid")
        assert error.message.startswith(
            'admission webhook "vjobset.kb.io" denied the request: JobSet.jobset.x-k8s.io "js" is invalid: <nil>'
        )
        assert "when RestartJob feature gate is disabled" in error.message
        assert "InPlaceRestart feature gate" in str(await refused(here, make.jobset(failurePolicy={"restartStrategy": "InPlaceRestart"})))
        await here.client.create(JOB_SETS, make.jobset())
        larger = {"spec": {"replicatedJobs": [make.replicated(pods=3)]}}
        with pytest.raises(errors.StatusError, match="field is immutable"):
            await here.client.patch(JOB_SETS, "js", larger, "default")

    run(work)


def test_who_is_refused_is_told_how_to_switch_it_on() -> None:
    async def work(here: Site) -> None:
        rules, _ = admission.admission(here.client)
        assert rules.validate is not None
        wanted = make.jobset(failurePolicy={"rules": [{"name": "one", "action": "RestartJob"}]})
        told = AdmissionRequest(
            operation="CREATE", resource=JOB_SETS, subresource="", namespace="default", name="js", obj=wanted, old=None, user=User("u")
        )
        with pytest.raises(errors.StatusError) as caught:
            await rules.validate(told)
        assert "lightship" not in caught.value.message
        assert told.warnings == [HINT]
        assert gates.hints(["a replicated job is too large"]) == []

    run(work)


def test_one_job_starts_again_and_the_others_go_on() -> None:
    async def work(here: Site) -> None:
        policy = {"maxRestarts": 1, "rules": [{"name": "one", "action": "RestartJob"}]}
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(replicas=2), failurePolicy=policy))
        first = {objects.labels(pod)[terms.JOB_INDEX]: pod for pod in await here.until_pods(2)}
        await here.move(first["1"], "Failed")

        async def again() -> Obj | None:
            found = [pod for pod in await here.pods(labels=f"{terms.JOB_RESTART_ATTEMPT}=1") if not objects.is_deleting(pod)]
            return found[0] if found else None

        new = await here.until(again)
        assert objects.labels(new)[terms.JOB_INDEX] == "1"
        assert objects.uid(first["0"]) in {objects.uid(pod) for pod in await here.pods()}, "nobody has touched it"
        (entry,) = objects.status(await here.client.get(JOB_SETS, "js", "default"))["replicatedJobsStatus"]
        assert (entry["jobRestarts"], entry["jobRestartsCountTowardsMax"]) == ([0, 1], [0, 1])
        await here.move(new, "Failed")
        failed = await here.until_condition(JOB_SETS, "js", "Failed")
        assert (conditions.get(failed, "Failed") or {})["reason"] == "ReachedMaxRestarts"

    run(work, gates=ALL)


def test_jobs_grow_and_shrink() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOB_SETS, make.jobset("js", make.replicated(pods=1)))
        await here.until_pods(1)

        async def resize(parallelism: int, completions: int) -> None:
            new = objects.copy(await here.client.get(JOB_SETS, "js", "default"))
            new["spec"]["replicatedJobs"][0]["template"]["spec"] |= {"parallelism": parallelism, "completions": completions}
            await here.client.update(JOB_SETS, new)

        for size in (3, 2):
            await resize(size, size)

            async def so_many(size: int = size) -> bool:
                spec = objects.spec(await here.job("js-node-0"))
                return bool(spec["parallelism"] == spec["completions"] == size)

            await here.until(so_many)
        with pytest.raises(errors.StatusError, match="completions must be equal to parallelism for Elastic Indexed Jobs"):
            await resize(2, 3)

    run(work, gates=ALL)


def test_claims_are_made_once_and_mounted_by_all() -> None:
    async def work(here: Site) -> None:
        template = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
        job = make.replicated(replicas=2)
        job["template"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        await here.client.create(JOB_SETS, make.jobset("js", job, volumeClaimPolicies=[{"templates": [template]}]))
        for pod in await here.until_pods(2):
            assert {"name": "data", "persistentVolumeClaim": {"claimName": "data-js"}} in pod["spec"]["volumes"]
        claim = await here.client.get(PERSISTENT_VOLUME_CLAIMS, "data-js", "default")
        assert objects.labels(claim) == {terms.NAME: "js"}
        assert (objects.controller_of(claim) or {})["name"] == "js"
        unmounted = make.jobset("other", volumeClaimPolicies=[{"templates": [template]}])
        assert "don't have a matching volumeMount: data from VolumeClaimPolicies" in str(await refused(here, unmounted))
        await here.client.create(JOB_SETS, make.jobset("kept", job, volumeClaimPolicies=[_retained(template)]))
        kept = await here.until(lambda: here.client.get_or_none(PERSISTENT_VOLUME_CLAIMS, "data-kept", "default"))
        assert not objects.owners(kept)
        await here.client.delete(JOB_SETS, "kept", "default")
        await here.until_gone(JOB_SETS, "kept")
        again = make.jobset("kept", job, volumeClaimPolicies=[{"templates": [template]}])
        assert "retentionPolicy must be retain when PVC exists" in str(await refused(here, again))

    run(work)


def _retained(template: Obj) -> Obj:
    return {"templates": [template], "retentionPolicy": {"whenDeleted": "Retain"}}


def test_followers_go_where_their_leader_is() -> None:
    async def work(here: Site) -> None:
        await here.client.create(NODES, {"metadata": {"name": "n1", "labels": {"rack": "r1"}}})
        jobset = make.jobset("js", make.replicated(pods=3))
        jobset["metadata"]["annotations"] = RACKS
        await here.client.create(JOB_SETS, jobset)
        (leader,) = await here.until_pods(1)
        terms_of = objects.spec(leader)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert terms_of[0]["topologyKey"] == "rack"
        assert objects.labels(leader)[terms.PRIORITY] == "0"
        await here.settle()
        assert len(await here.pods()) == 1, "the others wait until it has a node"
        assert any("follower pod node selector not set" in message for _, message in await here.events("js-node-0"))
        target = {"apiVersion": "v1", "kind": "Node", "name": "n1"}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": objects.name(leader)}, "target": target}
        await here.client.create_subresource(PODS, objects.name(leader), "default", "binding", binding)
        for pod in await here.until_pods(3):
            assert objects.uid(pod) == objects.uid(leader) or objects.spec(pod)["nodeSelector"] == {"rack": "r1"}

    run(work)


def test_restarts_in_place_go_on_together() -> None:
    async def work(here: Site) -> None:
        job = make.replicated(pods=2, backoffLimit=2**31 - 1, podReplacementPolicy="Failed")
        policy = {"maxRestarts": 1, "restartStrategy": "InPlaceRestart"}
        await here.client.create(JOB_SETS, make.jobset("js", job, failurePolicy=policy))
        pods = await here.until_pods(2)

        async def reach(pod: Obj, attempt: int) -> None:
            told = {"metadata": {"annotations": {terms.IN_PLACE_RESTART_ATTEMPT: str(attempt)}}}
            await here.client.patch(PODS, objects.name(pod), told, "default")

        for pod in pods:
            await reach(pod, 0)
        await here.until_status(JOB_SETS, "js", currentInPlaceRestartAttempt=0)
        await reach(pods[0], 1)
        await here.until_status(JOB_SETS, "js", previousInPlaceRestartAttempt=0, currentInPlaceRestartAttempt=0)
        await reach(pods[1], 1)
        await here.until_status(JOB_SETS, "js", previousInPlaceRestartAttempt=0, currentInPlaceRestartAttempt=1)
        await reach(pods[1], 2)
        await here.until_condition(JOB_SETS, "js", "Failed")

    run(work, gates=ALL)


def test_a_broken_label_is_tried_again_and_nothing_else_happens() -> None:
    async def work(here: Site) -> None:
        await here.client.create(JOB_SETS, make.jobset("js"))
        await here.until_pods(2)
        broken = {"metadata": {"labels": {terms.RESTART_ATTEMPT: "x"}}}
        await here.client.patch(JOBS, "js-node-0", broken, "default")
        before = await here.client.get(JOB_SETS, "js", "default")
        await here.settle()
        assert await here.client.get(JOB_SETS, "js", "default") == before
        mended = {"metadata": {"labels": {terms.RESTART_ATTEMPT: "0"}}}
        await here.client.patch(JOBS, "js-node-0", mended, "default")
        for pod in await here.pods():
            await here.move(pod, "Succeeded")
        await here.until_condition(JOB_SETS, "js", "Completed")

    run(work)
