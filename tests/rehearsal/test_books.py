"""Timelines, the ledger and its report, fed with changes by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.emulation import api
from lightship.meta.objects import Obj
from lightship.rehearsal import report
from lightship.rehearsal.ledger import NODES, PODS, Ledger, causes
from lightship.rehearsal.timeline import MOST, Timeline, spark


def test_a_timeline_knows_mean_and_peak() -> None:
    line = Timeline()
    line.add(4, 0)
    line.add(-4, 60)
    line.advance(240)
    assert (line.mean, line.peak, line.total) == (1, 4, 240)
    assert line.means() == [4, 0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 5000)), min_size=1, max_size=60))
def test_parts_of_a_timeline_add_up_however_long_it_is(steps: list[tuple[int, float]]) -> None:
    line, now, total, level = Timeline(), 0.0, 0.0, 0
    for wanted, seconds in steps:
        line.add(wanted - level, now)
        level = wanted
        total += level * seconds
        now += seconds
    line.advance(now)
    assert line.total == pytest.approx(total)
    assert len(line.means()) <= MOST
    assert line.peak == max(wanted for wanted, _ in steps)


def test_a_spark_shows_little_as_something_and_most_as_full() -> None:
    assert spark([0, 0.1, 5, 10], 10) == " ▁▄█"
    assert spark([], 10) == spark([1], 0) == ""


def test_causes_are_told_without_numbers() -> None:
    message = (
        "0/12 nodes are available: 4 Insufficient cpu, 8 node(s) had untolerated taint(s). no new claims to deallocate, "
        "preemption: 0/12 nodes are available: 4 No preemption victims found for incoming pod."
    )
    assert causes(message) == ["Insufficient cpu", "node(s) had untolerated taint(s)"]
    assert causes("something else") == ["something else"]


def job(uid: str, kind: str = "Job", owner: Obj | None = None, **conditions: str) -> Obj:
    metadata: Obj = {"name": uid, "namespace": "default", "uid": uid}
    if owner:
        metadata["ownerReferences"] = [{**owner, "controller": True}]
    return {"kind": kind, "metadata": metadata, "status": {"conditions": [{"type": t, "status": s} for t, s in conditions.items()]}}


def pod(owner: str, phase: str = "Pending", node: str = "", **status: Any) -> Obj:
    return {
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "namespace": "default",
            "uid": "p",
            "ownerReferences": [{"kind": "Job", "name": owner, "uid": owner, "controller": True}],
        },
        "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"requests": {"cpu": "2", "nvidia.com/gpu": "4"}}}]},
        "status": {"phase": phase, **status},
    }


def node(ready: str = "True") -> Obj:
    return {
        "kind": "Node",
        "metadata": {"name": "n", "labels": {api.SHAPE_LABEL: "gpu"}, "annotations": {api.PRICE: "2.5"}},
        "status": {"allocatable": {"cpu": "8", "nvidia.com/gpu": "8"}, "conditions": [{"type": "Ready", "status": ready}]},
    }


def test_books_of_a_jobset_whose_pod_waits_runs_and_ends() -> None:
    ledger = Ledger()
    ledger.note("ADDED", NODES, node(), 0)
    ledger.note("ADDED", "jobset.x-k8s.io/jobsets", job("set", "JobSet"), 0)
    ledger.note("ADDED", "batch/jobs", job("j", owner={"kind": "JobSet", "name": "set", "uid": "set"}), 0)
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    ledger.note("ADDED", PODS, pod("j", conditions=[told]), 0)
    assert ledger.open == 1
    ledger.note("MODIFIED", PODS, pod("j", node="n"), 3600)
    ledger.note("MODIFIED", PODS, pod("j", "Running", "n"), 3600)
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    ledger.note("MODIFIED", PODS, pod("j", "Failed", "n", conditions=[disrupted]), 7200)
    ledger.note("DELETED", PODS, pod("j", "Failed", "n"), 7300)
    ledger.note("MODIFIED", "jobset.x-k8s.io/jobsets", job("set", "JobSet", Failed="True"), 7300)
    ledger.note("MODIFIED", NODES, node("Unknown"), 10_800)
    ledger.note("DELETED", NODES, node("Unknown"), 14_400)
    assert ledger.open == 0
    ledger.close(14_400)
    found = report.report(ledger, 14_400)
    (workload,) = found["workloads"]
    assert (workload["kind"], workload["submitted"], workload["failed"]) == ("JobSet", 1, 1)
    assert workload["waitedSeconds"]["median"] == 3600
    assert workload["ranSeconds"]["median"] == 3700
    assert found["pods"] | {"disrupted": {"PreemptionByScheduler": 1}} == found["pods"]
    by_name = {entry["name"]: entry for entry in found["resources"]}
    assert by_name["nvidia.com/gpu"]["hours"] == 4
    assert by_name["nvidia.com/gpu"]["hoursThere"] == 24
    assert found["nodes"]["cost"] == 10
    assert found["unschedulable"] == [{"reason": "Insufficient cpu", "pods": 1, "waitedSeconds": 3600}]
    assert "JobSet" in report.page(found, wide=True)


def test_what_has_not_ended_is_under_way() -> None:
    ledger = Ledger()
    ledger.note("ADDED", "batch/jobs", job("a"), 0)
    ledger.note("ADDED", "batch/jobs", job("b"), 0)
    ledger.note("MODIFIED", PODS, pod("b", "Running", "n"), 10)
    ledger.note("ADDED", "batch/jobs", job("c"), 0)
    ledger.note("DELETED", "batch/jobs", job("c"), 50)
    ledger.close(100)
    (workload,) = report.report(ledger, 100)["workloads"]
    assert [workload[field] for field in ("submitted", "running", "waiting", "deleted")] == [3, 1, 1, 1]
    assert report.page(report.report(Ledger(), 0))
