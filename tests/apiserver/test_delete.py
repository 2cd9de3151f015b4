"""Deleting: at once, with finalizers, with grace, many at a time; the decision itself as a table."""

from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver.verbs.deletion import decide
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions, ListOptions

from .site import CONFIG_MAPS, GADGETS, NAMESPACES, PODS, Site, config_map, pod, refused, run

NOW = 1_700_000_000.0
AT = "2023-11-14T22:13:20Z"


def test_delete_answers_with_a_status() -> None:
    async def test(site: Site) -> None:
        old = await site.create(CONFIG_MAPS, config_map("a"))
        status = await site.delete(CONFIG_MAPS, "a")
        assert status == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {"name": "a", "kind": "configmaps", "uid": old["metadata"]["uid"]},
        }
        with refused(404, "NotFound", 'configmaps "a" not found'):
            await site.delete(CONFIG_MAPS, "a")

    run(test)


def test_some_kinds_answer_with_the_object() -> None:
    async def test(site: Site) -> None:
        await site.create(kinds.SERVICE_ACCOUNTS, {"metadata": {"name": "sa"}})
        assert (await site.delete(kinds.SERVICE_ACCOUNTS, "sa"))["kind"] == "ServiceAccount"
        await site.create(PODS, pod("p"))
        got = await site.delete(PODS, "p")
        assert got["kind"] == "Pod"
        assert got["metadata"]["deletionGracePeriodSeconds"] == 0
        assert await site.gone(PODS, "p"), "no kubelet would see an unscheduled pod end"

    run(test)


def test_deletion_is_a_revision_that_its_event_carries() -> None:
    async def test(site: Site) -> None:
        old = await site.create(CONFIG_MAPS, config_map("a"))
        async with site.watching(CONFIG_MAPS, resource_version=old["metadata"]["resourceVersion"]) as watching:
            await site.delete(CONFIG_MAPS, "a")
            assert await watching.take(1) == [("DELETED", "a")]
            assert watching.events[0].object["metadata"]["resourceVersion"] == str(site.store.revision)
        assert site.store.revision == int(old["metadata"]["resourceVersion"]) + 1

    run(test)


@pytest.mark.parametrize("node", ["", "n"])
def test_a_pod_without_grace_is_seen_to_end_before_it_is_gone(node: str) -> None:
    async def test(site: Site) -> None:
        old = await site.create(PODS, pod("p", **({"node": node} if node else {})))
        async with site.watching(PODS, resource_version=old["metadata"]["resourceVersion"]) as watching:
            answer = await site.delete(PODS, "p", grace_period_seconds=0)
            assert await watching.take(2) == [("MODIFIED", "p"), ("DELETED", "p")]
        marked, last = [event.object["metadata"] for event in watching.events]
        assert marked["deletionGracePeriodSeconds"] == last["deletionGracePeriodSeconds"] == 0
        assert (marked["generation"], last["generation"]) == (2, 2)
        assert int(last["resourceVersion"]) == int(marked["resourceVersion"]) + 1 == site.store.revision
        assert answer["metadata"]["resourceVersion"] == last["resourceVersion"]

    run(test)


def test_finalizers_hold_an_object() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a", finalizers=["x/y", "z/z"]))
        got = await site.delete(CONFIG_MAPS, "a")
        meta = got["metadata"]
        assert (meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"]) == (AT, 0)
        before = site.store.revision
        assert (await site.delete(CONFIG_MAPS, "a"))["metadata"] == meta
        assert site.store.revision == before, "once is enough"
        with refused(422, "Invalid", "no new finalizers can be added if the object is being deleted, found new finalizers"):
            await site.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": ["x/y", "z/z", "n/n"]}})
        assert (await site.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": ["x/y"]}}))["metadata"]["finalizers"] == ["x/y"]
        assert not await site.gone(CONFIG_MAPS, "a")
        last = await site.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}})
        assert "finalizers" not in last["metadata"]
        assert await site.gone(CONFIG_MAPS, "a")

    run(test)


def test_an_update_may_take_the_last_finalizer_too() -> None:
    async def test(site: Site) -> None:
        await site.create(PODS, pod("p", node="n", finalizers=["x/y"]))
        await site.delete(PODS, "p", grace_period_seconds=0)
        obj = await site.get(PODS, "p")
        meta = {k: v for k, v in obj["metadata"].items() if k != "finalizers"}
        async with site.watching(PODS, resource_version=obj["metadata"]["resourceVersion"]) as watching:
            await site.update(PODS, {**obj, "metadata": meta})
            assert await watching.take(1) == [("DELETED", "p")]
        assert await site.gone(PODS, "p")

    run(test)


def test_deletion_timestamp_stays_whatever_clients_send() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a", finalizers=["x/y"]))
        await site.delete(CONFIG_MAPS, "a")
        got = await site.patch(CONFIG_MAPS, "a", {"metadata": {"deletionTimestamp": None, "deletionGracePeriodSeconds": None}})
        assert got["metadata"]["deletionTimestamp"] == AT
        assert got["metadata"]["deletionGracePeriodSeconds"] == 0

    run(test)


def test_preconditions() -> None:
    async def test(site: Site) -> None:
        old = await site.create(PODS, pod("p"))
        uid, version = old["metadata"]["uid"], old["metadata"]["resourceVersion"]
        with refused(409, "Conflict", f"the UID in the precondition (zz) does not match the UID in record ({uid})."):
            await site.delete(PODS, "p", uid="zz")
        with refused(
            409, "Conflict", f"the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({version})"
        ):
            await site.delete(PODS, "p", resource_version="1")
        await site.delete(PODS, "p", uid=uid, resource_version=version)
        assert await site.gone(PODS, "p")

    run(test)


def test_propagation_policies_are_finalizers() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(422, "Invalid", 'propagationPolicy: Unsupported value: "Foo": supported values: "Foreground", "Background", "Orphan"'):
            await site.delete(CONFIG_MAPS, "a", propagation_policy="Foo")
        got = await site.delete(CONFIG_MAPS, "a", propagation_policy="Foreground")
        assert got["metadata"]["finalizers"] == ["foregroundDeletion"]
        got = await site.delete(CONFIG_MAPS, "a", propagation_policy="Orphan")
        assert got["metadata"]["finalizers"] == ["orphan"]
        assert (await site.delete(CONFIG_MAPS, "a", propagation_policy="Background"))["kind"] == "Status"

    run(test)


def test_pods_are_given_time() -> None:
    async def test(site: Site) -> None:
        await site.create(PODS, pod("p", node="n"))
        got = await site.delete(PODS, "p", grace_period_seconds=10)
        assert got["metadata"]["deletionGracePeriodSeconds"] == 10
        assert got["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:30Z"
        assert got["metadata"]["generation"] == 2
        before = site.store.revision
        await site.delete(PODS, "p", grace_period_seconds=60)
        await site.delete(PODS, "p")
        assert site.store.revision == before, "more time is not to be had"
        got = await site.delete(PODS, "p", grace_period_seconds=4)
        assert got["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:24Z"
        assert got["metadata"]["generation"] == 2
        await site.delete(PODS, "p", grace_period_seconds=0)
        assert await site.gone(PODS, "p")

    run(test)


def test_dry_run_deletes_nothing() -> None:
    async def test(site: Site) -> None:
        old = await site.create(CONFIG_MAPS, config_map("a"))
        assert (await site.delete(CONFIG_MAPS, "a", dry_run=True))["kind"] == "Status"
        assert await site.get(CONFIG_MAPS, "a") == old

    run(test)


def test_delete_collection_with_selectors() -> None:
    async def test(site: Site) -> None:
        for name in ("a", "b", "c"):
            await site.create(CONFIG_MAPS, config_map(name, labels={"odd": str(name == "b")}))
        await site.create(CONFIG_MAPS, config_map("held", labels={"odd": "False"}, finalizers=["x/y"]))
        await site.create(CONFIG_MAPS, config_map("far", labels={"odd": "False"}), "kube-system")
        await site.api.delete_collection(CONFIG_MAPS, "default", ListOptions(label_selector="odd=False"), DeleteOptions())
        assert await site.names(CONFIG_MAPS) == ["b", "held"]
        assert (await site.get(CONFIG_MAPS, "held"))["metadata"]["deletionTimestamp"] == AT
        assert await site.names(CONFIG_MAPS, "kube-system") == ["far"]

    run(test)


def test_namespaces_end_in_two_steps() -> None:
    async def test(site: Site) -> None:
        made = await site.create(NAMESPACES, {"metadata": {"name": "ns"}}, "")
        assert made["spec"]["finalizers"] == ["kubernetes"]
        assert made["status"]["phase"] == "Active"
        got = await site.delete(NAMESPACES, "ns", "")
        assert got["status"]["phase"] == "Terminating"
        assert got["metadata"]["deletionTimestamp"] == AT
        assert "deletionGracePeriodSeconds" not in got["metadata"]
        with refused(403, "Forbidden", "unable to create new content in namespace ns because it is being terminated") as found:
            await site.create(CONFIG_MAPS, config_map("a"), "ns")
        assert (found[0].details or {})["causes"] == [
            {"reason": "NamespaceTerminating", "message": "namespace ns is being terminated", "field": "metadata.namespace"}
        ]
        await site.delete(NAMESPACES, "ns", "")
        assert not await site.gone(NAMESPACES, "ns", "")
        await site.update(NAMESPACES, {"metadata": {"name": "ns"}, "spec": {"finalizers": []}}, "", subresource="finalize")
        assert await site.gone(NAMESPACES, "ns", "")

    run(test)


def test_finalize_changes_nothing_but_finalizers() -> None:
    async def test(site: Site) -> None:
        await site.create(NAMESPACES, {"metadata": {"name": "ns"}}, "")
        sent = {"metadata": {"name": "ns"}, "spec": {"finalizers": ["a/b"]}, "status": {"phase": "Terminating"}}
        got = await site.update(NAMESPACES, sent, "", subresource="finalize")
        assert got["spec"]["finalizers"] == ["a/b"]
        assert got["status"]["phase"] == "Active"
        got = await site.update(NAMESPACES, {"metadata": {"name": "ns"}, "spec": {"finalizers": []}}, "")
        assert got["spec"]["finalizers"] == ["a/b"], "only /finalize may"

    run(test)


def test_some_namespaces_are_never_deleted() -> None:
    async def test(site: Site) -> None:
        for name in ("default", "kube-system", "kube-public"):
            with refused(403, "Forbidden", f'namespaces "{name}" is forbidden: this namespace may not be deleted'):
                await site.delete(NAMESPACES, name, "")

    run(test)


def made(**metadata: Any) -> Obj:
    return {"metadata": {"name": "p", "generation": 3, **metadata}, "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}}


GRACE = [
    ("own grace", made(), {}, False, {"deletionTimestamp": "2023-11-14T22:13:50Z", "deletionGracePeriodSeconds": 30, "generation": 4}),
    ("asked grace", made(), {"grace_period_seconds": 5}, False, {"deletionGracePeriodSeconds": 5}),
    ("negative is one", made(), {"grace_period_seconds": -4}, False, {"deletionGracePeriodSeconds": 1}),
    ("zero is now", made(), {"grace_period_seconds": 0}, True, {"deletionGracePeriodSeconds": 0}),
    ("zero with finalizer waits", made(finalizers=["a/b"]), {"grace_period_seconds": 0}, False, {"finalizers": ["a/b"]}),
    ("foreground joins", made(), {"propagation_policy": "Foreground"}, False, {"finalizers": ["foregroundDeletion"]}),
    (
        "shortened",
        made(deletionTimestamp="2023-11-14T22:13:40Z", deletionGracePeriodSeconds=30),
        {"grace_period_seconds": 10},
        False,
        {"deletionTimestamp": "2023-11-14T22:13:20Z", "generation": 3},
    ),
    ("over", made(deletionTimestamp=AT, deletionGracePeriodSeconds=0), {}, True, {}),
    ("over but held", made(deletionTimestamp=AT, deletionGracePeriodSeconds=0, finalizers=["a/b"]), {}, False, {}),
]


@pytest.mark.parametrize(("obj", "options", "gone", "want"), [c[1:] for c in GRACE], ids=[c[0] for c in GRACE])
def test_what_a_delete_means_for_a_pod(obj: Obj, options: dict[str, Any], gone: bool, want: Obj) -> None:
    step = decide("core/pods", graceful=True, obj=obj, options=DeleteOptions(**options), now=NOW)
    assert step.gone is gone
    found = (step.obj or {"metadata": {}})["metadata"]
    assert {k: found.get(k) for k in want} == want
    if not want:
        assert step.obj is None


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_ended_pods_need_no_time(phase: str) -> None:
    step = decide("core/pods", graceful=True, obj={**made(), "status": {"phase": phase}}, options=DeleteOptions(), now=NOW)
    assert step.gone


def test_generation_moves_when_a_deletion_begins() -> None:
    async def test(site: Site) -> None:
        await site.create(GADGETS, {"metadata": {"name": "g", "finalizers": ["a/b"]}, "spec": {"size": 1}})
        assert (await site.delete(GADGETS, "g"))["metadata"]["generation"] == 2
        assert (await site.delete(GADGETS, "g"))["metadata"]["generation"] == 2

    run(test, extra=[GADGETS])
