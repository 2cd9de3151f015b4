"""Stages that are written while nodes and pods are played, for pods and for other kinds."""

import json
from pathlib import Path

import pytest

from lightship import kinds
from lightship.emulation import api
from lightship.kinds import CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from tests.emulation.place import Place, run

SETS = json.loads((Path(__file__).parent / "stages.json").read_text())["sets"]


async def apply(here: Place, *stages: Obj) -> None:
    for stage in stages:
        await here.client.apply(api.STAGES, stage)


def stage(name: str, kind: str = "Pod", **spec: object) -> Obj:
    ref = {"apiGroup": "v1", "kind": kind}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {"resourceRef": ref, "selector": {}, **spec},
    }


@pytest.mark.slow
def test_kwoks_general_pods_and_fast_nodes_live_as_they_are_written() -> None:
    async def work(here: Place) -> None:
        await apply(here, *SETS["pod/general"], *SETS["node/fast"], *SETS["node/heartbeat-with-lease"])
        await here.ready_node("n")
        init = {"initContainers": [{"name": "i", "image": "registry.invalid/i:1"}]}
        job = [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1"}]
        await here.pod("plain")
        await here.pod("init", spec=init, ownerReferences=job)
        plain = await here.until_phase("plain", "Running")
        assert conditions.is_true(plain, "Ready")
        assert objects.status(plain)["podIP"]
        running = await here.until_phase("init", "Running")
        assert objects.status(running)["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
        ended = await here.until_phase("init", "Succeeded")
        assert objects.status(ended)["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        await here.client.delete(PODS, "plain", "default")
        await here.until_gone("plain")
        await here.manager.recorder.flush()
        assert "Created" in {event["reason"] for event in (await here.client.list(kinds.EVENTS, "default")).items}

    run(work)


def test_stages_take_the_place_of_ours_while_they_are_there() -> None:
    async def work(here: Place) -> None:
        await here.ready_node("n")
        slow = stage("slow", delay={"durationMilliseconds": 3_600_000}, next={"statusTemplate": "phase: Failed"})
        await apply(here, slow)
        await here.manager.clock.sleep(1)
        await here.pod("p")
        await here.manager.clock.sleep(600)
        assert objects.status(await here.client.get(PODS, "p", "default"))["phase"] == "Pending"
        await here.client.delete(api.STAGES, "slow")
        await here.until_phase("p", "Running")

    run(work)


def test_a_stage_that_cannot_be_used_is_told_about() -> None:
    async def work(here: Place) -> None:
        await apply(here, stage("bad", next={"statusTemplate": "{{ nosuch }}"}))
        await here.manager.clock.sleep(1)
        await here.manager.recorder.flush()
        events = [event for event in (await here.client.list(kinds.EVENTS, "default")).items if event["reason"] == "InvalidStage"]
        assert "nosuch" in events[0]["message"]
        await here.ready_node("n")
        await here.pod("p")
        await here.until_phase("p", "Running")

    run(work)


def test_steps_patch_delete_and_make_other_objects() -> None:
    async def work(here: Place) -> None:
        template = "{apiVersion: v1, kind: ConfigMap, metadata: {name: of-{{ .metadata.name }}}, data: {uid: {{ .metadata.uid | Quote }}}}"
        mark = {"type": "json", "root": "metadata", "template": '[{op: add, path: /labels, value: {seen: "yes"}}]'}
        steps = [{"finalizers": {"add": [{"value": "example.com/a"}]}}, {"patch": mark}, {"apply": {"template": template}}]
        unseen = {"matchExpressions": [{"key": ".metadata.labels.seen", "operator": "DoesNotExist"}]}
        await apply(here, stage("mark", kind="Secret", selector=unseen, steps=steps))
        await here.client.create(kinds.SECRETS, {"metadata": {"name": "s", "namespace": "default"}})

        async def marked() -> Obj | None:
            found = await here.client.get(kinds.SECRETS, "s", "default")
            return found if objects.labels(found).get("seen") else None

        secret = await here.until(marked, "a label")
        assert objects.meta(secret)["finalizers"] == ["example.com/a"]
        made = await here.until(lambda: here.client.get_or_none(CONFIG_MAPS, "of-s", "default"), "a config map")
        assert made["data"] == {"uid": objects.uid(secret)}

    run(work)


@pytest.mark.slow
def test_kwoks_volumes_are_provisioned() -> None:
    async def work(here: Place) -> None:
        await apply(here, *SETS["volume/fast"])
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "kwok-volume"}
        await here.client.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c", "namespace": "default"}, "spec": spec})

        async def bound() -> Obj | None:
            found = await here.client.get(PERSISTENT_VOLUME_CLAIMS, "c", "default")
            return found if objects.status(found).get("phase") == "Bound" else None

        claim = await here.until(bound, "a bound claim")
        volume = await here.client.get(PERSISTENT_VOLUMES, objects.spec(claim)["volumeName"])
        assert objects.spec(volume)["claimRef"]["uid"] == objects.uid(claim)

    run(work)
