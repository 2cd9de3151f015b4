"""Selectors on stored bytes: what is found without decoding all of an object is what would be found in all of it."""

import pytest

from lightship import kinds
from lightship.apiserver.verbs.selection import Selection
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.store import Record
from tests.apiserver.site import GADGETS

_PODS: list[Obj] = [
    {"metadata": {"name": "a", "namespace": "default", "labels": {"app": "x"}}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}},
    {"metadata": {"name": "b", "namespace": "default"}, "spec": {"containers": [{"name": "c"}]}, "status": {}},
    {"metadata": {"name": "c", "labels": None}, "spec": None},
    {"metadata": {"name": "d", "labels": {}}, "spec": {"nodeName": None, "hostNetwork": True}},
]


@pytest.mark.parametrize(
    "fields", ["", "metadata.name=a", "metadata.name!=a", "spec.nodeName=n1,status.phase=Running", "spec.hostNetwork=true"]
)
@pytest.mark.parametrize("labels", ["", "app=x", "app!=x", "!app", "app in (x, y)"])
def test_a_glimpse_is_enough(labels: str, fields: str) -> None:
    selection = Selection(kinds.PODS, labels, fields)
    for pod in _PODS:
        record = Record("core/pods/default/p", codec.encode(pod), 1)
        assert selection.finds(record) is selection.matches(pod)
        assert record.decoded is None


def test_odd_objects_of_custom_kinds() -> None:
    record = Record("example.com/gadgets/default/g", codec.encode({"metadata": {"name": "g", "labels": {"app": 5}}}), 1)
    assert not Selection(GADGETS, "app=x", "metadata.name=g").finds(record)
