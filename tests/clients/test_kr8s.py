"""kr8s: objects that know their verbs, on the synchronous and the asynchronous half."""

import asyncio
from typing import Any

import kr8s
import kr8s.asyncio
import pytest
from kr8s.objects import ConfigMap, Deployment, Pod, new_class, objects_from_files

from lightship.testing import Cluster

from .shared import GROUP, config_map, deployment, pod, widget, written

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Kubernetes version:UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # it leaves streams that were not read to their end to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def api(platform: Cluster, namespace: str) -> Any:
    return kr8s.api(kubeconfig=platform.kubeconfig, namespace=namespace)


def placed(obj: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


def test_what_there_is(api: Any) -> None:
    assert api.version()["major"] == "1"
    kinds = {found["kind"] for found in api.api_resources()}
    assert {"Pod", "Job", "TrainJob", "Widget"} <= kinds
    assert api.whoami() == "kubernetes-admin"


def test_objects(api: Any, namespace: str) -> None:
    made = ConfigMap(placed(config_map("m", {"x": "y"}, a="1"), namespace), api=api)
    made.create()
    assert made.exists()
    with pytest.raises(kr8s.ServerError) as caught:
        ConfigMap(placed(config_map("m"), namespace), api=api).create()
    assert caught.value.response.status_code == 409
    made.patch({"data": {"b": "2"}})
    assert made.data == {"a": "1", "b": "2"}
    made.patch([{"op": "remove", "path": "/data/a"}], type="json")
    made.label({"team": "blue"})
    made.annotate({"note": "this"})
    made.refresh()
    assert (made.labels.to_dict(), made.annotations["note"], made.data.to_dict()) == ({"x": "y", "team": "blue"}, "this", {"b": "2"})
    assert [found.name for found in api.get("configmaps", namespace=namespace, label_selector={"team": "blue"})] == ["m"]
    assert [found.name for found in ConfigMap.list(namespace=namespace, field_selector="metadata.name=m", api=api)] == ["m"]
    made.delete(propagation_policy="Background")
    made.wait("delete", timeout=10)
    with pytest.raises(kr8s.NotFoundError):
        ConfigMap.get("m", namespace=namespace, api=api, timeout=0)


def test_custom_objects_and_scale(api: Any, namespace: str) -> None:
    widgets: Any = new_class("Widget", f"{GROUP}/v1", namespaced=True, scalable=True)
    made = widgets(placed(widget("w"), namespace), api=api)
    made.create()
    assert made.spec.color == "blue"
    assert [found.name for found in api.get(f"widgets.{GROUP}", namespace=namespace)] == ["w"]
    replicated = Deployment(placed(deployment("d", 0), namespace), api=api)
    replicated.create()
    replicated.scale(0)
    assert replicated.replicas == 0


def test_files(api: Any, namespace: str, tmp_path: Any) -> None:
    path = written(tmp_path / "two.yaml", placed(config_map("one"), namespace), placed(config_map("two"), namespace))
    for found in objects_from_files(path, api=api):
        found.create()
    assert ConfigMap.get("two", namespace=namespace, api=api).name == "two"


def test_a_pod(api: Any, namespace: str) -> None:
    made = Pod(placed(pod("p", "echo one; sleep 1000"), namespace), api=api)
    made.create()
    made.wait("condition=Ready", timeout=20)
    assert made.ready()
    assert next(iter(made.logs(follow=True))) == "one"
    assert made.exec(["sh", "-c", "echo said"]).stdout == b"said\n"
    made.delete(grace_period=0)
    made.wait("delete", timeout=20)


def test_watching_on_an_event_loop(platform: Cluster, namespace: str) -> None:
    async def work() -> list[str]:
        api = await kr8s.asyncio.api(kubeconfig=platform.kubeconfig, namespace=namespace)
        made = await kr8s.asyncio.objects.ConfigMap(placed(config_map("w", {"seen": "yes"}), namespace), api=api)
        await made.create()
        seen = []
        async for kind, found in api.watch("configmaps", namespace=namespace, label_selector="seen=yes"):
            seen.append(kind)
            if kind == "ADDED":
                await found.delete()
            if kind == "DELETED":
                break
        return seen

    assert asyncio.run(asyncio.wait_for(work(), 20)) == ["ADDED", "DELETED"]
