"""Updating: versions, what stays, what may not change, status apart, and writes that change nothing."""

import asyncio
from typing import Any

import pytest

from lightship import kinds
from lightship.aio.clock import SystemClock
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj, copy
from lightship.store import Limits, Store
from lightship.store.journal import Batch, MemoryJournal

from .site import CONFIG_MAPS, GADGETS, PODS, Site, config_map, pod, refused, run


def changed(obj: Obj, **fields: Any) -> Obj:
    """A private copy with other top-level fields."""
    return {**copy(obj), **fields}


def test_update_with_the_present_version() -> None:
    async def test(site: Site) -> None:
        old = await site.create(CONFIG_MAPS, config_map("a"))
        new = await site.update(CONFIG_MAPS, changed(old, data={"a": "2"}))
        assert new["data"] == {"a": "2"}
        assert int(new["metadata"]["resourceVersion"]) > int(old["metadata"]["resourceVersion"])
        assert new["metadata"]["uid"] == old["metadata"]["uid"]
        assert old["data"] == {"a": "1"}, "what was handed out does not change"

    run(test)


def test_update_with_a_stale_version_is_a_conflict() -> None:
    async def test(site: Site) -> None:
        old = await site.create(CONFIG_MAPS, config_map("a"))
        await site.update(CONFIG_MAPS, changed(old, data={"a": "2"}))
        want = 'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest'
        with refused(409, "Conflict", want):
            await site.update(CONFIG_MAPS, changed(old, data={"a": "3"}))

    run(test)


def test_unconditional_update_where_the_kind_allows_it() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        assert (await site.update(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"b": "2"}}))["data"] == {"b": "2"}
        lease: Obj = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
        await site.create(kinds.LEASES, lease)
        with refused(422, "Invalid", "metadata.resourceVersion: Invalid value: 0: must be specified for an update"):
            await site.update(kinds.LEASES, lease)
        await site.create(GADGETS, {"metadata": {"name": "g"}, "spec": {"size": 1}})
        with refused(422, "Invalid", "must be specified for an update"):
            await site.update(GADGETS, {"metadata": {"name": "g"}, "spec": {"size": 2}})

    run(test, extra=[GADGETS])


def test_concurrent_unconditional_updates_all_get_through() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        writes = [site.update(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"n": str(i)}}) for i in range(20)]
        versions = {done["metadata"]["resourceVersion"] for done in await asyncio.gather(*writes)}
        assert len(versions) == 20

    run(test)


def test_update_that_changes_nothing_is_no_write() -> None:
    async def test(site: Site) -> None:
        old = await site.create(PODS, pod("p"))
        before = site.store.revision
        for same in (copy(old), changed(old, status={"phase": "Bogus"})):
            assert (await site.update(PODS, same))["metadata"]["resourceVersion"] == old["metadata"]["resourceVersion"]
        same = copy(old)
        for field in ("uid", "resourceVersion", "creationTimestamp", "generation"):
            del same["metadata"][field]
        await site.update(PODS, same)
        assert site.store.revision == before

    run(test)


def test_put_needs_the_name_of_its_url() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)"):
            await site.api.update(CONFIG_MAPS, "default", "a", config_map("b"))
        with refused(400, "BadRequest", "the name of the object (a based on URL) was undeterminable: name must be provided"):
            await site.api.update(CONFIG_MAPS, "default", "a", {"data": {}})
        with refused(404, "NotFound", 'configmaps "nope" not found'):
            await site.update(CONFIG_MAPS, config_map("nope"))

    run(test)


def test_put_creates_the_kinds_that_it_may() -> None:
    async def test(site: Site) -> None:
        lease = await site.update(kinds.LEASES, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}})
        assert lease["metadata"]["uid"]
        with refused(409, "Conflict", "uid mismatch"):
            await site.update(kinds.LEASES, {"metadata": {"name": "m", "uid": "u"}, "spec": {}})

    run(test)


IMMUTABLE = [
    ("uid", {"uid": "other"}, 409, "Conflict", "Precondition failed: UID in precondition: other"),
    ("deletionTimestamp", {"deletionTimestamp": "2020-01-01T00:00:00Z"}, 422, "Invalid", "metadata.deletionTimestamp"),
    ("deletionGracePeriodSeconds", {"deletionGracePeriodSeconds": 3}, 422, "Invalid", "field is immutable"),
    ("namespace", {"namespace": "other"}, 400, "BadRequest", "does not match the namespace sent on the request"),
]


@pytest.mark.parametrize(("metadata", "code", "reason", "message"), [c[1:] for c in IMMUTABLE], ids=[c[0] for c in IMMUTABLE])
def test_update_refuses_other_metadata(metadata: Obj, code: int, reason: str, message: str) -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(code, reason, message):
            await site.update(CONFIG_MAPS, config_map("a", **metadata))

    run(test)


def test_update_ignores_what_only_the_server_sets() -> None:
    async def test(site: Site) -> None:
        old = await site.create(GADGETS, {"metadata": {"name": "g"}, "spec": {"size": 1}})
        new = copy(old)
        new["metadata"].update(creationTimestamp="2001-01-01T00:00:00Z", generation=77, managedFields=[{"manager": "x"}], selfLink="/x")
        got = await site.update(GADGETS, new)
        assert got == old

    run(test, extra=[GADGETS])


def test_generation_counts_changes_of_spec_only() -> None:
    async def test(site: Site) -> None:
        obj = await site.create(GADGETS, {"metadata": {"name": "g"}, "spec": {"size": 1}})
        obj = await site.patch(GADGETS, "g", {"metadata": {"labels": {"a": "b"}}})
        assert obj["metadata"]["generation"] == 1
        obj = await site.patch(GADGETS, "g", {"status": {"seen": 1}}, subresource="status")
        assert obj["metadata"]["generation"] == 1
        obj = await site.patch(GADGETS, "g", {"spec": {"size": 2}})
        assert obj["metadata"]["generation"] == 2
        obj = await site.patch(GADGETS, "g", {"spec": {"size": 2}})
        assert obj["metadata"]["generation"] == 2

    run(test, extra=[GADGETS])


def test_main_resource_cannot_change_status() -> None:
    async def test(site: Site) -> None:
        obj = await site.create(GADGETS, {"metadata": {"name": "g"}, "spec": {"size": 1}, "status": {"seen": 1}})
        assert "status" not in obj
        obj = await site.update(GADGETS, changed(obj, spec={"size": 5}, status={"seen": 2}))
        assert obj["spec"]["size"] == 5
        assert "status" not in obj
        obj = await site.update(GADGETS, changed(obj, status={"seen": 3}), subresource="status")
        obj = await site.update(GADGETS, {k: v for k, v in copy(obj).items() if k != "status"})
        assert obj["status"] == {"seen": 3}, "leaving it out does not remove it"

    run(test, extra=[GADGETS])


def test_status_of_a_custom_kind_changes_nothing_else() -> None:
    async def test(site: Site) -> None:
        obj = await site.create(GADGETS, {"metadata": {"name": "g", "labels": {"a": "1"}}, "spec": {"size": 1}})
        new = changed(obj, spec={"size": 9}, status={"seen": 1})
        new["metadata"]["labels"] = {"a": "2"}
        got = await site.update(GADGETS, new, subresource="status")
        assert got["status"] == {"seen": 1}
        assert got["spec"] == obj["spec"]
        assert got["metadata"]["labels"] == {"a": "1"}

    run(test, extra=[GADGETS])


def test_status_of_a_pod_may_change_labels_but_not_owners() -> None:
    async def test(site: Site) -> None:
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "u"}
        obj = await site.create(PODS, pod("p", labels={"a": "1"}, ownerReferences=[owner]))
        sent = {"metadata": {"name": "p", "labels": {"a": "2"}}, "spec": {"nodeName": "x"}, "status": {"phase": "Running"}}
        got = await site.update(PODS, sent, subresource="status")
        assert got["status"] == {"phase": "Running", "qosClass": "BestEffort"}
        assert got["metadata"]["labels"] == {"a": "2"}
        assert got["metadata"]["ownerReferences"] == [owner]
        assert got["spec"] == obj["spec"]

    run(test)


def test_status_of_a_kind_without_one_is_no_path() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(404, "NotFound", "the server could not find the requested resource"):
            await site.update(CONFIG_MAPS, config_map("a"), subresource="status")

    run(test)


def test_dry_run_update_stores_nothing() -> None:
    async def test(site: Site) -> None:
        old = await site.create(CONFIG_MAPS, config_map("a"))
        got = await site.update(CONFIG_MAPS, changed(old, data={"z": "1"}), dry_run=True)
        assert got["data"] == {"z": "1"}
        assert await site.get(CONFIG_MAPS, "a") == old

    run(test)


def test_an_unconditional_update_is_tried_again_when_a_write_was_faster() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        raced: list[str] = []

        async def race(request: AdmissionRequest) -> None:
            if not raced:
                raced.append(request.name)
                await site.patch(CONFIG_MAPS, "a", {"data": {"faster": "1"}})

        site.server.add_admission(Admission(name="race", resources=(CONFIG_MAPS,), validate=race))
        got = await site.update(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"slower": "1"}})
        assert got["data"] == {"slower": "1"}
        raced.clear()
        with refused(409, "Conflict", "the object has been modified"):
            await site.update(CONFIG_MAPS, {**copy(got), "data": {"slower": "2"}})

    run(test)


def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    """A write that changes nothing waits for the write in flight that it agrees with."""

    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        first = asyncio.ensure_future(site.patch(CONFIG_MAPS, "a", {"data": {"a": "2"}}))
        await asyncio.sleep(0)
        same = await site.patch(CONFIG_MAPS, "a", {"data": {"a": "2"}})
        assert int(same["metadata"]["resourceVersion"]) <= site.store.revision
        assert (await first) == same

    run(test)


class Slow(MemoryJournal):
    """Needs a few turns of the loop, as a disk does."""

    def submit(self, batch: Batch) -> None:
        asyncio.get_running_loop().call_later(0.01, super().submit, batch)


def test_who_tries_again_after_a_conflict_sees_what_was_in_the_way() -> None:
    """A loop of read and write never starves the write in flight that it conflicts with."""

    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        first = asyncio.ensure_future(site.patch(CONFIG_MAPS, "a", {"data": {"a": "2"}}))
        await asyncio.sleep(0)
        old = await site.get(CONFIG_MAPS, "a")
        assert old["data"] == {"a": "1"}, "the first write is still in flight"
        with refused(409, "Conflict"):
            await site.update(CONFIG_MAPS, changed(old, data={"b": "3"}))
        seen = await site.get(CONFIG_MAPS, "a")
        assert seen == await first
        assert (await site.update(CONFIG_MAPS, changed(seen, data={"b": "3"})))["data"] == {"b": "3"}

    run(test, backing=Store(Slow(), SystemClock(), Limits()))


def test_who_is_refused_finds_what_was_told() -> None:
    """Whoever asks and looks in a loop, as controllers in this process do, gets further with every turn."""

    async def test(site: Site) -> None:
        first = asyncio.ensure_future(site.create(CONFIG_MAPS, config_map("a")))
        await asyncio.sleep(0)
        with refused(409, "AlreadyExists"):
            await site.create(CONFIG_MAPS, config_map("a"))
        made = await site.get(CONFIG_MAPS, "a")
        assert made == await first

        second = asyncio.ensure_future(site.patch(CONFIG_MAPS, "a", {"data": {"a": "2"}}))
        await asyncio.sleep(0)
        with refused(409, "Conflict"):
            await site.delete(CONFIG_MAPS, "a", resource_version=made["metadata"]["resourceVersion"])
        assert await site.get(CONFIG_MAPS, "a") == await second

        third = asyncio.ensure_future(site.delete(CONFIG_MAPS, "a"))
        await asyncio.sleep(0)
        with refused(404, "NotFound"):
            await site.delete(CONFIG_MAPS, "a")
        assert await site.gone(CONFIG_MAPS, "a")
        await third

    run(test, backing=Store(Slow(), SystemClock(), Limits()))
