"""LeaderWorkerSets from the object to their pods and back, on our server in this process."""

from typing import Any

import pytest

from lightship.builtin.api import LEADER_WORKER_SETS
from lightship.builtin.leaderworkerset import terms
from lightship.kinds import CONTROLLER_REVISIONS, PODS, SERVICES, STATEFUL_SETS
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run

_SUBGROUPS = "spec.leaderWorkerTemplate.SubGroupPolicy.subGroupSize"


async def play(here: Site, count: int, *, wanted: str = "") -> list[Obj]:
    """Be the node until so many pods run, all of them with this image where one is given; pods on their way out are gone."""

    async def there() -> list[Obj] | None:
        pods = await here.pods(labels=terms.NAME)
        for pod in pods:
            if objects.is_deleting(pod):
                await here.end(pod)
            elif objects.status(pod).get("phase") != "Running":
                await here.move(pod, "Running", ready=True)
        images = {c["image"] for pod in pods for c in pod["spec"]["containers"]}
        ready = [pod for pod in pods if conditions.is_true(pod, "Ready") and not objects.is_deleting(pod)]
        return ready if len(ready) == len(pods) == count and (not wanted or images == {wanted}) else None

    return await here.until(there, f"{count} pods")


async def until_available(here: Site, name: str = "lws") -> Obj:
    return await here.until_condition(LEADER_WORKER_SETS, name, "Available")


@pytest.mark.slow
def test_groups_come_up_and_find_each_other() -> None:
    async def work(here: Site) -> None:
        await here.client.create(LEADER_WORKER_SETS, make.leader_worker_set())
        pods = await play(here, 6)
        assert [objects.name(pod) for pod in pods] == ["lws-0", "lws-0-1", "lws-0-2", "lws-1", "lws-1-1", "lws-1-2"]
        worker = pods[4]
        env = {e["name"]: e["value"] for e in worker["spec"]["containers"][0]["env"]}
        assert env == {"LWS_LEADER_ADDRESS": "lws-1.lws.default", "LWS_GROUP_SIZE": "3", "LWS_WORKER_INDEX": "1"}
        assert objects.labels(worker)[terms.GROUP_INDEX] == "1"
        assert objects.labels(worker)[terms.GROUP_KEY] == objects.labels(pods[3])[terms.GROUP_KEY]
        found = await until_available(here)
        status = objects.status(found)
        assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (2, 2, 2)
        assert status["hpaPodSelector"] == f"{terms.NAME}=lws,{terms.WORKER_INDEX}=0"
        service = await here.client.get(SERVICES, "lws", "default")
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["publishNotReadyAddresses"]
        said = await here.events("lws")
        assert ("GroupsProgressing", "Created leader statefulset lws") in said
        assert ("AllGroupsReady", "All replicas are ready, with 2 groups ready of total 2 groups") in said

    run(work)


@pytest.mark.slow
def test_an_update_goes_from_the_last_group_down_and_leaves_one_version() -> None:
    async def work(here: Site) -> None:
        await here.client.create(LEADER_WORKER_SETS, make.leader_worker_set(replicas=3, size=2))
        await play(here, 6)
        await until_available(here)
        template = {"spec": make.pod_spec(containers=[{"name": "main", "image": "new"}], restartPolicy="Always")}
        await here.client.patch(LEADER_WORKER_SETS, "lws", {"spec": {"leaderWorkerTemplate": {"workerTemplate": template}}}, "default")
        await here.until_condition(LEADER_WORKER_SETS, "lws", "UpdateInProgress")
        await play(here, 6, wanted="new")
        found = await until_available(here)
        assert conditions.is_false(found, "UpdateInProgress")
        assert conditions.is_false(found, "Progressing")
        await here.settle()
        listed = (await here.client.list(CONTROLLER_REVISIONS, "default", labels=f"{terms.NAME}=lws")).items
        assert [r["revision"] for r in listed if objects.is_controlled_by(r, found)] == [2]
        updating = [message for reason, message in await here.events("lws") if reason == "GroupsUpdating" and message.startswith("Upd")]
        assert updating == ["Updating replica 2", "Updating replica 1", "Updating replica 0"]

    run(work)


@pytest.mark.slow
def test_a_restarted_container_takes_its_whole_group_along() -> None:
    async def work(here: Site) -> None:
        await here.client.create(LEADER_WORKER_SETS, make.leader_worker_set(replicas=2, size=2))
        before = {objects.name(pod): objects.uid(pod) for pod in await play(here, 4)}
        victim = await here.client.get(PODS, "lws-1-1", "default")
        await here.move(victim, "Running", ready=True, containerStatuses=[_restarted()])

        async def renewed() -> bool:
            pods = await play(here, 4)
            now = {objects.name(pod): objects.uid(pod) for pod in pods}
            return now["lws-1"] != before["lws-1"] and now["lws-1-1"] != before["lws-1-1"]

        await here.until(renewed)
        after = {objects.name(pod): objects.uid(pod) for pod in await here.pods(labels=terms.NAME)}
        assert (after["lws-0"], after["lws-0-1"]) == (before["lws-0"], before["lws-0-1"]), "the other group goes on"
        told = "Worker pod lws-1-1 failed, deleted leader pod lws-1 to recreate group 1"
        assert ("RecreateGroup", told) in await here.events("lws")

    run(work)


def _restarted() -> Obj:
    return {"name": "main", "image": "python", "imageID": "", "ready": True, "restartCount": 1, "state": {}}


def test_a_smaller_and_a_larger_set_and_its_end() -> None:
    async def work(here: Site) -> None:
        await here.client.create(LEADER_WORKER_SETS, make.leader_worker_set(replicas=1, size=2))
        await play(here, 2)
        scale = {"spec": {"replicas": 3}}
        await here.client.patch(LEADER_WORKER_SETS, "lws", scale, "default", subresource="scale")
        await play(here, 6)
        await here.client.patch(LEADER_WORKER_SETS, "lws", {"spec": {"replicas": 0}}, "default", subresource="scale")
        await play(here, 0)
        await until_available(here)
        await here.client.delete(LEADER_WORKER_SETS, "lws", "default")
        await here.until_gone(STATEFUL_SETS, "lws")
        await here.until_gone(SERVICES, "lws")

    run(work)


def test_workers_wait_for_their_leader_where_they_shall() -> None:
    async def work(here: Site) -> None:
        await here.client.create(LEADER_WORKER_SETS, make.leader_worker_set(replicas=1, size=2, startupPolicy="LeaderReady"))
        leader = (await here.until_pods(1, terms.NAME))[0]
        await here.settle()
        assert len(await here.pods(labels=terms.NAME)) == 1
        await here.move(leader, "Running", ready=True)
        await play(here, 2)

    run(work)


def test_every_group_can_have_a_subdomain_of_its_own() -> None:
    async def work(here: Site) -> None:
        lws = make.leader_worker_set(replicas=2, size=2, networkConfig={"subdomainPolicy": "UniquePerReplica"})
        await here.client.create(LEADER_WORKER_SETS, lws)
        pods = await play(here, 4)
        assert [pod["spec"]["subdomain"] for pod in pods] == ["lws-0", "lws-0", "lws-1", "lws-1"]
        names = {objects.name(s) for s in (await here.client.list(SERVICES, "default", labels=terms.NAME)).items}
        assert names == {"lws-0", "lws-1"}

    run(work)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"template": {"subGroupPolicy": {"subGroupSize": 0}}},
            f"{_SUBGROUPS}: Invalid value: 0: subGroupSize must be equal or greater than 1",
        ),
        ({"size": 0}, "spec.leaderWorkerTemplate.size: Invalid value: 0: size must be equal or greater than 1"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    async def work(here: Site) -> None:
        with pytest.raises(errors.StatusError) as caught:
            await here.client.create(LEADER_WORKER_SETS, make.leader_worker_set(**change))
        assert caught.value.message == f'admission webhook "vleaderworkerset.kb.io" denied the request: {message}'
        assert caught.value.code == 403

    run(work)
