"""The verbs of `Client`, the same on every server."""

import pytest

from lightship import kinds
from lightship.client import client as module
from lightship.client.client import Client
from lightship.meta import errors, objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import JSON_PATCH, DeleteOptions
from tests.client.backends import Backend, Site

CONFIG_MAPS = kinds.CONFIG_MAPS


def pod(site: Site, name: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": site.namespace},
        "spec": {"containers": [{"name": "main", "image": "busybox", "command": ["sleep", "1"]}]},
    }


def test_an_object_lives_from_create_to_delete(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client = site.client
        created = await client.create(CONFIG_MAPS, site.config_map("a", {"x": "1"}))
        assert objects.uid(created)
        assert await client.get(CONFIG_MAPS, "a", site.namespace) == created
        changed = await client.update(CONFIG_MAPS, created | {"data": {"x": "2"}})
        assert objects.revision(changed) > objects.revision(created)
        patched = await client.patch(CONFIG_MAPS, "a", {"data": {"y": "3"}}, site.namespace)
        assert patched["data"] == {"x": "2", "y": "3"}
        operations = [{"op": "remove", "path": "/data/x"}]
        assert (await client.patch(CONFIG_MAPS, "a", operations, site.namespace, type=JSON_PATCH))["data"] == {"y": "3"}
        await client.delete(CONFIG_MAPS, "a", site.namespace)
        assert await client.get_or_none(CONFIG_MAPS, "a", site.namespace) is None

    backend.run(scenario)


def test_refusals_are_status_errors(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client = site.client
        with pytest.raises(StatusError) as missing:
            await client.get(CONFIG_MAPS, "nobody", site.namespace)
        assert errors.is_not_found(missing.value)
        assert missing.value.message == 'configmaps "nobody" not found'
        created = await client.create(CONFIG_MAPS, site.config_map("a"))
        with pytest.raises(StatusError) as again:
            await client.create(CONFIG_MAPS, site.config_map("a"))
        assert errors.is_already_exists(again.value)
        await client.update(CONFIG_MAPS, created | {"data": {"x": "1"}})
        with pytest.raises(StatusError) as stale:
            await client.update(CONFIG_MAPS, created | {"data": {"x": "2"}})
        assert errors.is_conflict(stale.value)
        with pytest.raises(StatusError) as invalid:
            await client.create(CONFIG_MAPS, site.config_map("Not A Name"))
        assert errors.is_invalid(invalid.value)

    backend.run(scenario)


def test_a_namespaced_kind_without_namespace_is_refused_before_it_is_sent(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        with pytest.raises(StatusError, match="live in a namespace and none is given"):
            await site.client.create(CONFIG_MAPS, {"metadata": {"name": "a"}})

    backend.run(scenario)


def test_an_empty_name_never_means_all(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        await site.client.create(CONFIG_MAPS, site.config_map("a"))
        nameless = site.config_map("")
        for refused in (
            site.client.delete(CONFIG_MAPS, "", site.namespace),
            site.client.get(CONFIG_MAPS, "", site.namespace),
            site.client.patch(CONFIG_MAPS, "", {}, site.namespace),
            site.client.update(CONFIG_MAPS, nameless),
            site.client.apply(CONFIG_MAPS, nameless),
        ):
            with pytest.raises(StatusError, match="No name is given"):
                await refused
        assert await site.client.get_or_none(CONFIG_MAPS, "a", site.namespace) is not None

    backend.run(scenario)


def test_delete_of_what_is_gone(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        assert await site.client.delete(CONFIG_MAPS, "nobody", site.namespace, missing_ok=True) is None
        with pytest.raises(StatusError):
            await site.client.delete(CONFIG_MAPS, "nobody", site.namespace)

    backend.run(scenario)


def test_delete_takes_preconditions(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        await site.client.create(CONFIG_MAPS, site.config_map("a"))
        with pytest.raises(StatusError) as refused:
            await site.client.delete(CONFIG_MAPS, "a", site.namespace, DeleteOptions(uid="another"))
        assert refused.value.code == 409

    backend.run(scenario)


def test_list_goes_through_all_pages(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)

    async def scenario(site: Site) -> None:
        for number in range(5):
            await site.client.create(CONFIG_MAPS, site.config_map(f"a{number}", labels={"odd": str(number % 2)}))
        listing = await site.client.list(CONFIG_MAPS, site.namespace, labels="odd in (0,1)")
        assert [objects.name(obj) for obj in listing.items] == ["a0", "a1", "a2", "a3", "a4"]
        assert all(objects.gvk(obj) == CONFIG_MAPS.gvk for obj in listing.items)
        assert int(listing.resource_version) >= max(objects.revision(obj) for obj in listing.items)
        odd = await site.client.list(CONFIG_MAPS, site.namespace, labels="odd=1")
        assert [objects.name(obj) for obj in odd.items] == ["a1", "a3"]
        one = await site.client.list(CONFIG_MAPS, site.namespace, fields="metadata.name=a4")
        assert [objects.name(obj) for obj in one.items] == ["a4"]

    backend.run(scenario)


def test_delete_collection_deletes_what_is_selected(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        for number in range(3):
            await site.client.create(CONFIG_MAPS, site.config_map(f"a{number}", labels={"odd": str(number % 2)}))
        await site.client.delete_collection(CONFIG_MAPS, site.namespace, labels="odd=0")
        left = await site.client.list(CONFIG_MAPS, site.namespace, labels="odd")
        assert [objects.name(obj) for obj in left.items] == ["a1"]

    backend.run(scenario)


def test_apply_creates_then_changes_only_what_differs(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client = site.client
        created = await client.apply(CONFIG_MAPS, site.config_map("a", {"ours": "1"}))
        await client.patch(CONFIG_MAPS, "a", {"data": {"theirs": "1"}, "metadata": {"labels": {"theirs": "1"}}}, site.namespace)
        same = await client.apply(CONFIG_MAPS, site.config_map("a", {"ours": "1"}))
        assert same["data"] == {"ours": "1", "theirs": "1"}
        assert objects.revision(same) > objects.revision(created)
        again = await client.apply(CONFIG_MAPS, site.config_map("a", {"ours": "1"}))
        assert objects.revision(again) == objects.revision(same), "nothing differed, so nothing was to be written"
        changed = await client.apply(CONFIG_MAPS, site.config_map("a", {"ours": "2"}), live=again)
        assert changed["data"] == {"ours": "2", "theirs": "1"}
        assert objects.labels(changed) == {"theirs": "1"}

    backend.run(scenario)


def test_apply_does_not_rewrite_defaulted_lists(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        first = await site.client.apply(kinds.PODS, pod(site, "a"))
        assert first["spec"]["containers"][0]["terminationMessagePath"] == "/dev/termination-log"
        writes: list[Key] = []
        watched = site.client.with_hook(lambda resource, key, answer: writes.append(key))
        await watched.apply(kinds.PODS, pod(site, "a"))
        assert writes == []

    backend.run(scenario)


def test_patch_status_writes_differences_once_and_only_on_what_was_seen(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client = site.client
        created = await client.create(kinds.PODS, pod(site, "a"))
        status = objects.status(created) | {"phase": "Running", "message": "on its way"}
        running = await client.patch_status(kinds.PODS, created, status)
        assert running["status"]["phase"] == "Running"
        assert await client.patch_status(kinds.PODS, running, running["status"]) is running
        without = {field: value for field, value in running["status"].items() if field != "message"}
        assert "message" not in (await client.patch_status(kinds.PODS, running, without))["status"]
        with pytest.raises(StatusError) as stale:
            await client.patch_status(kinds.PODS, created, status | {"reason": "Late"})
        assert errors.is_conflict(stale.value)

    backend.run(scenario)


def test_update_status_leaves_the_spec_alone(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        created = await site.client.create(kinds.PODS, pod(site, "a"))
        wanted = objects.copy(created)
        wanted["status"]["phase"] = "Failed"
        wanted["metadata"]["labels"] = {"ignored": "yes"}
        updated = await site.client.update_status(kinds.PODS, wanted)
        assert updated["status"]["phase"] == "Failed"
        assert (await site.client.get(kinds.PODS, "a", site.namespace))["status"]["phase"] == "Failed"

    backend.run(scenario)


def test_every_write_is_told(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        told: list[tuple[Resource, Key, Obj]] = []
        client = Client(site.transport, on_write=lambda *write: told.append(write))
        created = await client.create(CONFIG_MAPS, site.config_map("a"))
        patched = await client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, site.namespace)
        updated = await client.update(CONFIG_MAPS, patched | {"data": {"x": "2"}})
        await client.delete(CONFIG_MAPS, "a", site.namespace)
        with pytest.raises(StatusError):
            await client.update(CONFIG_MAPS, updated)
        assert [write[:2] for write in told] == [(CONFIG_MAPS, Key(site.namespace, "a"))] * 4
        assert [write[2] for write in told[:3]] == [created, patched, updated]

    backend.run(scenario)


def test_subresources(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        await site.client.create(kinds.PODS, pod(site, "a"))
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": "a", "namespace": site.namespace},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "n1"},
        }
        await site.client.create_subresource(kinds.PODS, "a", site.namespace, "binding", binding)
        bound = await site.client.get_subresource(kinds.PODS, "a", site.namespace, "status")
        assert bound["spec"]["nodeName"] == "n1"

    backend.run(scenario)
