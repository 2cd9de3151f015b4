"""metadata.managedFields on every write: who comes to own what, and what clients may say about it themselves."""

from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver.requests import Request
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj, copy
from lightship.meta.rest import APPLY_PATCH, JSON_PATCH, User, WriteOptions

from .site import ADMIN, CONFIG_MAPS, GADGETS, PODS, Site, config_map, pod, refused, run
from .test_apply import owners

MASTERS = ("system:masters",)


def test_a_create_owns_what_was_sent_and_its_defaults_but_not_what_the_server_adds() -> None:
    async def test(site: Site) -> None:
        template = pod("p", labels={"app": "a"})
        template["spec"]["containers"][0]["ports"] = [{"containerPort": 80}, {"containerPort": 9}]
        made = await site.create(PODS, template, field_manager="me")
        (entry,) = made["metadata"]["managedFields"]
        fields = entry["fieldsV1"]
        assert fields["f:metadata"] == {"f:labels": {".": {}, "f:app": {}}}
        assert set(fields["f:spec"]) == {
            *("f:containers", "f:dnsPolicy", "f:enableServiceLinks", "f:restartPolicy", "f:schedulerName"),
            *("f:securityContext", "f:terminationGracePeriodSeconds"),
        }
        container = fields["f:spec"]["f:containers"][f'k:{{"name":"{template["spec"]["containers"][0]["name"]}"}}']
        assert container["f:resources"] == {}
        assert list(container["f:ports"]) == [
            ".",
            'k:{"containerPort":9,"protocol":"TCP"}',
            'k:{"containerPort":80,"protocol":"TCP"}',
        ]
        assert made["spec"]["serviceAccountName"], "admission has added it, for nobody"
        assert "f:status" not in fields

    run(test)


def test_changed_fields_change_hands() -> None:
    async def test(site: Site) -> None:
        made = await site.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}}, field_manager="one")
        await site.clock.sleep(5)
        changed = await site.patch(CONFIG_MAPS, "a", {"data": {"y": "3", "z": "4"}}, field_manager="two")
        assert owners(changed) == {"one": {"f:data": {".": {}, "f:x": {}}}, "two": {"f:data": {"f:y": {}, "f:z": {}}}}
        first, second = changed["metadata"]["managedFields"]
        assert first["time"] == made["metadata"]["creationTimestamp"] < second["time"]
        gone = await site.patch(CONFIG_MAPS, "a", {"data": {"x": None, "z": None}}, field_manager="three")
        assert owners(gone) == {"one": {"f:data": {}}, "two": {"f:data": {"f:y": {}}}}

    run(test)


def test_writes_that_change_nothing_stay_none() -> None:
    async def test(site: Site) -> None:
        made = await site.create(CONFIG_MAPS, config_map("a"), field_manager="one")
        await site.clock.sleep(5)
        assert await site.patch(CONFIG_MAPS, "a", {"data": {"a": "1"}}, field_manager="two") == made
        assert await site.update(CONFIG_MAPS, {**copy(made), "metadata": {"name": "a"}}, field_manager="two") == made

    run(test)


def test_status_belongs_to_who_writes_status() -> None:
    async def test(site: Site) -> None:
        await site.create(GADGETS, {"metadata": {"name": "g"}, "spec": {"size": 1}, "status": {"seen": 9}}, field_manager="me")
        patch = {"spec": {"size": 7}, "status": {"seen": 1}, "metadata": {"labels": {"a": "b"}}}
        found = await site.patch(GADGETS, "g", patch, subresource="status", field_manager="ctl")
        want: Any = {"me": {"f:spec": {".": {}, "f:colour": {}, "f:size": {}}}, "ctlstatus": {"f:status": {".": {}, "f:seen": {}}}}
        assert owners(found) == want
        again = await site.patch(GADGETS, "g", {"status": {"seen": 2}}, field_manager="me")
        assert owners(again) == want

    run(test, extra=[GADGETS])


def test_only_ten_updaters_are_remembered() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"), field_manager="m00")
        for i in range(1, 13):
            await site.clock.sleep(1)
            found = await site.patch(CONFIG_MAPS, "a", {"data": {f"k{i:02}": "v"}}, field_manager=f"m{i:02}")
        named = [entry["manager"] for entry in found["metadata"]["managedFields"]]
        assert named == ["ancient-changes", *(f"m{i:02}" for i in range(4, 13))]
        assert owners(found)["ancient-changes"] == {"f:data": {".": {}, "f:a": {}, "f:k01": {}, "f:k02": {}, "f:k03": {}}}

    run(test)


@pytest.mark.parametrize("reset", [[], [{}]])
def test_managed_fields_can_be_forgotten(reset: Any) -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        found = await site.patch(CONFIG_MAPS, "a", {"metadata": {"managedFields": reset}})
        assert "managedFields" not in found["metadata"]
        assert "managedFields" not in (await site.patch(CONFIG_MAPS, "a", {"data": {"b": "2"}}))["metadata"]

    run(test)


def entry(**changes: Any) -> Obj:
    made = {"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}}
    return {**made, **changes}


@pytest.mark.parametrize(
    "bad",
    [
        entry(operation="Bad"),
        entry(apiVersion=""),
        entry(fieldsType=""),
        entry(fieldsType="FieldsV2"),
        entry(fieldsV1={"bad": {}}),
        entry(fieldsV1={"v:nope": {}}),
        entry(fieldsV1={"i:x": {}}),
        entry(fieldsV1={"f:data": 5}),
    ],
)
def test_managed_fields_that_cannot_be_read_are_as_if_not_sent(bad: Obj) -> None:
    async def test(site: Site) -> None:
        made = await site.create(CONFIG_MAPS, config_map("a"))
        assert owners(await site.patch(CONFIG_MAPS, "a", {"metadata": {"managedFields": [bad]}})) == owners(made)

    run(test)


def test_managed_fields_that_can_be_read_count() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        sent = entry(time="2020-01-01T00:00:00+01:00", fieldsV1={"f:data": {"f:zz": {}, "f:a": {}}, "x:y": {}})
        found = await site.patch(CONFIG_MAPS, "a", {"metadata": {"managedFields": [sent]}}, field_manager="ed")
        assert found["metadata"]["managedFields"] == [
            entry(time="2019-12-31T23:00:00Z", fieldsV1={"f:data": {"f:a": {}, "f:zz": {}}}),
        ]
        other = [{"op": "add", "path": "/metadata/managedFields/-", "value": entry(manager="n", operation="Apply")}]
        found = await site.patch(CONFIG_MAPS, "a", other, type=JSON_PATCH, field_manager="ed")
        assert [e["manager"] for e in found["metadata"]["managedFields"]] == ["n", "m"]
        wrong = "metadata.managedFields[0].manager: Too long: may not be more than 128 bytes"
        with refused(422, "Invalid", wrong):
            await site.patch(CONFIG_MAPS, "a", {"metadata": {"managedFields": [entry(manager="m" * 129)]}})

    run(test)


def test_entries_of_versions_that_are_gone_go_too() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        found = await site.patch(CONFIG_MAPS, "a", {"metadata": {"managedFields": [entry(apiVersion="v9"), entry()]}})
        assert owners(found) == {"m": {"f:data": {"f:a": {}}}}

    run(test)


@pytest.mark.parametrize(
    ("agent", "named", "want"),
    [
        ("kubectl/v1.36 (linux)", "", "kubectl"),
        ("kubectl/v1.36 (linux)", "mine", "mine"),
        ("", "", "unknown"),
        ("/x", "", "unknown"),
        ("we\x00ird\x7f agent/1", "", "weird agent"),
        ("a" * 200, "", "a" * 128),
    ],
)
def test_managers_are_called_as_they_say_or_as_their_agent(agent: str, named: str, want: str) -> None:
    async def test(site: Site) -> None:
        asked = Request(ADMIN, CONFIG_MAPS, "default", "", "", agent)
        made = (await site.server.registry.create(asked, config_map("a"), WriteOptions(field_manager=named))).obj
        assert [e["manager"] for e in made["metadata"]["managedFields"]] == [want]

    run(test)


def test_controllers_in_process_are_called_by_their_names() -> None:
    async def test(site: Site) -> None:
        for user, name, want in (
            (User("system:kube-controller-manager", MASTERS), "", "kube-controller-manager"),
            (User("system:serviceaccount:kube-system:trainer", MASTERS), "", "trainer"),
            (User("u", MASTERS), "mine", "mine"),
        ):
            made = await site.server.local(user, name).create(CONFIG_MAPS, "default", config_map("a"))
            assert list(owners(made)) == [want]
            await site.delete(CONFIG_MAPS, "a")

    run(test)


def test_admission_that_breaks_managed_fields_is_undone() -> None:
    async def breaks(request: AdmissionRequest) -> None:
        assert request.obj is not None
        request.obj["metadata"]["managedFields"] = [entry(operation="Bad")]

    async def test(site: Site) -> None:
        asked = Request(ADMIN, CONFIG_MAPS, "default")
        made = (await site.server.registry.create(asked, config_map("a"), WriteOptions(field_manager="me"))).obj
        assert list(owners(made)) == ["me"]
        (warning,) = asked.warnings
        assert warning.startswith(".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated")
        assert warning.endswith("please fix your requests: operation must be `Apply` or `Update`")

    run(test, admission=[Admission(name="breaks", resources=(CONFIG_MAPS,), mutate=breaks)])


def test_who_scales_owns_the_replicas() -> None:
    async def test(site: Site) -> None:
        await site.create(kinds.DEPLOYMENTS, DEPLOYMENT, field_manager="me")
        scaled = await site.patch(kinds.DEPLOYMENTS, "d", {"spec": {"replicas": 2}}, subresource="scale", field_manager="hpa")
        assert "managedFields" not in scaled["metadata"]
        found = await site.get(kinds.DEPLOYMENTS, "d")
        assert owners(found)["hpascale"] == {"f:spec": {"f:replicas": {}}}
        assert "f:replicas" not in owners(found)["me"]["f:spec"]

    run(test)


DEPLOYMENT: Obj = {
    "metadata": {"name": "d"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    },
}


def test_deep_objects_are_stored_or_refused_but_break_nothing() -> None:
    async def test(site: Site) -> None:
        for depth in (100, 900):
            inside: Any = {"x": 1}
            for _ in range(depth):
                inside = {"a": inside}
            gadget: Obj = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": f"g{depth}"}}
            gadget["spec"] = {"size": 1, "free": inside}
            await site.create(GADGETS, gadget)
            gadget["metadata"] = {"name": f"h{depth}"}
            if depth == 100:
                await site.patch(GADGETS, "h100", gadget, type=APPLY_PATCH, field_manager="m")
            else:
                with refused(400, "BadRequest", "nested too deeply"):
                    await site.patch(GADGETS, "h900", gadget, type=APPLY_PATCH, field_manager="m")

    run(test, extra=[GADGETS])
