"""The official Python client's dynamic half: discovery, objects without models, watches; and its leader election."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, ResourceNotFoundError, UnprocessibleEntityError

from lightship.testing import Cluster

from .shared import GROUP, WIDGET_API, config_map, definition, deployment, widget

pytestmark = pytest.mark.slow


@pytest.fixture
def dynamic(platform: Cluster, tmp_path: Path) -> Iterator[Any]:
    with kubernetes.config.new_client_from_config(platform.kubeconfig) as api:
        yield DynamicClient(api, cache_file=str(tmp_path / "discovery.json"))


def test_discovery(dynamic: Any) -> None:
    assert "log" in dynamic.resources.get(api_version="v1", kind="Pod").subresources
    assert {found.group_version for found in dynamic.resources.search(kind="Event")} == {"v1", "events.k8s.io/v1"}
    with pytest.raises(ResourceNotFoundError):
        dynamic.resources.get(api_version="v7", kind="Pod")
    assert dynamic.version["kubernetes"]["major"] == "1"


def test_built_in_objects(dynamic: Any, namespace: str) -> None:
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    made = maps.create(body=config_map("m", {"x": "y"}, a="1"), namespace=namespace)
    with pytest.raises(ConflictError):
        maps.create(body=config_map("m"), namespace=namespace)
    changed = maps.patch(body={"data": {"a": None, "b": "2"}}, name="m", namespace=namespace, content_type="application/merge-patch+json")
    assert changed.data.to_dict() == {"b": "2"}
    operations = [{"op": "replace", "path": "/data/b", "value": "3"}]
    assert maps.patch(body=operations, name="m", namespace=namespace, content_type="application/json-patch+json").data.b == "3"
    kept = changed.to_dict() | {"data": {"c": "4"}}
    with pytest.raises(ConflictError):
        maps.replace(body=kept, namespace=namespace)
    assert [item.metadata.uid for item in maps.get(namespace=namespace, label_selector="x=y").items] == [made.metadata.uid]
    maps.delete(name="m", namespace=namespace)
    with pytest.raises(NotFoundError):
        maps.get(name="m", namespace=namespace)


def test_scale_and_status(dynamic: Any, namespace: str) -> None:
    deployments = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    deployments.create(body=deployment("d", 0), namespace=namespace)
    scale = deployments.scale.patch(
        body={"spec": {"replicas": 3}}, name="d", namespace=namespace, content_type="application/merge-patch+json"
    )
    assert (scale.kind, scale.spec.replicas) == ("Scale", 3)
    ready = {"status": {"replicas": 3, "observedGeneration": 2}}
    told = deployments.status.patch(body=ready, name="d", namespace=namespace, content_type="application/merge-patch+json")
    assert told.status.replicas == 3, "as written: a moment later its controller may say what it sees"


def test_a_kind_that_appears(dynamic: Any, namespace: str) -> None:
    definitions = dynamic.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    definitions.create(body=definition("gadgets", "Gadget"))
    for event in definitions.watch(name=f"gadgets.{GROUP}", timeout=20):
        if any(found.type == "Established" and found.status == "True" for found in event["object"].status.conditions or []):
            break
    gadgets = dynamic.resources.get(api_version=WIDGET_API, kind="Gadget")
    made = gadgets.create(body=widget("g") | {"kind": "Gadget"}, namespace=namespace)
    assert made.spec.color == "blue"
    with pytest.raises(UnprocessibleEntityError):
        gadgets.create(body=widget("none", -1) | {"kind": "Gadget"}, namespace=namespace)
    definitions.delete(name=f"gadgets.{GROUP}")


def test_watching(dynamic: Any, namespace: str) -> None:
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
    start = maps.get(namespace=namespace).metadata.resourceVersion
    maps.create(body=config_map("w"), namespace=namespace)
    maps.delete(name="w", namespace=namespace)
    seen = []
    for event in maps.watch(namespace=namespace, resource_version=start, field_selector="metadata.name=w", timeout=20):
        seen.append(event["type"])
        if event["type"] == "DELETED":
            break
    assert seen == ["ADDED", "DELETED"]


def test_leaders_are_elected(dynamic: Any, platform: Cluster, namespace: str) -> None:
    from kubernetes.leaderelection import electionconfig, leaderelection
    from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

    kubernetes.config.load_kube_config(platform.kubeconfig)
    led = threading.Event()

    def lead() -> None:
        led.set()

    lock = ConfigMapLock("lock", namespace, "me")
    settings = electionconfig.Config(
        lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=lead, onstopped_leading=None
    )
    assert leaderelection.LeaderElection(settings).acquire()
    record = dynamic.resources.get(api_version="v1", kind="ConfigMap").get(name="lock", namespace=namespace)
    assert '"holderIdentity": "me"' in record.metadata.annotations["control-plane.alpha.kubernetes.io/leader"]
