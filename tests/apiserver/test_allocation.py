"""Addresses and node ports of Services: given out once, given back, and put right after a crash."""

import asyncio
from typing import Any

import pytest

from lightship import kinds, store
from lightship.apiserver.admission import allocation
from lightship.apiserver.bootstrap import kubernetes_service
from lightship.kinds.networking.address_ranges import Range
from lightship.meta.objects import Obj

from .site import Site, refused, run

SERVICES, ADDRESSES, CIDRS = kinds.SERVICES, kinds.IP_ADDRESSES, kinds.SERVICE_CIDRS


def service(name: str, **spec: Any) -> Obj:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


async def taken(site: Site) -> dict[str, str]:
    """Service by address."""
    found = (await site.listing(ADDRESSES, "")).items
    return {a["metadata"]["name"]: a["spec"]["parentRef"]["name"] for a in found}


def ports(site: Site) -> dict[int, str]:
    records = site.server.store.list(allocation.NODE_PORTS).records
    return {int(r.obj["metadata"]["name"]): r.obj["owner"] for r in records}


def test_an_address_is_an_object_and_goes_with_its_service() -> None:
    async def test(site: Site) -> None:
        made = await site.create(SERVICES, service("a"))
        address = made["spec"]["clusterIP"]
        assert made["spec"]["clusterIPs"] == [address]
        assert address in Range("10.96.0.0/16")
        found = await site.get(ADDRESSES, address, "")
        assert found["metadata"]["labels"] == {
            "ipaddress.kubernetes.io/ip-family": "IPv4",
            "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        }
        assert found["spec"] == {"parentRef": {"group": "", "resource": "services", "namespace": "default", "name": "a"}}
        await site.delete(SERVICES, "a")
        assert await taken(site) == {}

    run(test)


def test_nobody_gets_what_another_has() -> None:
    async def test(site: Site) -> None:
        await site.create(SERVICES, service("a", clusterIP="10.96.5.5"))
        with refused(422, "Invalid", "failed to allocate IP 10.96.5.5: provided IP is already allocated"):
            await site.create(SERVICES, service("b", clusterIP="10.96.5.5"))
        for address in ("10.97.0.1", "10.96.0.0", "10.96.255.255"):
            with refused(422, "Invalid", f"failed to allocate IP {address}: the provided network does not match the current range"):
                await site.create(SERVICES, service("b", clusterIP=address))
        assert await taken(site) == {"10.96.5.5": "a"}
        await site.delete(SERVICES, "a")
        await site.create(SERVICES, service("b", clusterIP="10.96.5.5"))

    run(test)


def test_many_at_once_have_different_ones() -> None:
    async def test(site: Site) -> None:
        made = await asyncio.gather(*(site.create(SERVICES, service(f"s{i}", type="NodePort")) for i in range(60)))
        assert len({m["spec"]["clusterIP"] for m in made}) == 60
        assert len({m["spec"]["ports"][0]["nodePort"] for m in made}) == 60
        assert len(await taken(site)) == len(ports(site)) == 60

    run(test)


def test_two_who_ask_for_the_same_at_once() -> None:
    async def test(site: Site) -> None:
        asked = [site.create(SERVICES, service(f"s{i}", type="NodePort", ports=[{"port": 80, "nodePort": 30500}])) for i in range(5)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(a, dict) for a in answers) == 1
        assert len(ports(site)) == 1
        assert len(await taken(site)) == 1

    run(test)


def test_a_dry_run_takes_nothing() -> None:
    async def test(site: Site) -> None:
        made = await site.create(SERVICES, service("a", type="NodePort"), dry_run=True)
        assert made["spec"]["clusterIP"]
        assert made["spec"]["ports"][0]["nodePort"]
        assert (await taken(site), ports(site)) == ({}, {})

    run(test)


@pytest.mark.parametrize(
    ("before", "after", "address", "node_ports"),
    [
        ({"type": "NodePort"}, {"type": "ClusterIP"}, True, 0),
        ({"type": "ClusterIP"}, {"type": "NodePort"}, True, 1),
        ({"type": "NodePort"}, {"type": "ExternalName", "externalName": "a.b"}, False, 0),
        ({"type": "ExternalName", "externalName": "a.b"}, {"type": "ClusterIP", "externalName": None}, True, 0),
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}, {"externalTrafficPolicy": "Cluster"}, True, 1),
        ({"type": "LoadBalancer"}, {"externalTrafficPolicy": "Local"}, True, 2),
        ({"type": "NodePort"}, {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}, True, 2),
        ({"clusterIP": "None"}, {"ports": [{"port": 81}]}, False, 0),
    ],
)
def test_a_change_takes_and_gives_back(before: Obj, after: Obj, address: bool, node_ports: int) -> None:
    async def test(site: Site) -> None:
        made = await site.create(SERVICES, service("a", **before))
        changed = await site.patch(SERVICES, "a", {"spec": after})
        assert await taken(site) == ({changed["spec"]["clusterIP"]: "a"} if address else {})
        assert len(ports(site)) == node_ports
        if address and "clusterIP" in made["spec"]:
            assert changed["spec"]["clusterIP"] == made["spec"]["clusterIP"]
        await site.delete(SERVICES, "a")
        assert (await taken(site), ports(site)) == ({}, {})

    run(test)


def test_what_a_finalizer_holds_keeps_its_address() -> None:
    async def test(site: Site) -> None:
        await site.create(SERVICES, {**service("a"), "metadata": {"name": "a", "finalizers": ["example.com/wait"]}})
        await site.delete(SERVICES, "a")
        assert list((await taken(site)).values()) == ["a"]
        await site.patch(SERVICES, "a", {"metadata": {"finalizers": None}})
        assert await taken(site) == {}

    run(test)


def test_a_restart_knows_what_is_taken_and_puts_right_what_is_not() -> None:
    backing = store.memory()

    async def first(site: Site) -> None:
        await site.create(SERVICES, service("a", clusterIP="10.96.5.5", type="NodePort", ports=[{"port": 80, "nodePort": 30500}]))
        await site.create(SERVICES, service("b", clusterIP="10.96.6.6"))
        head = site.server.store.head
        lost, left = head(allocation.ADDRESSES + "10.96.6.6"), head("core/services/default/a")
        assert lost is not None
        assert left is not None
        await site.server.store.commit(store.Delete(lost.key, lambda _: lost.value, lost.revision))
        await site.server.store.commit(store.Delete(left.key, lambda _: left.value, left.revision))

    async def second(site: Site) -> None:
        assert await taken(site) == {"10.96.6.6": "b"}
        assert ports(site) == {}

    run(first, backing=backing)
    run(second, backing=backing)


def test_a_full_range_says_so_and_another_one_helps() -> None:
    async def test(site: Site) -> None:
        own = await site.get(CIDRS, "kubernetes", "")
        assert own["spec"] == {"cidrs": ["10.96.0.0/16"]}
        small = {"metadata": {"name": "small"}, "spec": {"cidrs": ["10.200.0.0/29"]}}
        await site.create(CIDRS, small, "")
        made = await site.create(SERVICES, service("chosen", clusterIP="10.200.0.3"))
        assert made["spec"]["clusterIP"] == "10.200.0.3"

    run(test)


@pytest.mark.parametrize(
    ("cidr", "first", "inside", "outside"),
    [
        ("10.96.0.0/16", "10.96.0.1", ["10.96.0.1", "10.96.255.254"], ["10.96.0.0", "10.96.255.255", "10.97.0.0", "fd00::1", "x"]),
        ("10.0.0.0/30", "10.0.0.1", ["10.0.0.1", "10.0.0.2"], ["10.0.0.0", "10.0.0.3"]),
        ("fd00::/112", "fd00::1", ["fd00::1", "fd00::ffff"], ["fd00::", "fd00::1:0", "10.0.0.1"]),
    ],
)
def test_ranges(cidr: str, first: str, inside: list[str], outside: list[str]) -> None:
    found = Range(cidr)
    assert found.first() == first
    assert all(address in found for address in inside)
    assert not any(address in found for address in outside)


def test_the_kubernetes_service() -> None:
    async def test(site: Site) -> None:
        for port in (6443, 6444):
            await kubernetes_service.announce(site.api, "10.1.2.3", port)
            made = await site.get(SERVICES, "kubernetes")
            assert made["metadata"]["labels"] == {"component": "apiserver", "provider": "kubernetes"}
            assert made["spec"]["clusterIP"] == "10.96.0.1"
            assert made["spec"]["ports"] == [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}]
            subset = {"addresses": [{"ip": "10.1.2.3"}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}
            assert (await site.get(kinds.ENDPOINTS, "kubernetes"))["subsets"] == [subset]
            found = await site.get(kinds.ENDPOINT_SLICES, "kubernetes")
            assert (found["endpoints"], found["ports"][0]["port"]) == ([{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}], port)
        version = made["metadata"]["resourceVersion"]
        await kubernetes_service.announce(site.api, "10.1.2.3", 6444)
        assert (await site.get(SERVICES, "kubernetes"))["metadata"]["resourceVersion"] == version

    run(test)


def test_no_endpoints_of_a_server_for_this_machine_alone() -> None:
    async def test(site: Site) -> None:
        await kubernetes_service.announce(site.api, "127.0.0.1", 6443)
        assert await site.names(kinds.ENDPOINTS) == []
        assert await site.names(SERVICES) == ["kubernetes"]

    run(test)
