"""Deleted volumes wait for those who use them."""

from lightship.kinds import PERSISTENT_VOLUME_CLAIMS, POD_GROUPS, PODS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from tests.builtin import make
from tests.builtin.site import Site, run

CLAIM: Obj = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "default"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def user(name: str, node: str) -> Obj:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    spec = {**make.pod_spec(), "volumes": volumes, **({"nodeName": node} if node else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def test_a_claim_that_nobody_mounts_goes_at_once() -> None:
    async def work(here: Site) -> None:
        made = await here.client.create(PERSISTENT_VOLUME_CLAIMS, CLAIM)
        assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
        await here.client.create(PODS, user("waiting", ""))
        await here.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        await here.until_gone(PERSISTENT_VOLUME_CLAIMS, "data")

    run(work)


def test_a_claim_waits_for_its_pods() -> None:
    async def work(here: Site) -> None:
        await here.client.create(PERSISTENT_VOLUME_CLAIMS, CLAIM)
        await here.client.create(PODS, user("mounting", "somewhere"))
        await here.settle()
        await here.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        await here.settle()
        assert objects.is_deleting(await here.client.get(PERSISTENT_VOLUME_CLAIMS, "data", "default"))
        await here.client.delete(PODS, "mounting", "default", DeleteOptions(grace_period_seconds=0))
        await here.until_gone(PERSISTENT_VOLUME_CLAIMS, "data")

    run(work)


def test_a_group_waits_for_its_pods_to_end() -> None:
    async def work(here: Site) -> None:
        spec = {"schedulingPolicy": {"gang": {"minCount": 2}}}
        group = {
            "apiVersion": "scheduling.k8s.io/v1alpha2",
            "kind": "PodGroup",
            "metadata": {"name": "g", "namespace": "default"},
            "spec": spec,
        }
        made = await here.client.create(POD_GROUPS, group)
        assert made["metadata"]["finalizers"] == ["scheduling.k8s.io/podgroup-protection"]
        for name in ("a", "b"):
            pod = user(name, "somewhere")
            await here.client.create(PODS, {**pod, "spec": {**pod["spec"], "volumes": [], "schedulingGroup": {"podGroupName": "g"}}})
        await here.settle()
        await here.client.delete(POD_GROUPS, "g", "default")
        await here.client.delete(PODS, "a", "default", DeleteOptions(grace_period_seconds=0))
        await here.settle()
        assert objects.is_deleting(await here.client.get(POD_GROUPS, "g", "default"))
        await here.move(await here.client.get(PODS, "b", "default"), "Succeeded")
        await here.until_gone(POD_GROUPS, "g")

    run(work)
