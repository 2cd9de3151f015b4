"""kubernetes_asyncio: the typed client, its dynamic half and its watches, on an event loop of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kubernetes_asyncio import client, config, dynamic, utils, watch
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.stream import WsApiClient

from lightship.testing import Cluster

from .shared import GROUP, config_map, deployment, pod, widget

pytestmark = pytest.mark.slow


def talk(platform: Cluster, work: Callable[[Any], Awaitable[None]]) -> None:
    """Run `work(api)` with a client of this platform."""

    async def main() -> None:
        settings = client.Configuration()
        await config.load_kube_config(platform.kubeconfig, client_configuration=settings)
        async with client.ApiClient(settings) as api:
            await asyncio.wait_for(work(api), 30)

    asyncio.run(main())


@asynccontextmanager
async def refused(code: int) -> AsyncIterator[None]:
    with pytest.raises(ApiException) as caught:
        yield
    assert caught.value.status == code


def test_objects(platform: Cluster, namespace: str) -> None:
    async def work(api: Any) -> None:
        core = client.CoreV1Api(api)
        made = await core.create_namespaced_config_map(namespace, config_map("m", {"x": "y"}, a="1"))
        async with refused(409):
            await core.create_namespaced_config_map(namespace, config_map("m"))
        merge = {"_content_type": "application/merge-patch+json"}
        assert (await core.patch_namespaced_config_map("m", namespace, {"data": {"a": None, "b": "2"}}, **merge)).data == {"b": "2"}
        operations = [{"op": "remove", "path": "/metadata/labels"}]
        assert (await core.patch_namespaced_config_map("m", namespace, operations)).metadata.labels is None
        async with refused(409):
            await core.replace_namespaced_config_map("m", namespace, made)
        strategic = {"_content_type": "application/strategic-merge-patch+json"}
        await core.patch_namespaced_config_map("m", namespace, {"data": {"$patch": "replace", "c": "3"}}, **strategic)
        listed = await core.list_namespaced_config_map(namespace, field_selector="metadata.name=m", limit=1)
        assert [item.data for item in listed.items] == [{"c": "3"}]
        await core.delete_namespaced_config_map("m", namespace)
        async with refused(404):
            await core.read_namespaced_config_map("m", namespace)

    talk(platform, work)


def test_applying(platform: Cluster, namespace: str) -> None:
    async def work(api: Any) -> None:
        apps = client.AppsV1Api(api)

        async def apply(manager: str, replicas: int, **options: Any) -> Any:
            kind = "application/apply-patch+yaml"
            body = deployment("d", replicas)
            return await apps.patch_namespaced_deployment("d", namespace, body, field_manager=manager, _content_type=kind, **options)

        assert (await apply("one", 0)).spec.replicas == 0
        async with refused(409):
            await apply("two", 1)
        assert (await apply("two", 1, force=True)).spec.replicas == 1
        scale = await apps.read_namespaced_deployment_scale("d", namespace)
        assert scale.status.selector == "app=d"

    talk(platform, work)


def test_custom_and_dynamic_objects(platform: Cluster, namespace: str) -> None:
    async def work(api: Any) -> None:
        custom = client.CustomObjectsApi(api)
        at = (GROUP, "v1", namespace, "widgets")
        assert (await custom.create_namespaced_custom_object(*at, widget("w")))["spec"]["color"] == "blue"
        async with refused(422):
            await custom.create_namespaced_custom_object(*at, widget("bad", 0))
        async with dynamic.DynamicClient(api) as found:
            widgets = await found.resources.get(api_version=f"{GROUP}/v1", kind="Widget")
            assert [item.metadata.name for item in (await widgets.get(namespace=namespace)).items] == ["w"]
            await widgets.delete(name="w", namespace=namespace)
        await utils.create_from_dict(api, config_map("from-dict"), namespace=namespace)
        assert await client.CoreV1Api(api).read_namespaced_config_map("from-dict", namespace)

    talk(platform, work)


def test_watching_and_resuming(platform: Cluster, namespace: str) -> None:
    async def work(api: Any) -> None:
        core = client.CoreV1Api(api)
        start = (await core.list_namespaced_config_map(namespace)).metadata.resource_version
        for number in range(3):
            await core.create_namespaced_config_map(namespace, config_map(f"w{number}", {"seen": "yes"}))
        seen: list[str] = []
        for count in (1, 2):
            async with watch.Watch() as events:
                stream = events.stream(core.list_namespaced_config_map, namespace, label_selector="seen", resource_version=start)
                for _ in range(count):
                    event = await anext(stream)
                    seen.append(event["object"].metadata.name)
                    start = event["object"].metadata.resource_version
        assert seen == ["w0", "w1", "w2"]

    talk(platform, work)


def test_a_pod_its_log_and_a_command(platform: Cluster, namespace: str) -> None:
    async def work(api: Any) -> None:
        core = client.CoreV1Api(api)
        await core.create_namespaced_pod(namespace, pod("p", "echo started; sleep 1000"))
        async with watch.Watch() as events:
            async for event in events.stream(core.list_namespaced_pod, namespace, field_selector="metadata.name=p"):
                if event["object"].status.phase == "Running":
                    break
        async with watch.Watch() as lines:
            assert await anext(lines.stream(core.read_namespaced_pod_log, "p", namespace, follow=True)) == "started\n"
        async with WsApiClient(api.configuration) as sockets:
            told = client.CoreV1Api(sockets)
            command = ["sh", "-c", "echo said; echo wrong >&2"]
            said = await told.connect_get_namespaced_pod_exec("p", namespace, command=command, stdout=True, stderr=True)
        assert sorted(said.split()) == ["said", "wrong"]
        await core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)

    talk(platform, work)
