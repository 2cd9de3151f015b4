"""Which keys a change wakes."""

from collections.abc import Iterable

import pytest

from lightship import kinds
from lightship.control.watch import Watch, itself, owner
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

CLUSTER_JOB = Resource(group="example.dev", version="v1", kind="Job", plural="jobs", namespaced=False)


def child(**reference: object) -> Obj:
    references = [reference] if reference else []
    return {"metadata": {"name": "child", "namespace": "ns", "ownerReferences": references}}


def owned_by_job(**more: object) -> Obj:
    return child(**({"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1", "controller": True} | more))


@pytest.mark.parametrize(
    ("watch", "obj", "want"),
    [
        pytest.param(itself(kinds.PODS), child(), [Key("ns", "child")], id="itself"),
        pytest.param(owner(kinds.PODS, kinds.JOBS), owned_by_job(), [Key("ns", "j")], id="its controller"),
        pytest.param(owner(kinds.PODS, "Job"), owned_by_job(), [Key("ns", "j")], id="its controller by bare kind"),
        pytest.param(owner(kinds.PODS, kinds.JOBS), owned_by_job(apiVersion="batch/v2"), [Key("ns", "j")], id="any version of the group"),
        pytest.param(owner(kinds.PODS, kinds.JOBS), owned_by_job(apiVersion="other.dev/v1"), [], id="another group's kind of that name"),
        pytest.param(owner(kinds.PODS, kinds.JOBS), owned_by_job(controller=False), [], id="an owner that does not control"),
        pytest.param(owner(kinds.PODS, "JobSet"), owned_by_job(), [], id="a controller of another kind"),
        pytest.param(owner(kinds.PODS, CLUSTER_JOB), owned_by_job(apiVersion="example.dev/v1"), [Key("", "j")], id="cluster-scoped owner"),
        pytest.param(owner(kinds.PODS, kinds.JOBS), child(), [], id="an orphan"),
    ],
)
def test_keys(watch: Watch, obj: Obj, want: list[Key]) -> None:
    found: Iterable[Key] = watch.map(obj)
    assert list(found) == want
