"""What a scenario says, and what is refused before anything runs."""

from pathlib import Path

import pytest

from lightship.cli.errors import CliError
from lightship.rehearsal import scenario
from lightship.rehearsal.scenario import Apply, Delete, Fail, Recover, Resize, read
from lightship.rehearsal.templates import STAGE

HEAD = "apiVersion: lightship.dev/v1alpha1\nkind: Scenario\nmetadata: {name: mine}\nspec:\n"
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {generateName: j-}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}}
"""


def write(folder: Path, spec: str, **others: str) -> str:
    for name, text in others.items():
        (folder / f"{name}.yaml").write_text(text)
    path = folder / "scenario.yaml"
    path.write_text(HEAD + "".join(f"  {line}\n" for line in spec.splitlines()))
    return str(path)


def test_steps_become_deeds_in_the_order_of_their_times(tmp_path: Path) -> None:
    spec = """
start: 2026-03-02T06:00:00Z
until: 24h
seed: 7
nodes: {count: 5, shapes: shapes.yaml}
steps:
- {at: 1h, every: 30m, times: 3, runsFor: 10m..20m, apply: [job.yaml]}
- {at: 90m, scale: [{kind: Deployment, name: web, replicas: 3}]}
- {at: 2h, failNodes: {count: 2, for: 40m}}
- {at: 5, delete: [{kind: Job, name: a, namespace: team}], recoverNodes: {names: [n]}}
"""
    found = read([write(tmp_path, spec, job=JOB)])
    assert (found.name, found.until, found.seed, found.nodes) == ("mine", 86_400.0, 7, 5)
    assert found.start == 1_772_431_200.0
    assert found.shapes_file == str(tmp_path / "shapes.yaml")
    want_kinds = [(5, Delete), (5, Recover), (3600, Apply), (5400, Apply), (5400, Resize), (7200, Apply), (7200, Fail)]
    assert [(due.at, type(due.deed)) for due in found.deeds] == want_kinds
    job = next(due.deed.manifest.obj for due in found.deeds if isinstance(due.deed, Apply))
    want = {f"{STAGE}/delay": "600s", f"{STAGE}/jitter-delay": "1200s"}
    assert job["spec"]["template"]["metadata"]["annotations"] == want


def test_plain_manifests_come_at_the_time_of_their_annotation(tmp_path: Path) -> None:
    text = f"{JOB}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: late, annotations: {{lightship.dev/at: 2m, kept: y}}}}\n"
    (tmp_path / "all.yaml").write_text(text)
    first, late = read([str(tmp_path)]).deeds
    assert (first.at, late.at) == (0, 120)
    assert isinstance(late.deed, Apply)
    assert late.deed.manifest.obj["metadata"] == {"name": "late", "annotations": {"kept": "y"}}


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ("steps: [{at: soon, apply: [job.yaml]}]", r"steps\[0\].at: 'soon' is no duration"),
        ("steps: [{at: -5, apply: [job.yaml]}]", r"steps\[0\].at: -5 is no duration"),
        ("steps: [{att: 5m, apply: [job.yaml]}]", r"unknown field `att`.*`spec.steps"),
        ("steps: [{apply: [absent.yaml]}]", r"absent.yaml cannot be read"),
        ("steps: [{at: 5m}]", r"steps\[0\]: nothing is to be done"),
        ("steps: [{times: 0, apply: [job.yaml]}]", r"times: 0 is not between"),
        ("steps: [{times: 2, apply: [named.yaml]}]", r"ConfigMap a cannot be made 2 times"),
        ("steps: [{apply: [{kind: Job}]}]", r"needs apiVersion and kind"),
        ("steps: [{runsFor: 5m..1m, apply: [job.yaml]}]", r"ends before it begins"),
        ("steps: [{runsFor: 5m, apply: [named.yaml]}]", r"ConfigMap has no pod template"),
        ("start: yesterday\nuntil: 1h", r"spec.start: \"yesterday\" is not an RFC 3339 time"),
        ("seed: 1", r"nothing happens"),
        ("seed: x\nuntil: 1h", r"expected `int`, got `str`"),
    ],
)
def test_what_is_unclear_is_refused(tmp_path: Path, spec: str, want: str) -> None:
    path = write(tmp_path, spec, job=JOB, named="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    with pytest.raises(CliError, match=want):
        read([path])


def test_there_is_one_scenario_of_a_version_that_is_known(tmp_path: Path) -> None:
    path = write(tmp_path, "until: 1h")
    with pytest.raises(CliError, match="a second Scenario"):
        read([path, path])
    Path(path).write_text(HEAD.replace("v1alpha1", "v1") + "  until: 1h\n")
    with pytest.raises(CliError, match=r"no Scenario in lightship.dev/v1"):
        read([path])


def test_examples_are_scenarios() -> None:
    folder = Path(scenario.__file__).parents[3] / "examples" / "emulation"
    found = read([str(folder / "a-day.yaml")])
    assert len(found.deeds) > 150
