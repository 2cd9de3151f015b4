"""Whole rehearsals: what happens in them, and that it is always the same."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightship.cli.errors import CliError
from lightship.cli.manifests import Manifest
from lightship.main.commands import main
from lightship.meta.objects import Obj
from lightship.rehearsal.report import page
from lightship.rehearsal.scenario import Apply, Chosen, Delete, Due, Fail, Reference, Resize, Scale, Scenario
from lightship.rehearsal.stage import Done, rehearse
from lightship.rehearsal.templates import Span, timed

MORNING = Path(__file__).parent / "morning.yaml"


def job(cpu: int = 1, **metadata: str) -> Obj:
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": str(cpu)}}}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata or {"generateName": "j-"}, "spec": {"template": template}}
    return timed(made, Span(600, 600))


def apply(at: float, obj: Obj) -> Due:
    return Due(at, Apply(Manifest(obj, "test")))


def play(*deeds: Due, until: float = 0, nodes: int = 2, seed: int = 0) -> Done:
    return rehearse(Scenario("test", deeds, until=until, nodes=nodes, seed=seed))


def test_jobs_wait_run_and_end() -> None:
    found = play(*(apply(60, job(20)) for _ in range(3)), apply(120, job(cpu=99, name="huge")), until=3600).summary
    (jobs,) = found["workloads"]
    assert (jobs["submitted"], jobs["completed"], jobs["waiting"]) == (4, 3, 1)
    assert 600 <= jobs["ranSeconds"]["median"] < 610
    started = sorted(j["started"] for j in found["jobs"] if j["started"] is not None)
    assert started[0] == started[1] < started[2] - 600, "two fit at once"
    assert found["unschedulable"][0] == {"reason": "Insufficient cpu", "pods": 2, "waitedSeconds": pytest.approx(3480 + 600, abs=10)}


def test_it_ends_when_all_jobs_have() -> None:
    found = play(apply(0, job())).summary
    assert 600 < found["seconds"] < 700


@pytest.mark.slow
def test_jobs_that_can_never_run_are_given_up() -> None:
    found = play(apply(0, job(name="fits")), apply(60, job(cpu=99, name="huge"))).summary
    assert 3600 < found["seconds"] < 2 * 3600
    assert found["neverEnded"] == [{"kind": "Job", "namespace": "default", "name": "huge", "why": "Insufficient cpu"}]
    assert "will never end" in page(found).lower()
    assert play(apply(0, job(cpu=99, name="huge")), until=1800).summary["neverEnded"] == [], "it was to end before"


@pytest.mark.slow
def test_long_runs_and_deadlines_are_waited_for() -> None:
    late = job(cpu=99, name="late")
    late["spec"]["activeDeadlineSeconds"] = 6 * 3600
    found = play(apply(0, late)).summary
    assert (found["neverEnded"], found["workloads"][0]["failed"]) == ([], 1)
    long = timed(job(name="long"), Span(30 * 3600, 30 * 3600))
    found = play(apply(0, long), apply(0, job(cpu=32, name="after")), nodes=1).summary
    assert (found["neverEnded"], found["workloads"][0]["completed"]) == ([], 2)


def test_a_node_that_fails_is_missed_and_its_work_is_done_elsewhere() -> None:
    long = timed(job(name="long"), Span(7200, 7200))
    tolerations = [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]
    long["spec"]["template"]["spec"]["tolerations"] = tolerations
    history = io.BytesIO()
    deeds = (apply(10, long), Due(1000, Fail(Chosen(selector="lightship.dev/node-shape", count=1), 3600.0)))
    found = rehearse(Scenario("test", deeds, nodes=2, until=8 * 3600.0, seed=2), history=history).summary
    lines = [json.loads(line) for line in history.getvalue().splitlines()]
    assert found["changes"] == len(lines)
    nodes = [line["object"] for line in lines if line["object"]["kind"] == "Node"]
    unknown = [n["status"]["conditions"][0] for n in nodes if any(c["status"] == "Unknown" for c in n["status"]["conditions"])]
    assert unknown
    assert unknown[0]["lastTransitionTime"] == "2026-01-01T00:17:30Z", "fifty seconds after its last sign of life"
    assert found["pods"]["created"] == 2
    assert found["pods"]["disrupted"] == {"DeletionByTaintManager": 1}
    assert found["workloads"][0]["completed"] == 1
    assert found["nodes"]["ready"] == pytest.approx(2 - 3550 / (8 * 3600), abs=0.02)


def test_things_are_scaled_and_deleted() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    web: Obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    steps = (
        apply(0, web),
        Due(60, Resize(Scale(kind="Deployment", name="web", replicas=4))),
        Due(120, Delete(Reference(kind="Deployment", name="web"))),
        Due(180, Delete(Reference(kind="Deployment", name="web"))),
    )
    found = play(*steps, until=600).summary
    assert (found["pods"]["created"], found["pods"]["deleted"]) == (4, 4)
    assert [(entry["what"], entry["at"]) for entry in found["refused"]] == [("the end of Deployment web", 180)]


def test_what_makes_no_sense_ends_it() -> None:
    broken = job(name="broken")
    broken["spec"]["completions"] = -1
    with pytest.raises(CliError, match=r"test: Job broken was refused after 60s: .*completions"):
        play(apply(60, broken))
    with pytest.raises(CliError, match=r'serves no kind "Foo" in "example.com/v1"'):
        play(apply(0, {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a"}}))


@pytest.mark.slow
def test_a_morning_follows_from_its_seed_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Preemption, a failed node, CronJobs, JobSets: in another process, with another order of sets and another layout of memory."""
    arguments = ["rehearse", str(MORNING), "-o", "json", "--save", str(tmp_path)]
    command = [sys.executable, "-m", "lightship", *arguments]
    elsewhere = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "1"}, capture_output=True, text=True, check=True).stdout
    assert elsewhere == (tmp_path / "report.json").read_text()
    lines = (tmp_path / "history.jsonl").read_bytes()
    assert main(arguments) == 0
    assert capsys.readouterr().out == elsewhere
    assert (tmp_path / "history.jsonl").read_bytes() == lines
    found = json.loads(elsewhere)
    assert {"PreemptionByScheduler", "DeletionByTaintManager"} <= set(found["pods"]["disrupted"])
    assert lines.count(b"\n") == found["changes"]
    objects = json.loads((tmp_path / "objects.json").read_text())
    assert {"Node", "Job", "JobSet", "CronJob"} <= {obj["kind"] for obj in objects["items"]}


@pytest.mark.slow
def test_another_seed_is_another_history() -> None:
    def history(seed: int) -> str:
        return str(play(apply(0, job()), seed=seed).summary["history"])

    assert history(1) == history(1) != history(2)


@pytest.mark.soak
def test_a_day_of_a_thousand_nodes_follows_from_its_seed_alone(tmp_path: Path) -> None:
    """Several hundred jobs, a morning's worth of everything else, failing nodes: twice, in processes that differ in their hash seeds."""
    day = yaml.safe_load(MORNING.read_text())
    day["spec"] |= {"until": "24h", "nodes": {"count": 1000}}
    day["spec"]["steps"][1] |= {"every": "2m", "times": 400}
    day["spec"]["steps"].append({"at": "2h", "every": "4h", "times": 5, "failNodes": {"count": 20, "for": "1h"}})
    (tmp_path / "day.yaml").write_text(yaml.safe_dump(day))

    def history(hash_seed: int, seed: int) -> str:
        command = [sys.executable, "-m", "lightship", "rehearse", str(tmp_path / "day.yaml"), "--seed", str(seed), "-o", "json"]
        environ = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        return str(json.loads(subprocess.run(command, env=environ, capture_output=True, check=True).stdout)["history"])

    assert history(1, 7) == history(2, 7) != history(1, 8)
