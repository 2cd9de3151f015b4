"""Refused writes, lost answers and broken watches: controllers get there in the end and create nothing twice."""

from random import Random

import pytest

from lightship.builtin.api import JOB_SETS, LEADER_WORKER_SETS
from lightship.builtin.jobset.gates import Gates
from lightship.builtin.leaderworkerset import terms
from lightship.kinds import (
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_GROUPS,
    PODS,
    RESOURCE_SLICES,
    SERVICE_CIDRS,
    SERVICES,
)
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import Transport
from tests.builtin import make, test_binder, test_coscheduling, test_devicetaints, test_hpa, test_mirroring, test_nodes
from tests.builtin.site import Site, run
from tests.client.faults import Faults, FaultyTransport


def bad_day(seed: int) -> Faults:
    return Faults(Random(seed), refuse=0.15, lose_answer=0.15, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)


@pytest.mark.parametrize("seed", range(6))
def test_an_indexed_job(seed: int) -> None:
    faults = bad_day(seed)

    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(completionMode="Indexed", completions=6, parallelism=4, backoffLimit=6))
        created, failed = set[str](), 0

        async def play() -> bool:
            """End every pod that shows up; the first two fail."""
            nonlocal failed
            for pod in await here.pods():
                created.add(objects.uid(pod))
                if objects.status(pod).get("phase") in ("Succeeded", "Failed"):
                    continue
                await here.move(pod, "Failed" if failed < 2 else "Succeeded")
                failed += 1 if failed < 2 else 0
            return conditions.is_true(await here.job("job"), "Complete")

        await here.until(play)
        status = objects.status(await here.job("job"))
        assert (status["succeeded"], status["failed"], status["completedIndexes"]) == (6, 2, "0-5")
        assert status["uncountedTerminatedPods"] == {}
        assert len(created) == 8, "six that succeeded and two that failed, none twice"
        faults.stop()
        await here.settle()
        assert not any(objects.meta(pod).get("finalizers") for pod in await here.pods())

    run(work, lambda transport: wrapped(transport, faults), only=("job",))
    assert faults.happened > 0


@pytest.mark.parametrize("seed", range(6))
def test_a_plain_job_counts_every_pod_once(seed: int) -> None:
    faults = bad_day(seed + 100)

    async def work(here: Site) -> None:
        await here.client.create(JOBS, make.job(completions=10, parallelism=5))
        created = set[str]()

        async def play() -> bool:
            alive = 0
            for pod in await here.pods():
                created.add(objects.uid(pod))
                if objects.status(pod).get("phase") != "Succeeded":
                    alive += 1
                    await here.move(pod, "Succeeded")
            assert alive <= 5, "never more at once than asked for"
            return conditions.is_true(await here.job("job"), "Complete")

        await here.until(play)
        status = objects.status(await here.job("job"))
        assert status["succeeded"] == len(created) == 10

    run(work, lambda transport: wrapped(transport, faults), only=("job",))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_groups_of_a_set_through_an_update(seed: int) -> None:
    faults = bad_day(seed + 300)

    async def work(here: Site) -> None:
        await here.client.create(LEADER_WORKER_SETS, make.leader_worker_set(replicas=2, size=2))
        seen: dict[str, set[str]] = {}

        async def play() -> bool:
            pods = await here.pods(labels=terms.NAME)
            for pod in pods:
                seen.setdefault(objects.labels(pod)[terms.REVISION], set()).add(objects.uid(pod))
                if objects.is_deleting(pod):
                    await here.end(pod)
                elif objects.status(pod).get("phase") != "Running":
                    await here.move(pod, "Running", ready=True)
            status = objects.status(await here.client.get(LEADER_WORKER_SETS, "lws", "default"))
            done = all(status.get(field) == 2 for field in ("replicas", "readyReplicas", "updatedReplicas"))
            return done and len(seen) == versions and conditions.is_true({"status": status}, "Available")

        versions = 1
        await here.until(play)
        template = {"workerTemplate": {"metadata": {"labels": {"version": "2"}}}}
        await here.client.patch(LEADER_WORKER_SETS, "lws", {"spec": {"leaderWorkerTemplate": template}}, "default")
        versions = 2
        await here.until(play)
        assert [len(uids) for uids in seen.values()] == [4, 4], "four pods of each version, none twice"
        faults.stop()
        await here.settle()
        listed = (await here.client.list(CONTROLLER_REVISIONS, "default", labels=f"{terms.NAME}=lws")).items
        kept = [r["revision"] for r in listed if objects.controller_of(r)["kind"] == "LeaderWorkerSet"]  # type: ignore[index]
        assert kept == [2], "one version besides the first was made, and one is kept"

    run(work, lambda transport: wrapped(transport, faults))


@pytest.mark.parametrize("seed", range(6))
def test_a_jobset_with_a_restart(seed: int) -> None:
    faults = bad_day(seed + 200)

    async def work(here: Site) -> None:
        js = make.jobset("js", make.replicated("a"), make.replicated("b", replicas=2, pods=2), failurePolicy={"maxRestarts": 3})
        await here.client.create(JOB_SETS, js)
        attempts: dict[str, set[str]] = {}
        failed = False

        async def play() -> Obj | None:
            nonlocal failed
            for pod in await here.pods():
                labels = objects.labels(pod)
                attempts.setdefault(labels["jobset.sigs.k8s.io/restart-attempt"], set()).add(objects.uid(pod))
                if objects.status(pod).get("phase") in ("Succeeded", "Failed") or objects.is_deleting(pod):
                    continue
                if labels["jobset.sigs.k8s.io/restart-attempt"] == "0":
                    if not failed:
                        failed = True
                        await here.move(pod, "Failed")
                else:
                    await here.move(pod, "Succeeded")
            found = await here.client.get(JOB_SETS, "js", "default")
            return found if conditions.is_true(found, "Completed") else None

        found = await here.until(play)
        assert objects.status(found)["restarts"] == 1, "one failure, one restart"
        assert len(attempts["1"]) == 5, "each pod of the second attempt exists once"

    run(work, lambda transport: wrapped(transport, faults))


@pytest.mark.parametrize("seed", range(4))
def test_claims_and_volumes(seed: int) -> None:
    faults = bad_day(seed + 300)

    async def work(here: Site) -> None:
        for number in range(6):
            await here.client.create(PERSISTENT_VOLUMES, test_binder.volume(f"v{number}", f"{number + 1}Gi"))
            await here.client.create(PERSISTENT_VOLUME_CLAIMS, test_binder.claim(f"c{number}", "1Gi"))

        async def bound() -> bool:
            found = (await here.client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items
            return all(objects.status(claim).get("phase") == "Bound" for claim in found)

        await here.until(bound)
        faults.stop()
        await here.settle()
        claims = {objects.uid(c): c["spec"]["volumeName"] for c in (await here.client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items}
        volumes = {v["spec"]["claimRef"]["uid"]: objects.name(v) for v in (await here.client.list(PERSISTENT_VOLUMES)).items}
        assert claims == volumes, "each has one, and they agree"

    run(work, lambda transport: wrapped(transport, faults), only=test_binder.BINDER)


@pytest.mark.parametrize("seed", range(3))
def test_mirrors_of_endpoints(seed: int) -> None:
    faults = bad_day(seed + 400)

    async def work(here: Site) -> None:
        spec = {"ports": [{"port": 80}]}
        await here.client.create(SERVICES, {"metadata": {"name": "s", "namespace": "default"}, "spec": spec})
        await here.client.create(ENDPOINTS, test_mirroring.endpoints("10.1.2.3", "2001:db8::1"))
        for number in range(8):
            subsets = test_mirroring.endpoints(f"10.1.2.{number}", "2001:db8::1")["subsets"]
            await here.client.patch(ENDPOINTS, "s", {"subsets": subsets}, "default")
            await here.manager.clock.sleep(0.3)
        faults.stop()

        async def there() -> bool:
            return await test_mirroring.mirrored(here) == {"IPv4": ["10.1.2.7"], "IPv6": ["2001:db8::1"]}

        await here.until(there)
        assert len((await here.client.list(ENDPOINT_SLICES, "default")).items) == 2, "none is made twice"

    run(work, lambda transport: wrapped(transport, faults), only=("endpointslice-mirroring",))
    assert faults.happened > 0


@pytest.mark.parametrize("seed", range(3))
def test_ranges_for_services(seed: int) -> None:
    faults = bad_day(seed + 500)

    async def work(here: Site) -> None:
        for number in range(5):
            given = {"metadata": {"name": f"r{number}"}, "spec": {"cidrs": [f"192.168.{number}.0/24"]}}
            await here.client.create(SERVICE_CIDRS, given)
        for number in range(4):
            await here.client.delete(SERVICE_CIDRS, f"r{number}")

        async def settled() -> bool:
            found = {objects.name(cidr): cidr for cidr in (await here.client.list(SERVICE_CIDRS)).items}
            return set(found) == {"kubernetes", "r4"} and all(conditions.is_true(cidr, "Ready") for cidr in found.values())

        await here.until(settled)

    run(work, lambda transport: wrapped(transport, faults), only=("service-cidr-controller",))


@pytest.mark.parametrize("seed", range(3))
def test_a_node_that_fails_and_comes_back(seed: int) -> None:
    faults = bad_day(seed + 600)

    async def work(here: Site) -> None:
        for name in ("n0", "n1", "n2"):
            await test_nodes.node(here, name)
        await test_nodes.pod(here, "p", "n0")
        await test_nodes.beat(here, "n0", ready="False")
        await test_nodes.until_tainted(here, "n0", ("not-ready", "NoSchedule"), ("not-ready", "NoExecute"))

        async def unready() -> bool:
            return conditions.is_false(await here.client.get(PODS, "p", "default"), "Ready")

        await here.until(unready)
        await test_nodes.beat(here, "n0")
        await test_nodes.until_tainted(here, "n0")
        taint = {"key": "k", "effect": "NoExecute"}
        await here.client.patch(NODES, "n0", {"spec": {"taints": [taint]}})

        async def leaves() -> bool:
            return objects.is_deleting(await here.client.get(PODS, "p", "default"))

        await here.until(leaves)

    run(work, lambda transport: wrapped(transport, faults), only=("nodelifecycle", "taint-eviction", "node-ttl"))
    assert faults.happened > 0


@pytest.mark.parametrize("seed", range(3))
def test_an_autoscaler_within_its_bounds(seed: int) -> None:
    faults = bad_day(seed + 700)

    async def work(here: Site) -> None:
        await test_hpa.deploy(here, 1)
        await here.client.create(HORIZONTAL_POD_AUTOSCALERS, test_hpa.autoscaler(3, 5))

        async def wants(count: int) -> bool:
            return bool(objects.spec(await here.client.get(DEPLOYMENTS, test_hpa.NAME, "default"))["replicas"] == count)

        await here.until(lambda: wants(3), step=1.0)
        await here.client.patch(HORIZONTAL_POD_AUTOSCALERS, test_hpa.NAME, {"spec": {"minReplicas": 1, "maxReplicas": 2}}, "default")
        await here.until(lambda: wants(2), step=1.0)

    run(work, lambda transport: wrapped(transport, faults), only=("horizontalpodautoscaler",))


@pytest.mark.parametrize("seed", range(3))
def test_a_broken_device(seed: int) -> None:
    faults = bad_day(seed + 800)

    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_SLICES, test_devicetaints.piece())
        await test_devicetaints.using(here, "p")
        await here.settle()
        await test_devicetaints.taints(here, test_devicetaints.taint(at=here.manager.clock.now()))

        async def leaves() -> bool:
            return objects.is_deleting(await here.client.get(PODS, "p", "default"))

        await here.until(leaves, step=0.2)

    run(work, lambda transport: wrapped(transport, faults), only=test_devicetaints.ONLY)


@pytest.mark.parametrize("seed", range(3))
def test_a_jobset_with_claims_whose_jobs_start_again_one_by_one(seed: int) -> None:
    faults = bad_day(seed + 300)

    async def work(here: Site) -> None:
        claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
        job = make.replicated("a", replicas=3)
        job["template"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        policy = {"maxRestarts": 1, "rules": [{"name": "one", "action": "RestartJob"}]}
        await here.client.create(JOB_SETS, make.jobset("js", job, failurePolicy=policy, volumeClaimPolicies=[{"templates": [claim]}]))
        created: dict[str, set[str]] = {}
        failed = False

        async def play() -> Obj | None:
            """The first pod fails, all others succeed."""
            nonlocal failed
            for pod in await here.pods():
                created.setdefault(objects.labels(pod)["jobset.sigs.k8s.io/job-key"], set()).add(objects.uid(pod))
                if objects.status(pod).get("phase") not in ("Succeeded", "Failed") and not objects.is_deleting(pod):
                    await here.move(pod, "Succeeded" if failed else "Failed")
                    failed = True
            found = await here.client.get(JOB_SETS, "js", "default")
            return found if conditions.is_true(found, "Completed") else None

        found = await here.until(play)
        (entry,) = objects.status(found)["replicatedJobsStatus"]
        assert sorted(entry["jobRestarts"]) == sorted(entry["jobRestartsCountTowardsMax"]) == [0, 0, 1], "one failure, one restart"
        assert sorted(map(len, created.values())) == [1, 1, 2], "nobody else was started again"
        assert len((await here.client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items) == 1

    run(work, lambda transport: wrapped(transport, faults), gates=Gates(restart_job=True))


@pytest.mark.parametrize("seed", range(3))
def test_the_status_of_a_gang(seed: int) -> None:
    faults = bad_day(seed + 900)

    async def work(here: Site) -> None:
        await test_coscheduling.define(here)
        await test_coscheduling.add(here, 3)
        for phase in ("Running", "Succeeded"):
            for pod in await here.until_pods(3):
                await here.move(pod, phase)
            await test_coscheduling.until(here, "Running" if phase == "Running" else "Finished")

    run(work, lambda transport: wrapped(transport, faults), only=test_coscheduling.ONLY)


@pytest.mark.parametrize("seed", range(3))
def test_a_native_gang_is_kept_while_its_pods_live(seed: int) -> None:
    faults = bad_day(seed + 1000)

    async def work(here: Site) -> None:
        spec = {"schedulingPolicy": {"gang": {"minCount": 2}}}
        await here.client.create(POD_GROUPS, {"metadata": {"name": "g", "namespace": "default"}, "spec": spec})
        for name in ("a", "b"):
            pod = {"metadata": {"name": name, "namespace": "default"}, "spec": make.pod_spec(schedulingGroup={"podGroupName": "g"})}
            await here.client.create(PODS, pod)
        await here.settle()
        await here.client.delete(POD_GROUPS, "g", "default")
        await here.settle()
        await here.move(await here.client.get(PODS, "a", "default"), "Succeeded")
        await here.settle()
        assert objects.is_deleting(await here.client.get(POD_GROUPS, "g", "default")), "one of its pods lives"
        await here.end(await here.client.get(PODS, "b", "default"))
        await here.until_gone(POD_GROUPS, "g")

    run(work, lambda transport: wrapped(transport, faults), only=("podgroup-protection",))
    assert faults.happened > 0


def wrapped(transport: Transport, faults: Faults) -> Transport:
    return FaultyTransport(transport, faults)
