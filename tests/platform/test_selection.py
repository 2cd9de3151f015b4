"""Which controllers a list chooses."""

import pytest

from lightship import kinds
from lightship.builtin.api import COSCHEDULING_POD_GROUPS, DISAGGREGATED_SETS, JOB_SETS, LEADER_WORKER_SETS
from lightship.emulation.api import STAGES
from lightship.main import brought, selection
from lightship.train import api as train_api

from .kit import Home

_OF_TRAINER = {*train_api.SERVED, COSCHEDULING_POD_GROUPS}
_OF_LWS = {LEADER_WORKER_SETS, DISAGGREGATED_SETS}


@pytest.mark.parametrize(
    ("text", "runs", "rests"),
    [
        ("*", ["job", "endpoints"], []),
        ("-job", ["endpoints"], ["job"]),
        ("*,-job", ["endpoints"], ["job"]),
        ("job", ["job"], ["endpoints"]),
        ("job,-job", ["job"], ["endpoints"]),
        ("-job,job", [], ["job", "endpoints"]),
        ("job, endpoints", ["job", "endpoints"], ["ttl"]),
        ("none", [], ["job", "endpoints"]),
        ("", [], ["job"]),
        ("-job-controller", ["endpoints"], ["job"]),
        ("endpointslice-controller, resourceclaim-controller", ["endpointslice", "resourceclaim", "resourceclaim-release"], ["endpoints"]),
        ("*,-disruption-controller", ["job"], ["disruption", "stale-disruption"]),
    ],
)
def test_a_list_chooses(text: str, runs: list[str], rests: list[str]) -> None:
    chosen = selection.words(text)
    assert [name for name in (*runs, *rests) if selection.selected(name, chosen)] == runs


def test_strangers_are_named() -> None:
    assert selection.unknown(selection.words("*,-jop,endpoints"), {"job", "endpoints"}) == ["-jop"]


def test_other_names_are_of_controllers_that_there_are() -> None:
    there = brought.names()
    assert len(set(there)) == len(there)
    assert {own for replaced in selection.THEIRS.values() for own in replaced} <= set(there)
    told = dict(selection.described(there))
    assert (told["ttl"], told["jobset"], told["stale-disruption"]) == ("ttl-after-finished-controller", "-", "disruption-controller")


def test_help_lists_them_and_starts_nothing(home: Home) -> None:
    told = home.call("up", "--controllers", "help").out.splitlines()
    assert told[0].split()[0] == "NAME"
    assert ["deployment", "deployment-controller"] in [line.split() for line in told]
    assert not home.status()["ready"]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("*", {JOB_SETS, *_OF_TRAINER, *_OF_LWS, STAGES}),
        ("-jobset", {JOB_SETS, *_OF_TRAINER, *_OF_LWS, STAGES}),
        ("-trainjob", {JOB_SETS, *_OF_LWS, STAGES}),
        ("-jobset,-trainjob,-emulation", _OF_LWS),
        ("-leaderworkerset,-jobset,-trainjob,-emulation", set()),
        ("job", set()),
        ("none", set()),
    ],
)
def test_kinds_come_with_those_who_need_them(text: str, want: set[object]) -> None:
    assert set(brought.resources(selection.words(text))) - set(kinds.BUILTIN) == want


@pytest.mark.slow
def test_what_nobody_here_works_on_is_defined_by_others(home: Home) -> None:
    """With upstream's manager in mind: its definition is what is served, with what it says and no rule of ours."""
    api = home.up("--no-node", "--controllers", "*,-trainjob,-jobset,-leaderworkerset,-emulation").api
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert api.get(definitions)["items"] == []
    names = {"plural": "jobsets", "singular": "jobset", "kind": "JobSet", "listKind": "JobSetList"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"theirs": {"type": "integer", "default": 3}}}}}
    version = {"name": "v1alpha2", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": JOB_SETS.group, "names": names, "scope": "Namespaced", "versions": [version]}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"jobsets.{JOB_SETS.group}"},
        "spec": spec,
    }
    assert api.call("POST", definitions, body).code == 201
    jobset = {"apiVersion": JOB_SETS.api_version, "kind": "JobSet", "metadata": {"name": "a"}, "spec": {}}
    made = api.call("POST", f"/apis/{JOB_SETS.api_version}/namespaces/default/jobsets", jobset)
    assert (made.code, made.body["spec"]) == (201, {"theirs": 3})
