"""Deleted volumes wait for those who use them."""

from lightship.kinds import PERSISTENT_VOLUME_CLAIMS, PODS
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
