"""Namespaces, accounts, endpoints and garbage on every server."""

import pytest

from lightship.kinds import CONFIG_MAPS, ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS, SERVICES
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from tests.cluster import make
from tests.cluster.site import CA, Backend, Site


def test_a_namespace_is_equipped(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers():

            async def equipped() -> bool:
                account = await here.client.get_or_none(SERVICE_ACCOUNTS, "default", here.namespace)
                found = await here.client.get_or_none(CONFIG_MAPS, "kube-root-ca.crt", here.namespace)
                return account is not None and found is not None and found["data"]["ca.crt"] == CA

            await here.until(equipped)
            await here.client.delete(SERVICE_ACCOUNTS, "default", here.namespace)
            await here.client.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "forged"}}, here.namespace)
            await here.until(equipped, "what was damaged is repaired")

    backend.run(scenario)


def test_a_namespace_says_what_holds_it_and_goes(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": here.namespace}}
            await here.client.create(SECRETS, secret)
            await here.client.create(PODS, make.pod(here, "p"))
            await here.client.create(CONFIG_MAPS, make.config_map(here, "held", finalizers=["test.example/wait"]))
            await here.until_bound(1)
            await here.client.delete(NAMESPACES, here.namespace)

            async def says_what_is_left() -> bool:
                found = await here.client.get(NAMESPACES, here.namespace)
                assert objects.status(found)["phase"] == "Terminating"
                return "configmaps. has 1 resource instances" in (conditions.get(found, "NamespaceContentRemaining") or {}).get(
                    "message", ""
                )

            await here.until(says_what_is_left)
            assert await here.all(SECRETS) == []
            await here.until_some(PODS, 0)
            await here.client.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, here.namespace)
            await here.until_gone(NAMESPACES, here.namespace)

    backend.run(scenario)


def service(here: Site, **spec: object) -> Obj:
    metadata = {"name": "web", "namespace": here.namespace}
    fields = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080, "name": "http"}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": fields}


async def addresses(here: Site) -> list[tuple[str, bool, str]]:
    """(address, ready, hostname) of all slices of the service."""
    found = await here.all(ENDPOINT_SLICES, "kubernetes.io/service-name=web")
    return sorted((e["addresses"][0], e["conditions"]["ready"], e.get("hostname", "")) for s in found for e in s.get("endpoints") or ())


def test_endpoints_follow_pods(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(SERVICES, service(here))
            await here.client.create(PODS, make.pod(here, "web"))
            (pod,) = await here.until_bound(1)
            await here.move(pod, "Running", ready=True, podIP="10.9.0.1", podIPs=[{"ip": "10.9.0.1"}])

            async def listed(*want: tuple[str, bool, str]) -> bool:
                return await addresses(here) == list(want)

            await here.until(lambda: listed(("10.9.0.1", True, "")))

            async def in_the_older_form() -> bool:
                subsets = (await here.get(ENDPOINTS, "web")).get("subsets") or []
                return [address["ip"] for subset in subsets for address in subset.get("addresses") or ()] == ["10.9.0.1"]

            await here.until(in_the_older_form)
            await here.settle(0.5)
            before = await revisions(here)
            await here.settle(0.5)
            assert await revisions(here) == before, "endpoints that are right are not written again"
            await here.client.delete(PODS, "web", here.namespace)
            await here.until(listed)
            await here.client.delete(SERVICES, "web", here.namespace)
            await here.until_gone(ENDPOINTS, "web")
            await here.until_some(ENDPOINT_SLICES, 0)

    backend.run(scenario)


async def revisions(here: Site) -> list[int]:
    return [objects.revision(obj) for kind in (ENDPOINTS, ENDPOINT_SLICES) for obj in await here.all(kind)]


def test_a_headless_service_names_pods_before_they_are_ready(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers(), here.node():
            await here.client.create(SERVICES, service(here, clusterIP="None", publishNotReadyAddresses=True, ports=[]))
            await here.client.create(PODS, make.pod(here, "web", hostname="first", subdomain="web"))
            (pod,) = await here.until_bound(1)
            await here.move(pod, "Pending", podIP="10.9.0.2", podIPs=[{"ip": "10.9.0.2"}])

            async def listed() -> bool:
                return await addresses(here) == [("10.9.0.2", True, "first")]

            await here.until(listed)
            (found,) = await here.all(ENDPOINT_SLICES)
            assert objects.labels(found)["service.kubernetes.io/headless"] == ""

    backend.run(scenario)


def owned(here: Site, name: str, *owners: Obj, **metadata: object) -> Obj:
    refs = [objects.owner_reference(owner, controller=False) for owner in owners]
    return make.config_map(here, name, ownerReferences=refs, **metadata)


def test_what_is_owned_goes_with_its_last_owner(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers():
            owner = await here.client.create(CONFIG_MAPS, make.config_map(here, "owner"))
            other = await here.client.create(CONFIG_MAPS, make.config_map(here, "other"))
            middle = await here.client.create(CONFIG_MAPS, owned(here, "middle", owner))
            await here.client.create(CONFIG_MAPS, owned(here, "leaf", middle))
            await here.client.create(CONFIG_MAPS, owned(here, "shared", owner, other))
            await here.client.delete(CONFIG_MAPS, "owner", here.namespace)
            await here.until_gone(CONFIG_MAPS, "leaf")

            async def disowned() -> bool:
                return [ref["name"] for ref in objects.owners(await here.get(CONFIG_MAPS, "shared"))] == ["other"]

            await here.until(disowned)
            ghost = {**owner, "metadata": {**owner["metadata"], "name": "ghost", "uid": "no-such-uid"}}
            await here.client.create(CONFIG_MAPS, owned(here, "child", ghost))
            await here.until_gone(CONFIG_MAPS, "child")

    backend.run(scenario)


def test_foreground_waits_and_orphans_stay(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers():
            owner = await here.client.create(CONFIG_MAPS, make.config_map(here, "owner"))
            await here.client.create(CONFIG_MAPS, owned(here, "slow", owner, finalizers=["test.example/wait"]))
            await here.settle(0.3)
            await here.client.delete(CONFIG_MAPS, "owner", here.namespace, DeleteOptions(propagation_policy="Foreground"))

            async def going() -> bool:
                return objects.is_deleting(await here.get(CONFIG_MAPS, "slow"))

            await here.until(going)
            await here.settle(0.3)
            assert objects.is_deleting(await here.get(CONFIG_MAPS, "owner"))
            await here.client.patch(CONFIG_MAPS, "slow", {"metadata": {"finalizers": None}}, here.namespace)
            await here.until_gone(CONFIG_MAPS, "owner")

            owner = await here.client.create(CONFIG_MAPS, make.config_map(here, "owner"))
            await here.client.create(CONFIG_MAPS, owned(here, "child", owner))
            await here.settle(0.3)
            await here.client.delete(CONFIG_MAPS, "owner", here.namespace, DeleteOptions(propagation_policy="Orphan"))
            await here.until_gone(CONFIG_MAPS, "owner")
            await here.settle(0.3)
            assert objects.owners(await here.get(CONFIG_MAPS, "child")) == []

    backend.run(scenario)


@pytest.mark.parametrize("policy", ["Foreground", "Background"])
def test_a_circle_of_owners_does_not_block(backend: Backend, policy: str) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers():
            a = await here.client.create(CONFIG_MAPS, make.config_map(here, "a"))
            b = await here.client.create(CONFIG_MAPS, owned(here, "b", a))
            refs = owned(here, "a", b)["metadata"]["ownerReferences"]
            await here.client.patch(CONFIG_MAPS, "a", {"metadata": {"ownerReferences": refs}}, here.namespace)
            await here.settle(0.3)
            await here.client.delete(CONFIG_MAPS, "a", here.namespace, DeleteOptions(propagation_policy=policy))
            await here.until_gone(CONFIG_MAPS, "a")
            await here.until_gone(CONFIG_MAPS, "b")

    backend.run(scenario)
