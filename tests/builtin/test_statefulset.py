"""StatefulSets on our API server, in virtual time; the tests play the node."""

from random import Random
from typing import Any

import pytest

from lightship.builtin import history
from lightship.kinds import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run
from tests.client.faults import Faults, FaultyTransport

OTHER = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "other"}]}}}}
CLAIM = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}


def stateful(**spec: Any) -> Obj:
    return make.workload("StatefulSet", serviceName="web", **spec)


async def play(here: Site) -> list[Obj]:
    """Play the node once: let every pod that waits run. The pods there are."""
    pods = [pod for pod in await here.pods() if podlib.is_active(pod)]
    for pod in pods:
        if podlib.phase(pod) == "Pending":
            await here.move(pod, "Running", ready=True)
    return pods


async def until_names(here: Site, *names: str, image: str = "") -> list[Obj]:
    """Play the node until there are just these pods, all ready, and all of this image."""

    async def there() -> list[Obj] | None:
        pods = await play(here)
        same = sorted(map(objects.name, await here.pods())) == sorted(names)
        images = {objects.spec(pod)["containers"][0]["image"] for pod in pods}
        return pods if same and all(map(podlib.is_ready, pods)) and (not image or images == {image}) else None

    return await here.until(there, f"pods {names}")


def test_pods_come_one_after_the_other_with_names_and_storage_of_their_own() -> None:
    async def work(here: Site) -> None:
        await here.client.create(STATEFUL_SETS, stateful(replicas=3, volumeClaimTemplates=[CLAIM]))
        (first,) = await here.until_pods(1)
        await here.settle()
        assert [objects.name(pod) for pod in await here.pods()] == ["web-0"], "the second waits for the first"
        assert objects.spec(first)["hostname"] == "web-0"
        assert objects.spec(first)["subdomain"] == "web"
        assert objects.spec(first)["volumes"][0] == {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}
        labels = objects.labels(first)
        assert (labels["statefulset.kubernetes.io/pod-name"], labels["apps.kubernetes.io/pod-index"]) == ("web-0", "0")
        await until_names(here, "web-0", "web-1", "web-2")
        claims = (await here.client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items
        assert sorted(map(objects.name, claims)) == ["data-web-0", "data-web-1", "data-web-2"]
        found = await here.until_status(STATEFUL_SETS, "web", replicas=3, readyReplicas=3, currentReplicas=3, updatedReplicas=3)
        status = objects.status(found)
        assert status["currentRevision"] == status["updateRevision"] == labels["controller-revision-hash"]
        said = await here.events("web")
        assert ("SuccessfulCreate", "Create Pod web-0 in StatefulSet web successful") in said
        assert ("SuccessfulCreate", "Create Claim data-web-0 Pod web-0 in StatefulSet web success") in said

    run(work)


def test_it_shrinks_from_the_end_and_keeps_storage() -> None:
    async def work(here: Site) -> None:
        await here.client.create(STATEFUL_SETS, stateful(replicas=3, volumeClaimTemplates=[CLAIM], ordinals={"start": 5}))
        await until_names(here, "web-5", "web-6", "web-7")
        await here.client.patch(STATEFUL_SETS, "web", {"spec": {"replicas": 1}}, "default")
        await until_names(here, "web-5")
        assert len((await here.client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items) == 3

    run(work)


def test_storage_goes_with_what_it_belongs_to() -> None:
    async def work(here: Site) -> None:
        policy = {"whenScaled": "Delete", "whenDeleted": "Delete"}
        await here.client.create(
            STATEFUL_SETS, stateful(replicas=2, volumeClaimTemplates=[CLAIM], persistentVolumeClaimRetentionPolicy=policy)
        )
        await until_names(here, "web-0", "web-1")

        async def owned() -> bool:
            listed = (await here.client.list(PERSISTENT_VOLUME_CLAIMS, "default")).items
            return [[o["kind"] for o in objects.owners(claim)] for claim in listed] == [["StatefulSet"], ["StatefulSet"]]

        await here.until(owned)
        await here.client.patch(STATEFUL_SETS, "web", {"spec": {"replicas": 1}}, "default")
        await until_names(here, "web-0")
        await here.until_gone(PERSISTENT_VOLUME_CLAIMS, "data-web-1")
        await here.client.delete(STATEFUL_SETS, "web", "default")
        await here.until_gone(PERSISTENT_VOLUME_CLAIMS, "data-web-0")

    run(work)


def test_an_update_goes_from_the_last_to_the_partition() -> None:
    async def work(here: Site) -> None:
        update = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
        await here.client.create(STATEFUL_SETS, stateful(replicas=3, updateStrategy=update))
        before = {objects.name(pod): objects.uid(pod) for pod in await until_names(here, "web-0", "web-1", "web-2")}
        await here.client.patch(STATEFUL_SETS, "web", OTHER, "default")
        order = []

        async def updated() -> bool:
            pods = await play(here)
            for pod in pods:
                if objects.spec(pod)["containers"][0]["image"] == "other" and objects.name(pod) not in order:
                    order.append(objects.name(pod))
            return len(order) == 2 and len(pods) == 3

        await here.until(updated)
        await here.settle()
        assert order == ["web-2", "web-1"]
        kept = await here.client.get(PODS, "web-0", "default")
        assert objects.uid(kept) == before["web-0"]
        await here.client.delete(PODS, "web-0", "default")
        pods = await until_names(here, "web-0", "web-1", "web-2")
        assert objects.spec(pods[0])["containers"][0]["image"] == "python", "below the partition a pod comes back as it was"
        found = await here.until_status(STATEFUL_SETS, "web", currentReplicas=1, updatedReplicas=2)
        assert objects.status(found)["currentRevision"] != objects.status(found)["updateRevision"]
        whole = {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}
        await here.client.patch(STATEFUL_SETS, "web", whole, "default")
        await until_names(here, "web-0", "web-1", "web-2", image="other")
        found = await here.until_status(STATEFUL_SETS, "web", currentReplicas=3, updatedReplicas=3)
        assert objects.status(found)["currentRevision"] == objects.status(found)["updateRevision"]

    run(work)


def test_on_delete_nothing_is_updated_by_itself() -> None:
    async def work(here: Site) -> None:
        await here.client.create(STATEFUL_SETS, stateful(replicas=2, updateStrategy={"type": "OnDelete"}))
        await until_names(here, "web-0", "web-1")
        await here.client.patch(STATEFUL_SETS, "web", OTHER, "default")
        await here.settle()
        await until_names(here, "web-0", "web-1", image="python")
        await here.client.delete(PODS, "web-1", "default")
        pods = await until_names(here, "web-0", "web-1")
        assert [objects.spec(pod)["containers"][0]["image"] for pod in pods] == ["python", "other"]

    run(work)


def test_in_parallel_all_come_and_go_at_once() -> None:
    async def work(here: Site) -> None:
        await here.client.create(STATEFUL_SETS, stateful(replicas=5, podManagementPolicy="Parallel"))
        await here.until_pods(5)
        await here.client.patch(STATEFUL_SETS, "web", {"spec": {"replicas": 0}}, "default")
        await here.until_pods(0)

    run(work)


def test_whatever_a_pod_ended_with_it_comes_back() -> None:
    async def work(here: Site) -> None:
        await here.client.create(STATEFUL_SETS, stateful(replicas=1))
        for phase in ("Failed", "Succeeded"):
            (pod,) = await until_names(here, "web-0")
            await here.move(pod, phase)

            async def another(old: str = objects.uid(pod)) -> bool:
                return [objects.uid(p) for p in await here.pods()] not in ([], [old])

            await here.until(another)

    run(work)


def test_versions_are_kept_up_to_the_limit_and_used_again() -> None:
    async def work(here: Site) -> None:
        await here.client.create(STATEFUL_SETS, stateful(replicas=1, revisionHistoryLimit=1))
        await until_names(here, "web-0")
        for image in ("two", "three", "two"):
            containers = [{"name": "main", "image": image}]
            await here.client.patch(STATEFUL_SETS, "web", {"spec": {"template": {"spec": {"containers": containers}}}}, "default")
            await until_names(here, "web-0", image=image)

        async def kept() -> bool:
            listed = history.ordered((await here.client.list(CONTROLLER_REVISIONS, "default")).items)
            images = [r["data"]["spec"]["template"]["spec"]["containers"][0]["image"] for r in listed]
            return images == ["three", "two"] and [history.number(r) for r in listed] == [3, 4]

        await here.until(kept)

    run(work)


def test_names_of_versions_are_those_of_the_real_controller() -> None:
    """`tests/upstream/test_workloads.py` compares them with the real ones; here is what they depend on."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "a<b"}]}}
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web", "uid": "u"}, "spec": {"template": template}}
    revision = history.revision_of(owner, 1, 0)
    assert list(revision["data"]["spec"]["template"]) == ["$patch", "metadata", "spec"]
    assert objects.name(revision) == f"web-{objects.labels(revision)['controller.kubernetes.io/hash']}"


@pytest.mark.parametrize("seed", range(6))
def test_on_a_bad_day_all_members_come_once(seed: int) -> None:
    faults = Faults(Random(seed), refuse=0.15, lose_answer=0.15, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        await here.client.create(STATEFUL_SETS, stateful(replicas=4, volumeClaimTemplates=[CLAIM]))
        await until_names(here, "web-0", "web-1", "web-2", "web-3")
        await here.client.patch(STATEFUL_SETS, "web", OTHER, "default")
        await until_names(here, "web-0", "web-1", "web-2", "web-3", image="other")
        assert len((await here.client.list(CONTROLLER_REVISIONS, "default")).items) == 2

    run(work, lambda transport: FaultyTransport(transport, faults), only=("statefulset",))
    assert faults.happened > 0
