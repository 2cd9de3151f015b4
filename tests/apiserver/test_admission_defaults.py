"""What admission fills in by other objects: classes, tolerations, runtimes; and claims that may grow or not."""

from typing import Any

from lightship import kinds
from lightship.meta.objects import Obj

from .site import PODS, Site, pod, refused, run

CLAIM: Obj = {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}


def storage_class(name: str, *, default: bool = False, **more: Any) -> Obj:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}, "provisioner": "example.com/disk", **more}


def test_claims_get_the_default_class_and_keep_their_own() -> None:
    async def test(site: Site) -> None:
        assert (
            "storageClassName" not in (await site.create(kinds.PERSISTENT_VOLUME_CLAIMS, CLAIM | {"metadata": {"name": "before"}}))["spec"]
        )
        for name, default in (("a", True), ("b", True), ("other", False)):
            await site.create(kinds.STORAGE_CLASSES, storage_class(name, default=default), "")
        made = await site.create(kinds.PERSISTENT_VOLUME_CLAIMS, CLAIM)
        assert made["spec"]["storageClassName"] == "a"
        assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
        own = {"metadata": {"name": "own"}, "spec": {**CLAIM["spec"], "storageClassName": ""}}
        assert (await site.create(kinds.PERSISTENT_VOLUME_CLAIMS, own))["spec"]["storageClassName"] == ""

    run(test)


def test_claims_grow_only_where_they_may() -> None:
    async def test(site: Site) -> None:
        for name, grows in (("stiff", False), ("soft", True)):
            await site.create(kinds.STORAGE_CLASSES, storage_class(name, allowVolumeExpansion=grows), "")
            spec = {**CLAIM["spec"], "storageClassName": name}
            made = await site.create(kinds.PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": name}, "spec": spec})
            bigger = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
            with refused(422, "Invalid", "spec is immutable after creation except resources.requests"):
                await site.patch(kinds.PERSISTENT_VOLUME_CLAIMS, name, bigger)
            await site.update(kinds.PERSISTENT_VOLUME_CLAIMS, {**made, "status": {"phase": "Bound"}}, subresource="status")
        with refused(403, "Forbidden", "the storageclass that provisions the pvc must support resize"):
            await site.patch(kinds.PERSISTENT_VOLUME_CLAIMS, "stiff", bigger)
        grown = await site.patch(kinds.PERSISTENT_VOLUME_CLAIMS, "soft", bigger)
        assert grown["spec"]["resources"]["requests"]["storage"] == "2Gi"

    run(test)


def test_pods_tolerate_a_lost_node_for_a_while() -> None:
    async def test(site: Site) -> None:
        made = await site.create(PODS, pod("p"))
        lost = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        keys = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        assert made["spec"]["tolerations"] == [{"key": key, **lost} for key in keys]
        brave = pod("brave")
        brave["spec"]["tolerations"] = [{"operator": "Exists"}]
        assert (await site.create(PODS, brave))["spec"]["tolerations"] == [{"operator": "Exists"}]

    run(test)


def test_runtimes_bring_their_overhead_and_their_place() -> None:
    async def test(site: Site) -> None:
        runtime = {
            "metadata": {"name": "heavy"},
            "handler": "heavy",
            "overhead": {"podFixed": {"memory": "64Mi"}},
            "scheduling": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "heavy", "operator": "Exists"}]},
        }
        await site.create(kinds.RUNTIME_CLASSES, runtime, "")
        asked = pod("p")
        asked["spec"]["runtimeClassName"] = "heavy"
        made = await site.create(PODS, asked)
        assert made["spec"]["overhead"] == {"memory": "64Mi"}
        assert made["spec"]["nodeSelector"] == {"disk": "ssd"}
        assert {"key": "heavy", "operator": "Exists"} in made["spec"]["tolerations"]
        asked["spec"]["runtimeClassName"] = "nope"
        with refused(403, "Forbidden", 'pods "q" is forbidden: pod rejected: RuntimeClass "nope" not found'):
            await site.create(PODS, {**asked, "metadata": {"name": "q"}})
        free = pod("free")
        free["spec"]["overhead"] = {"cpu": "1"}
        with refused(403, "Forbidden", "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"):
            await site.create(PODS, free)

    run(test)


def test_ingresses_get_the_default_class() -> None:
    async def test(site: Site) -> None:
        marked = {"ingressclass.kubernetes.io/is-default-class": "true"}
        wanted = {"metadata": {"name": "edge", "annotations": marked}, "spec": {"controller": "example.com/edge"}}
        await site.create(kinds.INGRESS_CLASSES, wanted, "")
        backend = {"service": {"name": "s", "port": {"number": 80}}}
        made = await site.create(kinds.INGRESSES, {"metadata": {"name": "i"}, "spec": {"defaultBackend": backend}})
        assert made["spec"]["ingressClassName"] == "edge"

    run(test)
