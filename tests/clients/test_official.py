"""The official Python client, typed and synchronous: what people write with it every day."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.client import ApiException

from lightship.testing import Cluster
from tests.platform.kit import eventually

from .shared import GROUP, config_map, deployment, job, pod, widget, written

pytestmark = pytest.mark.slow


@pytest.fixture
def api(platform: Cluster) -> Iterator[Any]:
    with kubernetes.config.new_client_from_config(platform.kubeconfig) as made:
        yield made


@pytest.fixture
def core(api: Any) -> Any:
    return kubernetes.client.CoreV1Api(api)


def refused(call: Any, *args: Any, **options: Any) -> tuple[int, str, dict[str, Any]]:
    with pytest.raises(ApiException) as caught:
        call(*args, **options)
    told = json.loads(caught.value.body)
    assert told["kind"] == "Status"
    return caught.value.status, told["reason"], told


def test_built_in_objects(core: Any, namespace: str) -> None:
    body = kubernetes.client.V1ConfigMap(
        metadata=kubernetes.client.V1ObjectMeta(generate_name="c-"), data={"a": "1"}, binary_data={"b": "AAE="}
    )
    made = core.create_namespaced_config_map(namespace, body)
    name = made.metadata.name
    assert name.startswith("c-")
    assert made.metadata.creation_timestamp.tzinfo is not None
    read = core.read_namespaced_config_map(name, namespace)
    assert (read.data, read.binary_data) == ({"a": "1"}, {"b": "AAE="})
    read.data["a"] = "2"
    replaced = core.replace_namespaced_config_map(name, namespace, read)
    assert replaced.data == {"a": "2"}
    assert refused(core.replace_namespaced_config_map, name, namespace, read)[:2] == (409, "Conflict")
    assert core.create_namespaced_config_map(namespace, config_map("dry"), dry_run="All").metadata.uid
    listed = core.list_namespaced_config_map(namespace, field_selector=f"metadata.name={name}")
    assert [item.metadata.uid for item in listed.items] == [made.metadata.uid]
    assert core.delete_namespaced_config_map(name, namespace).status == "Success"
    assert refused(core.read_namespaced_config_map, name, namespace)[:2] == (404, "NotFound")


def test_patches_of_all_types(core: Any, namespace: str) -> None:
    core.create_namespaced_service(namespace, {"metadata": {"name": "s"}, "spec": {"ports": [{"name": "a", "port": 80}]}})
    strategic = core.patch_namespaced_service("s", namespace, {"spec": {"ports": [{"name": "b", "port": 81}]}})
    assert sorted(port.port for port in strategic.spec.ports) == [80, 81]
    operations = [
        {"op": "test", "path": "/spec/type", "value": "ClusterIP"},
        {"op": "add", "path": "/metadata/labels", "value": {"x": "y"}},
    ]
    assert core.patch_namespaced_service("s", namespace, operations).metadata.labels == {"x": "y"}
    core.api_client.set_default_header("Content-Type", "application/merge-patch+json")
    merge = core.patch_namespaced_service("s", namespace, {"metadata": {"labels": {"x": None, "z": "1"}}})
    assert merge.metadata.labels == {"z": "1"}
    core.api_client.set_default_header("Content-Type", "application/json-patch+json")
    failed = [{"op": "test", "path": "/spec/type", "value": "NodePort"}]
    assert refused(core.patch_namespaced_service, "s", namespace, failed)[:2] == (422, "Invalid")


def test_applying_and_conflicts(core: Any, namespace: str) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(core.api_client)
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")

    def apply(manager: str, **options: Any) -> Any:
        return dynamic.server_side_apply(maps, config_map("a", color=manager), "a", namespace, field_manager=manager, **options)

    assert apply("one").data.to_dict() == {"color": "one"}
    code, reason, told = refused(apply, "two")
    assert (code, reason) == (409, "Conflict")
    assert told["details"]["causes"] == [{"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.color"}]
    taken = apply("two", force_conflicts=True)
    assert [entry.operation for entry in taken.metadata.managedFields if entry.manager == "two"] == ["Apply"]


def test_custom_objects(api: Any, namespace: str) -> None:
    custom = kubernetes.client.CustomObjectsApi(api)
    at = (GROUP, "v1", namespace, "widgets")
    made = custom.create_namespaced_custom_object(*at, widget("w", 2))
    assert made["spec"] == {"size": 2, "color": "blue"}
    code, reason, told = refused(custom.create_namespaced_custom_object, *at, widget("bad", 0))
    assert (code, reason, told["details"]["causes"][0]["field"]) == (422, "Invalid", "spec.size")
    custom.patch_namespaced_custom_object(*at, "w", {"spec": {"size": 3}})
    custom.patch_namespaced_custom_object_status(*at, "w", {"status": {"replicas": 4}, "spec": {"size": 9}})
    found = custom.get_namespaced_custom_object(*at, "w")
    assert (found["spec"]["size"], found["status"]["replicas"], found["metadata"]["generation"]) == (3, 4, 2)
    scale = custom.patch_namespaced_custom_object_scale(*at, "w", {"spec": {"replicas": 5}})
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["replicas"]) == ("Scale", 5, 4)
    assert custom.list_namespaced_custom_object(*at, label_selector="none=here")["items"] == []
    custom.delete_collection_namespaced_custom_object(*at)
    assert custom.list_namespaced_custom_object(*at)["items"] == []


def test_a_file_of_objects(api: Any, core: Any, namespace: str, tmp_path: Path) -> None:
    path = written(
        tmp_path / "all.yaml",
        config_map("one", a="1"),
        deployment("d", 0),
        {"kind": "List", "apiVersion": "v1", "items": [config_map("two")]},
    )
    kubernetes.utils.create_from_yaml(api, path, namespace=namespace)
    assert {"one", "two"} <= {item.metadata.name for item in core.list_namespaced_config_map(namespace).items}
    with pytest.raises(kubernetes.utils.FailToCreateError) as caught:
        kubernetes.utils.create_from_yaml(api, path, namespace=namespace)
    assert {error.status for error in caught.value.api_exceptions} == {409}


def test_watching_and_resuming(core: Any, namespace: str) -> None:
    start = core.list_namespaced_config_map(namespace).metadata.resource_version
    for number in range(3):
        core.create_namespaced_config_map(namespace, config_map(f"w{number}", {"seen": "yes"}))
    watch = kubernetes.watch.Watch()
    first = []
    for event in watch.stream(
        core.list_namespaced_config_map, namespace, label_selector="seen", resource_version=start, timeout_seconds=20
    ):
        first.append((event["type"], event["object"].metadata.name))
        if len(first) == 2:
            watch.stop()
    assert first == [("ADDED", "w0"), ("ADDED", "w1")]
    core.patch_namespaced_config_map("w0", namespace, {"metadata": {"labels": {"seen": None}}})
    core.delete_namespaced_config_map("w2", namespace)
    rest = []
    resumed = kubernetes.watch.Watch()
    since = watch.resource_version
    for event in resumed.stream(
        core.list_namespaced_config_map, namespace, label_selector="seen", resource_version=since, timeout_seconds=20
    ):
        rest.append((event["type"], event["object"].metadata.name))
        if len(rest) == 3:
            resumed.stop()
    assert rest == [("ADDED", "w2"), ("DELETED", "w0"), ("DELETED", "w2")]


def test_pages(core: Any, namespace: str) -> None:
    for number in range(5):
        core.create_namespaced_secret(namespace, {"metadata": {"name": f"p{number}"}, "stringData": {"a": "b"}})
    names: list[str] = []
    token = None
    while True:
        page = core.list_namespaced_secret(namespace, limit=2, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
        assert page.metadata.remaining_item_count == 5 - len(names)
    assert names == [f"p{number}" for number in range(5)]


def test_a_pod_and_its_log(core: Any, namespace: str) -> None:
    core.create_namespaced_pod(namespace, pod("talks", "for i in 1 2 3; do echo line $i; sleep 0.05; done"))
    eventually(lambda: core.read_namespaced_pod("talks", namespace).status.phase in ("Running", "Succeeded"), "the pod starts")
    followed = kubernetes.watch.Watch()
    lines = list(followed.stream(core.read_namespaced_pod_log, "talks", namespace))
    assert lines == ["line 1", "line 2", "line 3"]
    assert core.read_namespaced_pod_log("talks", namespace, tail_lines=1) == "line 3\n"
    core.delete_namespaced_pod("talks", namespace, grace_period_seconds=0)
    assert refused(core.read_namespaced_pod, "talks", namespace)[0] == 404


def test_workloads(api: Any, core: Any, namespace: str) -> None:
    apps, batch = kubernetes.client.AppsV1Api(api), kubernetes.client.BatchV1Api(api)
    assert apps.create_namespaced_deployment(namespace, deployment("d", 0)).spec.strategy.type == "RollingUpdate"
    assert apps.patch_namespaced_deployment_scale("d", namespace, {"spec": {"replicas": 2}}).spec.replicas == 2
    assert apps.read_namespaced_deployment("d", namespace).spec.replicas == 2
    batch.create_namespaced_job(namespace, job("j", "true"))
    eventually(lambda: batch.read_namespaced_job_status("j", namespace).status.succeeded, "the job completes")
    gone = batch.delete_namespaced_job("j", namespace, propagation_policy="Foreground")
    assert gone.metadata is not None or gone.status
    eventually(lambda: not core.list_namespaced_pod(namespace, label_selector="job-name=j").items, "its pods go with it")
    eventually(lambda: not batch.list_namespaced_job(namespace).items, "and it goes last")


def test_who_asks_and_what_there_is(api: Any, platform: Cluster) -> None:
    assert kubernetes.client.VersionApi(api).get_code().major == "1"
    assert "batch" in [group.name for group in kubernetes.client.ApisApi(api).get_api_versions().groups]
    assert "pods" in [found.name for found in kubernetes.client.CoreV1Api(api).get_api_resources().resources]
    review = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "nodes"}}}
    assert kubernetes.client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed
    settings = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(platform.kubeconfig, client_configuration=settings)
    settings.refresh_api_key_hook = None
    settings.api_key = dict.fromkeys(settings.api_key, "Bearer forged")
    with kubernetes.client.ApiClient(settings) as forged:
        assert refused(kubernetes.client.CoreV1Api(forged).list_node)[:2] == (401, "Unauthorized")
