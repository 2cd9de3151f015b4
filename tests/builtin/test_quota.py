"""ResourceQuota: admission charges with the write, the controller counts what is there; both on our API server in virtual time."""

import asyncio
from typing import Any

import pytest

from lightship.kinds import CONFIG_MAPS, PODS, RESOURCE_QUOTAS, SERVICES
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import WriteOptions
from tests.builtin import make
from tests.builtin.site import Site, run


def quota(hard: dict[str, str], **spec: Any) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": "default"},
        "spec": {"hard": hard, **spec},
    }


def pod(name: str, requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **spec: Any) -> Obj:
    template = make.pod_spec()
    template["containers"][0]["resources"] = {"requests": requests or {}, "limits": limits or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": {**template, **spec}}


async def used(here: Site) -> dict[str, str]:
    found: dict[str, str] = ((await here.client.get(RESOURCE_QUOTAS, "q", "default")).get("status") or {}).get("used") or {}
    return found


async def until_used(here: Site, want: dict[str, str]) -> None:
    async def there() -> bool:
        found = await used(here)
        return {name: found.get(name) for name in want} == want

    await here.until(there, f"used {want}")


def test_the_controller_counts_what_is_there_and_what_goes() -> None:
    async def work(here: Site) -> None:
        await here.client.create(PODS, pod("a", {"cpu": "500m", "memory": "1Gi"}))
        await here.client.create(RESOURCE_QUOTAS, quota({"pods": "5", "cpu": "2", "requests.memory": "4Gi", "count/configmaps": "9"}))
        await until_used(here, {"pods": "1", "cpu": "500m", "requests.memory": "1Gi", "count/configmaps": "1"})
        await here.client.create(PODS, pod("b", {"cpu": "1", "memory": "512Mi"}))
        assert (await used(here))["cpu"] == "1500m", "charged with the write"
        await here.client.delete(PODS, "b", "default")
        await until_used(here, {"pods": "1", "cpu": "500m"})

    run(work)


def test_more_than_allowed_is_refused_and_stores_nothing() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_QUOTAS, quota({"pods": "1", "cpu": "1"}))
        await until_used(here, {"pods": "0", "cpu": "0"})
        with pytest.raises(StatusError) as greedy:
            await here.client.create(PODS, pod("a", {"cpu": "1500m"}))
        assert greedy.value.code == 403
        assert greedy.value.message == 'pods "a" is forbidden: exceeded quota: q, requested: cpu=1500m, used: cpu=0, limited: cpu=1'
        with pytest.raises(StatusError, match=r"failed quota: q: must specify cpu for: "):
            await here.client.create(PODS, pod("a"))
        assert await here.pods() == []
        assert await used(here) == {"pods": "0", "cpu": "0"}

    run(work)


def test_many_at_once_never_get_more_than_there_is() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_QUOTAS, quota({"count/configmaps": "8"}))
        await until_used(here, {"count/configmaps": "1"})

        refusals: list[str] = []

        async def one(number: int) -> bool:
            try:
                await here.client.create(CONFIG_MAPS, {"metadata": {"name": f"c{number}", "namespace": "default"}})
            except StatusError as error:
                refusals.append(error.message)
                return False
            return True

        told = await asyncio.gather(*(one(number) for number in range(40)))
        assert sum(told) == 7
        assert all("exceeded quota" in message for message in refusals)
        assert (await used(here))["count/configmaps"] == "8"

    run(work)


def test_scopes_choose_pods() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_QUOTAS, quota({"pods": "1"}, scopes=["BestEffort"]))
        await until_used(here, {"pods": "0"})
        await here.client.create(PODS, pod("burstable", {"cpu": "1"}))
        assert (await used(here))["pods"] == "0"
        await here.client.create(PODS, pod("best-effort"))
        with pytest.raises(StatusError, match="exceeded quota"):
            await here.client.create(PODS, pod("another"))

    run(work)


def test_services_count_their_node_ports() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_QUOTAS, quota({"services": "5", "services.nodeports": "1"}))
        await until_used(here, {"services": "0"})
        service = {"metadata": {"name": "s", "namespace": "default"}, "spec": {"ports": [{"port": 80}], "type": "NodePort"}}
        await here.client.create(SERVICES, service)
        assert await used(here) == {"services": "1", "services.nodeports": "1"}

    run(work)


def test_a_dry_run_charges_nothing() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_QUOTAS, quota({"pods": "1"}))
        await until_used(here, {"pods": "0"})
        before = here.server.store.revision
        await here.client.transport.create(PODS, "default", pod("a"), options=WriteOptions(dry_run=True))
        assert here.server.store.revision == before
        assert (await used(here))["pods"] == "0"

    run(work)
