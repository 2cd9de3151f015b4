"""What was judged once is not judged again, and nothing that differs passes for it."""

from typing import Any

import pytest

from lightship.kinds.pods import rules as pod_rules
from lightship.kinds.pods.judged import LONGEST, Judged
from lightship.meta.objects import copy


def pod(volume: str = "kube-api-access-bcdfg") -> dict[str, Any]:
    mount = {"name": volume, "mountPath": "/token"}
    spec = {"containers": [{"name": "c", "image": "i", "volumeMounts": [mount]}], "volumes": [{"name": volume, "emptyDir": {}}]}
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": spec}


def test_pods_that_differ_in_name_and_token_volume_are_known() -> None:
    judged = Judged()
    judged.passed(pod())
    other = pod("kube-api-access-xz245")
    other["metadata"]["name"] = "q"
    assert judged.knows(other)


CHANGES: dict[str, Any] = {
    "image": lambda p: p["spec"]["containers"][0].update(image="other"),
    "annotation": lambda p: p["metadata"].update(annotations={"a": "b"}),
    "another volume's name": lambda p: p["spec"]["volumes"][0].update(name="kube-api-access-zzzzz"),
    "a name that is none of ours": lambda p: p["spec"]["volumes"][0].update(name="kube-api-access-AAAAA"),
    "true for one": lambda p: p["spec"].update(hostPID=True),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_pods_that_differ_in_anything_else_are_not(change: Any) -> None:
    judged = Judged()
    judged.passed(pod())
    other = pod()
    change(other)
    assert not judged.knows(other)


def test_specs_that_are_judged_by_the_name_of_the_pod_are_not_remembered() -> None:
    judged, one = Judged(), pod()
    one["spec"]["volumes"].append({"name": "e", "ephemeral": {}})
    judged.passed(one)
    assert not judged.knows(copy(one))


def test_long_specs_are_not_remembered() -> None:
    judged, one = Judged(), pod()
    one["spec"]["containers"][0]["image"] = "i" * LONGEST
    judged.passed(one)
    assert not judged.knows(copy(one))


def test_a_name_is_looked_at_however_well_the_spec_is_known() -> None:
    for name, warned in (("good", False), ("not.good", True), ("good", False)):
        one = pod()
        one["metadata"]["name"] = name
        pod_rules.default(one)
        assert not pod_rules.validate(one, None)
        assert bool(pod_rules.warn(one, None)) is warned


def test_a_bad_pod_is_refused_after_a_good_one_and_again() -> None:
    one = pod()
    pod_rules.default(one)
    assert not pod_rules.validate(one, None)
    pod_rules.warn(one, None)
    for _ in range(2):
        bad = copy(one)
        bad["spec"]["containers"][0]["volumeMounts"][0]["name"] = "missing"
        assert pod_rules.validate(bad, None)


def test_a_pod_that_has_changed_since_is_judged_again() -> None:
    one = pod()
    pod_rules.default(one)
    for _ in range(2):
        assert not pod_rules.validate(one, None)
        assert not pod_rules.warn(one, None)
    one["spec"]["containers"][0]["volumeMounts"][0]["name"] = "missing"
    assert pod_rules.validate(one, None)
