"""lightkube: its synchronous and asynchronous client, generic resources, watches, waits and logs."""

import asyncio
from typing import Any

import lightkube
import pytest
from lightkube import codecs
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import CascadeType, PatchType

from lightship.testing import Cluster

from .shared import GROUP, config_map, deployment, pod

pytestmark = pytest.mark.slow
Widget: Any = create_namespaced_resource(GROUP, "v1", "Widget", "widgets")


def kube(platform: Cluster, namespace: str) -> Any:
    return lightkube.Client(lightkube.KubeConfig.from_file(platform.kubeconfig), namespace=namespace, field_manager="lightkube")


def refused(call: Any, *args: Any, **options: Any) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        call(*args, **options)
    return caught.value.status.code, caught.value.status.reason


def test_objects(platform: Cluster, namespace: str) -> None:
    client = kube(platform, namespace)
    made = client.create(ConfigMap(metadata=ObjectMeta(name="m", labels={"x": "y"}), data={"a": "1"}))
    assert refused(client.create, ConfigMap(metadata=ObjectMeta(name="m"))) == (409, "AlreadyExists")
    assert client.patch(ConfigMap, "m", {"data": {"b": "2"}}).data == {"a": "1", "b": "2"}
    assert client.patch(ConfigMap, "m", {"data": {"a": None}}, patch_type=PatchType.MERGE).data == {"b": "2"}
    operations = [{"op": "remove", "path": "/data/b"}]
    assert not client.patch(ConfigMap, "m", operations, patch_type=PatchType.JSON).data
    assert refused(client.replace, made) == (409, "Conflict")
    assert [found.metadata.name for found in client.list(ConfigMap, labels={"x": ["y", "z"]})] == ["m"]
    assert list(client.list(ConfigMap, labels={"x": None}, fields={"metadata.name": "other"})) == []
    client.delete(ConfigMap, "m", cascade=CascadeType.BACKGROUND)
    assert refused(client.get, ConfigMap, "m") == (404, "NotFound")
    assert "default" in [found.metadata.name for found in client.list(Namespace, chunk_size=2)]


def test_applying(platform: Cluster, namespace: str) -> None:
    client = kube(platform, namespace)
    wish = codecs.from_dict(config_map("a", color="red"))
    assert client.apply(wish).data == {"color": "red"}
    other = codecs.from_dict(config_map("a", color="blue"))
    assert refused(client.apply, other, field_manager="other") == (409, "Conflict")
    assert client.apply(other, field_manager="other", force=True).data == {"color": "blue"}


def test_custom_objects(platform: Cluster, namespace: str) -> None:
    client = kube(platform, namespace)
    made = client.create(Widget(metadata=ObjectMeta(name="w"), spec={"size": 1, "replicas": 1}))
    assert made.spec == {"size": 1, "color": "blue", "replicas": 1}
    assert client.patch(Widget.Status, "w", {"status": {"replicas": 2}}, patch_type=PatchType.MERGE).status == {"replicas": 2}
    assert refused(client.create, Widget(metadata=ObjectMeta(name="bad"), spec={"size": 0})) == (422, "Invalid")
    assert client.get(Widget.Scale, "w").status.replicas == 2
    client.deletecollection(Widget)
    assert list(client.list(Widget)) == []


def test_scaling(platform: Cluster, namespace: str) -> None:
    client = kube(platform, namespace)
    client.create(codecs.from_dict(deployment("d", 0)))
    scale = client.replace(Deployment.Scale(metadata=ObjectMeta(name="d", namespace=namespace), spec=ScaleSpec(replicas=3)))
    assert scale.status.selector == "app=d"
    assert client.get(Deployment, "d").spec.replicas == 3


def test_watching_waiting_and_logs(platform: Cluster, namespace: str) -> None:
    client = kube(platform, namespace)
    client.create(codecs.from_dict(pod("p", "echo one; echo two")))
    assert client.wait(Pod, "p", for_conditions=["PodScheduled"]).metadata.name == "p"
    for _, found in client.watch(Pod, fields={"metadata.name": "p"}):
        if found.status.phase == "Succeeded":
            break
    assert list(client.log("p", follow=True)) == ["one\n", "two\n"]
    client.delete(Pod, "p", grace_period=0)


def test_on_an_event_loop(platform: Cluster, namespace: str) -> None:
    async def work() -> list[str]:
        client = lightkube.AsyncClient(lightkube.KubeConfig.from_file(platform.kubeconfig), namespace=namespace)
        start = None
        async for existing in client.list(ConfigMap):
            start = existing.metadata.resourceVersion
        await client.create(codecs.from_dict(config_map("w", {"seen": "yes"})))
        await client.delete(ConfigMap, "w")
        seen = []
        async for kind, _ in client.watch(ConfigMap, labels={"seen": "yes"}, resource_version=start):
            seen.append(kind)
            if kind == "DELETED":
                break
        await client.close()
        return seen

    assert asyncio.run(asyncio.wait_for(work(), 20))[-1] == "DELETED"
