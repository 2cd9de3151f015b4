"""Upstream's tables for the volume binder, as data (`tools/record_controller_cases.py`): what is decided for claims and volumes.

Left out are the cases in which a plugin inside kube-controller-manager makes the volume: there is none left upstream but for tests, and
none here.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from lightship.builtin import protection
from lightship.builtin.volumes import claims, matching, migration, reclaiming, terms, volumes
from lightship.builtin.volumes.steps import Create, Delete, Fail, Look, Reclaim, Say, Step, Write
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

CASES = Path(__file__).parent / "cases"
ONLY_STORED = "pv-testing-skip-local-store"
"""Marks what a cache does not have yet."""
MOCK = "kubernetes.io/mock-volume"
DRIVER = "vendor.com/MockCSIDriver"


def table(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CASES / f"{name}.jsonl").read_text().splitlines()]


def needs_plugin(case: dict[str, Any]) -> bool:
    """Would a plugin of upstream's tests make a volume, or say why it does not?"""
    classes = {objects.name(found): found.get("provisioner") for found in case.get("Classes", ())}
    return "Provision" in case and any(classes.get(terms.class_of(claim)) == MOCK for claim in case["Claims"])


SYNCS = [case for case in table("volumes") if not needs_plugin(case)]


class Everything(dict[str, str]):
    """Upstream's stand-in: every plugin's work has gone to one driver."""

    def __contains__(self, plugin: object) -> bool:
        return True

    def get(self, plugin: str, default: Any = None) -> Any:
        return DRIVER


class World:
    """What is stored, and what a plugin of upstream's tests would say."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.volumes = {objects.name(volume): volume for volume in case.get("Volumes") or ()}
        self.claims = {objects.key(claim): claim for claim in case.get("Claims") or ()}
        self.classes = {objects.name(found): found for found in case.get("Classes") or ()}
        self.pods = case.get("Pods") or []
        self.migrated = Everything() if case["Migrated"] else migration.MIGRATED
        self.answers = {"Delete": list(case.get("Delete", ())), "Recycle": list(case.get("Recycle", ()))}
        self.said: list[str] = []
        self.failed = False
        self.changed = False

    def sync_claim(self, key: Key) -> None:
        claim = self.claims.get(key)
        if claim is None:
            return
        cached = {name: volume for name, volume in self.volumes.items() if ONLY_STORED not in objects.annotations(volume)}
        waiting = [objects.name(pod) for pod in self.users(key) if not objects.spec(pod).get("nodeName")]
        volume = cached.get(objects.spec(claim).get("volumeName", ""))
        around = claims.Surroundings(volume, cached.values(), self.classes, waiting, self.migrated)
        self.take(claims.sync(claim, around))

    def sync_volume(self, name: str) -> None:
        volume = self.volumes.get(name)
        if volume is not None:
            self.take(volumes.sync(volume, self.claims.get(terms.claim_key(volume)), self.migrated))

    def users(self, key: Key) -> list[Obj]:
        return [pod for pod in self.pods if f"{key.namespace}/{key.name}" in protection.claims_of_pod(pod)]

    def take(self, steps: list[Step]) -> None:
        for step in steps:
            match step:
                case Write(obj):
                    self.changed = True
                    if objects.namespace(obj):
                        self.claims[objects.key(obj)] = obj
                    else:
                        self.volumes[objects.name(obj)] = obj
                case Say(_, type, reason, message):
                    self.said.append(f"{type} {reason} {message}")
                    if reason == "ExternalProvisioning":
                        self.inject()
                case Look(key):
                    if self.case["All"]:
                        self.sync_claim(key)
                case Reclaim(volume):
                    self.reclaim(volume)
                case Delete(obj):
                    self.changed = True
                    self.volumes.pop(objects.name(obj), None)
                case Fail():
                    self.failed = True
                case Create():
                    raise AssertionError("upstream's tables play the plugin")

    def inject(self) -> None:
        """What happens while the work waits to be done."""
        if self.case["Injected"]:
            self.volumes = {objects.name(volume): volume for volume in self.case.get("InjectedVolumes") or ()}
            self.claims |= {objects.key(claim): claim for claim in self.case.get("InjectedClaims") or ()}
            self.changed = True
            self.case = {**self.case, "Injected": False}

    def reclaim(self, given: Obj) -> None:
        """Play the plugin: what the binder does around it is as here."""
        self.inject()
        volume = self.volumes.get(objects.name(given))
        if volume is None:
            return
        key = terms.claim_key(volume)
        claim = self.claims.get(key)
        cached = claim is not None and ONLY_STORED not in objects.annotations(claim)
        if not volumes.is_released(volume, claim if cached else None):
            return
        if objects.spec(volume)["persistentVolumeReclaimPolicy"] == "Delete":
            self.take(self.delete(volume))
            return
        if "Recycle" not in self.case:
            self.take([bare(step) for step in reclaiming.recycle(volume, self.users(key), None, claimed=cached)])
            return
        answers = self.answers["Recycle"]
        wrong = answers.pop(0) if answers else "Mock plugin error: no recycleCalls configured"
        pod = {"metadata": {"annotations": {reclaiming.RECYCLES: objects.uid(volume)}}, "status": {"phase": "Succeeded"}}
        known = {**volume, "spec": {**volume["spec"], "hostPath": {"path": "/tmp/x"}}}
        steps = reclaiming.recycle(known, self.users(key), pod, claimed=cached)
        if wrong and any(isinstance(step, Write) for step in steps):
            steps = reclaiming.failed(volume, "VolumeFailedRecycle", f"Recycle failed: {wrong}")
        self.take([bare(step) for step in steps if not isinstance(step, Delete)])

    def delete(self, volume: Obj) -> list[Step]:
        if "Delete" not in self.case:
            try:
                return [] if not reclaiming.host_path(volume) else reclaiming.deleted(volume)
            except ValueError as error:
                return reclaiming.failed(volume, "VolumeFailedDelete", str(error))
        if objects.annotations(volume).get(terms.PROVISIONED_BY, MOCK) not in (MOCK, "yes"):
            return []
        none = f'failed to create deleter for volume "{objects.name(volume)}": Mock plugin error: no deleteCalls configured'
        wrong = self.answers["Delete"].pop(0) if self.answers["Delete"] else none
        return reclaiming.failed(volume, "VolumeFailedDelete", wrong) if wrong else reclaiming.deleted(volume)


def bare(step: Step) -> Step:
    """Without the directory that the test lent to the volume."""
    if isinstance(step, Write):
        spec = {field: value for field, value in objects.spec(step.obj).items() if field not in ("hostPath",)}
        return step._replace(obj={**step.obj, "spec": spec})
    return step


def compared(objs: list[Obj]) -> list[Obj]:
    found = []
    for obj in sorted(objs, key=objects.name):
        copied = objects.copy(obj)
        copied["metadata"].pop("resourceVersion", None)
        reference = objects.spec(copied).get("claimRef")
        if reference:
            reference.pop("resourceVersion", None)
        if not objects.annotations(copied):
            copied["metadata"].pop("annotations", None)
        if not copied["metadata"].get("finalizers"):
            copied["metadata"].pop("finalizers", None)
        copied["status"] = {field: value for field, value in objects.status(copied).items() if value}
        found.append(copied)
    return found


@pytest.mark.parametrize("case", SYNCS, ids=lambda case: case["Name"])
def test_what_is_decided(case: dict[str, Any]) -> None:
    world = World(case)
    if case["Call"].startswith("claim"):
        world.sync_claim(objects.key(case["Claims"][0]))
    else:
        world.sync_volume(objects.name(case["Volumes"][0]))
    if case["All"]:
        settle(world)
    assert world.failed == (case["Call"] == "claim error")
    assert compared(list(world.volumes.values())) == compared(case.get("WantVolumes") or [])
    assert compared(list(world.claims.values())) == compared(case.get("WantClaims") or [])
    want = case.get("WantEvents") or []
    # Upstream's tests read as many events as they expect, so more may come.
    assert [said[: len(begin)] for said, begin in zip(world.said, want, strict=False)] == want


def settle(world: World) -> None:
    """Look at everything until nothing changes any more."""
    for _ in range(20):
        world.changed = False
        for key in list(world.claims):
            world.sync_claim(key)
        for name in list(world.volumes):
            world.sync_volume(name)
        if not world.changed:
            return
    raise AssertionError("it never comes to rest")


MATCHES = [case for case in table("matching") if terms.requested(case["claim"]) < 2**63 - 1]
"""Larger quantities than that count as equal here, and more than that has nobody."""


@pytest.mark.parametrize("case", MATCHES)
def test_which_volume_a_claim_gets(case: dict[str, Any]) -> None:
    found = matching.best(case["claim"], case["volumes"], delayed=case["delay"])
    if (objects.name(found) if found else "") != case["want"]:
        # Go's maps have no order: of volumes that are equally good any may be recorded.
        want = next((volume for volume in case["volumes"] if objects.name(volume) == case["want"]), None)
        assert found is not None
        assert want is not None
        assert (terms.capacity(found), terms.access_modes(found)) == (terms.capacity(want), terms.access_modes(want))


@pytest.mark.parametrize("case", [case for case in table("migration") if "annotations" in case])
def test_annotations_of_what_has_gone_to_drivers(case: dict[str, Any]) -> None:
    obj = {"metadata": {"annotations": case["annotations"]}}
    changed = migration.claim_migrated(obj) if case["claim"] else migration.volume_migrated(obj)
    assert objects.annotations(changed) == case["want"]


@pytest.mark.parametrize("case", [case for case in table("migration") if "volume" in case])
def test_finalizers_of_volumes(case: dict[str, Any]) -> None:
    assert migration.finalizers(case["volume"]) == (case.get("want") or [])
