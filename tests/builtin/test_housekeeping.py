"""Namespaces, default accounts, the CA, endpoints, vanished nodes and garbage, on our API server in virtual time."""

from typing import Any

import pytest

from lightship.kinds import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions
from tests.builtin import make
from tests.builtin.site import CA, Site, run


def config_map(name: str, *owners: Obj, namespace: str = "default", block: bool = True, **metadata: Any) -> Obj:
    refs = [objects.owner_reference(owner, controller=False, block_deletion=block) for owner in owners]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": refs, **metadata},
    }


def pod(name: str, **metadata: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", **metadata}, "spec": make.pod_spec()}


async def add_namespace(here: Site, name: str) -> None:
    await here.client.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": ["kubernetes"]}}
    )


def test_a_new_namespace_gets_its_account_and_the_ca() -> None:
    async def work(here: Site) -> None:
        await add_namespace(here, "team")

        async def equipped() -> bool:
            account = await here.client.get_or_none(SERVICE_ACCOUNTS, "default", "team")
            found = await here.client.get_or_none(CONFIG_MAPS, "kube-root-ca.crt", "team")
            return account is not None and found is not None and found["data"]["ca.crt"] == CA

        await here.until(equipped)
        await here.client.delete(SERVICE_ACCOUNTS, "default", "team")
        await here.client.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "forged"}}, "team")
        await here.until(equipped, "what was damaged is repaired")

    run(work)


def test_deleting_a_namespace_empties_it_first() -> None:
    async def work(here: Site) -> None:
        await add_namespace(here, "team")
        await here.client.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "team"}})
        held = config_map("held", namespace="team", finalizers=["test/wait"])
        await here.client.create(CONFIG_MAPS, held)
        await here.settle()
        await here.client.delete(NAMESPACES, "team")

        async def says_what_is_left() -> bool:
            found = await here.client.get(NAMESPACES, "team")
            return "configmaps. has 1 resource instances" in (conditions.get(found, "NamespaceContentRemaining") or {}).get("message", "")

        await here.until(says_what_is_left)
        assert await here.client.get_or_none(SECRETS, "s", "team") is None
        await here.client.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, "team")
        await here.until_gone(NAMESPACES, "team", "")

    run(work)


def service(name: str = "web", **spec: Any) -> Obj:
    fields = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080, "name": "http"}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": fields}


async def endpoint_list(here: Site, name: str) -> list[tuple[str, bool, str]]:
    """(address, ready, hostname) of all slices of a service."""
    found = (await here.client.list(ENDPOINT_SLICES, "default", labels=f"kubernetes.io/service-name={name}")).items
    return sorted((e["addresses"][0], e["conditions"]["ready"], e.get("hostname", "")) for s in found for e in s.get("endpoints") or ())


def test_endpoints_follow_the_pods() -> None:
    async def work(here: Site) -> None:
        await here.client.create(SERVICES, service())
        a = await here.client.create(PODS, pod("a", labels={"app": "web"}))
        b = await here.client.create(PODS, pod("b", labels={"app": "web"}))
        await here.client.create(PODS, pod("c", labels={"app": "other"}))
        await here.move(a, "Running", ready=True, podIP="10.0.0.1")
        await here.move(b, "Running", podIP="10.0.0.2")

        async def listed(*want: tuple[str, bool, str]) -> bool:
            return await endpoint_list(here, "web") == list(want)

        await here.until(lambda: listed(("10.0.0.1", True, ""), ("10.0.0.2", False, "")))
        older = await here.client.get(ENDPOINTS, "web", "default")
        (subset,) = older["subsets"]
        assert [e["ip"] for e in subset["addresses"]] == ["10.0.0.1"]
        assert [e["ip"] for e in subset["notReadyAddresses"]] == ["10.0.0.2"]
        assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
        await here.client.delete(PODS, "b", "default", DeleteOptions(grace_period_seconds=0))
        await here.until(lambda: listed(("10.0.0.1", True, "")))
        await here.client.patch(PODS, "a", {"metadata": {"labels": {"app": "moved"}}}, "default")
        await here.until(listed)
        await here.client.delete(SERVICES, "web", "default")
        await here.until_gone(ENDPOINTS, "web")

    run(work)


def test_headless_services_publish_hostnames_before_readiness() -> None:
    async def work(here: Site) -> None:
        await here.client.create(SERVICES, service("js", clusterIP="None", publishNotReadyAddresses=True, ports=[]))
        first = pod("first", labels={"app": "web"})
        first["spec"] |= {"hostname": "js-node-0-0", "subdomain": "js"}
        created = await here.client.create(PODS, first)
        await here.move(created, "Pending", podIP="10.0.0.9")

        async def listed() -> bool:
            return await endpoint_list(here, "js") == [("10.0.0.9", True, "js-node-0-0")]

        await here.until(listed)

    run(work)


def test_pods_of_a_vanished_node_are_given_up_after_a_while() -> None:
    async def work(here: Site) -> None:
        await here.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        lost = pod("lost")
        lost["spec"]["nodeName"] = "n1"
        await here.client.create(PODS, lost)
        await here.settle()
        started = here.manager.clock.monotonic()
        await here.client.delete(NODES, "n1")
        await here.until_gone(PODS, "lost")
        assert 39 <= here.manager.clock.monotonic() - started <= 42

    run(work)


def test_what_is_owned_goes_with_its_owner() -> None:
    async def work(here: Site) -> None:
        owner = await here.client.create(CONFIG_MAPS, config_map("owner"))
        other = await here.client.create(CONFIG_MAPS, config_map("other"))
        middle = await here.client.create(CONFIG_MAPS, config_map("middle", owner))
        await here.client.create(CONFIG_MAPS, config_map("leaf", middle))
        await here.client.create(CONFIG_MAPS, config_map("shared", owner, other))
        await here.client.delete(CONFIG_MAPS, "owner", "default")
        await here.until_gone(CONFIG_MAPS, "leaf")
        await here.settle()
        shared = await here.client.get(CONFIG_MAPS, "shared", "default")
        assert [ref["name"] for ref in objects.owners(shared)] == ["other"]

    run(work)


def test_a_child_of_nobody_is_collected() -> None:
    async def work(here: Site) -> None:
        ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "namespace": "default", "uid": "no-such-uid"}}
        await here.client.create(CONFIG_MAPS, config_map("child", ghost))
        await here.until_gone(CONFIG_MAPS, "child")

    run(work)


def test_a_child_of_a_kind_that_is_not_served_is_kept() -> None:
    async def work(here: Site) -> None:
        alien = {"apiVersion": "example.com/v1", "kind": "Alien", "metadata": {"name": "x", "uid": "u"}}
        await here.client.create(CONFIG_MAPS, config_map("child", alien))
        await here.settle()
        assert await here.client.get_or_none(CONFIG_MAPS, "child", "default") is not None

    run(work)


def test_foreground_waits_for_what_blocks() -> None:
    async def work(here: Site) -> None:
        owner = await here.client.create(CONFIG_MAPS, config_map("owner"))
        await here.client.create(CONFIG_MAPS, config_map("slow", owner, finalizers=["test/wait"]))
        await here.client.create(CONFIG_MAPS, config_map("loose", owner, block=False, finalizers=["test/wait"]))
        await here.settle()
        await here.client.delete(CONFIG_MAPS, "owner", "default", DeleteOptions(propagation_policy="Foreground"))
        await here.settle()
        assert objects.is_deleting(await here.client.get(CONFIG_MAPS, "slow", "default"))
        assert await here.client.get_or_none(CONFIG_MAPS, "owner", "default") is not None
        await here.client.patch(CONFIG_MAPS, "slow", {"metadata": {"finalizers": None}}, "default")
        await here.until_gone(CONFIG_MAPS, "owner")
        await here.client.patch(CONFIG_MAPS, "loose", {"metadata": {"finalizers": None}}, "default")
        await here.until_gone(CONFIG_MAPS, "loose")

    run(work)


def test_orphans_stay() -> None:
    async def work(here: Site) -> None:
        owner = await here.client.create(CONFIG_MAPS, config_map("owner"))
        await here.client.create(CONFIG_MAPS, config_map("child", owner))
        await here.settle()
        await here.client.delete(CONFIG_MAPS, "owner", "default", DeleteOptions(propagation_policy="Orphan"))
        await here.until_gone(CONFIG_MAPS, "owner")
        await here.settle()
        child = await here.client.get(CONFIG_MAPS, "child", "default")
        assert objects.owners(child) == []

    run(work)


@pytest.mark.parametrize("policy", ["Foreground", "Background"])
def test_a_circle_of_owners_does_not_block(policy: str) -> None:
    async def work(here: Site) -> None:
        a = await here.client.create(CONFIG_MAPS, config_map("a"))
        b = await here.client.create(CONFIG_MAPS, config_map("b", a))
        refs = config_map("a", b)["metadata"]["ownerReferences"]
        await here.client.patch(CONFIG_MAPS, "a", {"metadata": {"ownerReferences": refs}}, "default")
        await here.settle()
        await here.client.delete(CONFIG_MAPS, "a", "default", DeleteOptions(propagation_policy=policy))
        await here.until_gone(CONFIG_MAPS, "a")
        await here.until_gone(CONFIG_MAPS, "b")

    run(work)


def test_pods_go_before_the_rest_of_their_namespace() -> None:
    async def work(here: Site) -> None:
        await add_namespace(here, "team")
        await here.settle()
        running = pod("p", finalizers=["test/wait"])
        running["metadata"]["namespace"] = "team"
        await here.client.create(PODS, running)
        await here.client.create(CONFIG_MAPS, config_map("needed", namespace="team"))
        await here.client.delete(NAMESPACES, "team")
        await here.settle()
        assert await here.client.get_or_none(CONFIG_MAPS, "needed", "team") is not None
        found = await here.client.get(NAMESPACES, "team")
        told = {c["type"]: (c["status"], c["message"]) for c in found["status"]["conditions"]}
        assert told["NamespaceContentRemaining"] == ("True", "Some resources are remaining: pods. has 1 resource instances")
        held = "Some content in the namespace has finalizers remaining: test/wait in 1 resource instances"
        assert told["NamespaceFinalizersRemaining"] == ("True", held)
        assert told["NamespaceDeletionContentFailure"][0] == "False"
        await here.client.patch(PODS, "p", {"metadata": {"finalizers": None}}, "team")
        await here.client.delete(PODS, "p", "team", DeleteOptions(grace_period_seconds=0), missing_ok=True)
        await here.until_gone(NAMESPACES, "team", "")

    run(work)


GADGETS = Resource(group="example.com", version="v1", kind="Gadget", plural="gadgets", custom=True)


def definition() -> Obj:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Gadget", "plural": "gadgets", "singular": "gadget", "listKind": "GadgetList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    }


def gadget(name: str, **metadata: Any) -> Obj:
    return {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": name, **metadata}}


def test_kinds_that_users_define_are_collected_and_emptied_too() -> None:
    async def work(here: Site) -> None:
        await add_namespace(here, "team")
        await here.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
        await here.settle()
        owner = await here.client.create(GADGETS, gadget("owner", namespace="default"))
        await here.client.create(CONFIG_MAPS, config_map("child", owner))
        await here.client.create(GADGETS, gadget("inside", namespace="team"))
        await here.settle()
        assert await here.client.get_or_none(CONFIG_MAPS, "child", "default") is not None
        await here.client.delete(GADGETS, "owner", "default")
        await here.until_gone(CONFIG_MAPS, "child")
        await here.client.delete(NAMESPACES, "team")
        await here.until_gone(NAMESPACES, "team", "")
        await here.client.delete(CUSTOM_RESOURCE_DEFINITIONS, "gadgets.example.com")
        await here.until_gone(CUSTOM_RESOURCE_DEFINITIONS, "gadgets.example.com", "")
        await here.settle()

    run(work)
