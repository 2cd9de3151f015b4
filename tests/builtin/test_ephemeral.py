"""Ephemeral volumes of pods become claims that belong to the pods."""

from lightship.kinds import EVENTS, PERSISTENT_VOLUME_CLAIMS, PODS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from tests.builtin import make
from tests.builtin.site import Site, run

TEMPLATE: Obj = {
    "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def pod(name: str = "p") -> Obj:
    volumes = [{"name": "v", "ephemeral": {"volumeClaimTemplate": TEMPLATE}}, {"name": "w", "emptyDir": {}}]
    spec = {**make.pod_spec(), "volumes": volumes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def claim(here: Site, name: str = "p-v") -> Obj:
    return await here.until(lambda: here.client.get_or_none(PERSISTENT_VOLUME_CLAIMS, name, "default"), "a claim")


def test_a_claim_is_made_for_the_pod_and_goes_with_it() -> None:
    async def work(here: Site) -> None:
        made = await here.client.create(PODS, pod())
        found = await claim(here)
        assert objects.is_controlled_by(found, made)
        assert (objects.labels(found), objects.annotations(found)) == ({"a": "b"}, {"c": "d"})
        assert found["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
        await here.client.delete(PODS, "p", "default", DeleteOptions(grace_period_seconds=0))
        await here.until_gone(PERSISTENT_VOLUME_CLAIMS, "p-v")

    run(work)


def test_somebody_elses_claim_is_left_alone_and_told_of() -> None:
    async def work(here: Site) -> None:
        foreign = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "p-v", "namespace": "default"}}
        await here.client.create(PERSISTENT_VOLUME_CLAIMS, {**foreign, "spec": TEMPLATE["spec"]})
        await here.settle()
        await here.client.create(PODS, pod())

        async def told() -> str | None:
            events = (await here.client.list(EVENTS, "default")).items
            return next((e["message"] for e in events if e["reason"] == "FailedBinding" and e["involvedObject"]["kind"] == "Pod"), None)

        want = "ephemeral volume v: PVC default/p-v was not created for pod default/p (pod is not owner)"
        assert await here.until(told, "an event") == want
        await here.client.delete(PERSISTENT_VOLUME_CLAIMS, "p-v", "default")
        await here.until_gone(PERSISTENT_VOLUME_CLAIMS, "p-v")
        assert objects.controller_of(await claim(here)) is not None

    run(work)
