"""What is written when controllers say things."""

from typing import cast

import pytest

from lightship.control import events
from lightship.control.events import Correlator, EventKind, Said, reference
from lightship.meta.objects import Obj

POD: Obj = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "ns", "uid": "u1", "resourceVersion": "7"},
}
NODE: Obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u2", "resourceVersion": "9"}}
START = 1_700_000_000.0


def said(obj: Obj = POD, *, type: str = "Normal", reason: str = "Started", message: str = "it runs", after: float = 0.0) -> Said:
    return Said(reference(obj), cast(EventKind, type), reason, message, START + after)


def test_a_first_event_has_everything_that_describe_shows() -> None:
    write = Correlator("kit").observe(said())
    assert write.patch is None
    event = write.event
    name = event["metadata"].pop("name")
    assert name.startswith("a.")
    assert len(name) == len("a.") + 16
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "ns"},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "ns", "name": "a", "uid": "u1", "resourceVersion": "7"},
        "reason": "Started",
        "message": "it runs",
        "type": "Normal",
        "source": {"component": "kit"},
        "reportingComponent": "kit",
        "reportingInstance": "",
        "firstTimestamp": "2023-11-14T22:13:20Z",
        "lastTimestamp": "2023-11-14T22:13:20Z",
        "count": 1,
    }


def test_events_of_cluster_scoped_objects_live_in_default() -> None:
    event = Correlator("kit").observe(said(NODE)).event
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


def test_a_repetition_is_counted() -> None:
    correlator = Correlator("kit")
    first = correlator.observe(said())
    second = correlator.observe(said(after=60))
    third = correlator.observe(said(after=600))
    assert second.event["metadata"]["name"] == first.event["metadata"]["name"]
    assert second.patch == {"count": 2, "lastTimestamp": "2023-11-14T22:14:20Z"}
    assert third.patch == {"count": 3, "lastTimestamp": "2023-11-14T22:23:20Z"}
    assert third.event["firstTimestamp"] == "2023-11-14T22:13:20Z", "whole, in case the old one has expired"


def test_a_newer_resource_version_of_the_same_object_is_no_new_event() -> None:
    correlator = Correlator("kit")
    correlator.observe(said())
    later = {**POD, "metadata": {**POD["metadata"], "resourceVersion": "8"}}
    assert correlator.observe(said(later, after=1)).patch is not None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(said(after=601), id="after more than ten minutes"),
        pytest.param(said(reason="Stopped", after=1), id="another reason"),
        pytest.param(said(message="it ran", after=1), id="another message"),
        pytest.param(said(type="Warning", after=1), id="another type"),
        pytest.param(said({**POD, "metadata": {**POD["metadata"], "uid": "u9"}}, after=1), id="another object of that name"),
    ],
)
def test_what_is_a_new_event(other: Said) -> None:
    correlator = Correlator("kit")
    first = correlator.observe(said())
    second = correlator.observe(other)
    assert second.patch is None
    assert second.event["metadata"]["name"] != first.event["metadata"]["name"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 2)
    correlator = Correlator("kit")
    for message in ("one", "two", "three"):
        correlator.observe(said(message=message))
    assert correlator.observe(said(message="three", after=1)).patch is not None
    assert correlator.observe(said(message="one", after=1)).patch is None, "forgotten, so said anew"


def test_long_names_make_valid_event_names() -> None:
    obj = {**POD, "metadata": {"name": "a" * 229 + "-" * 10 + "b", "namespace": "ns"}}
    name = Correlator("kit").observe(said(obj)).event["metadata"]["name"]
    assert len(name) <= 253
    assert "-." not in name
