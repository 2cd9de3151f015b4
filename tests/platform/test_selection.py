"""Which controllers a list chooses."""

import pytest

from lightship import kinds
from lightship.builtin.api import JOB_SETS
from lightship.main import platform, selection
from lightship.train import api as train_api

from .kit import Home


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
    ],
)
def test_a_list_chooses(text: str, runs: list[str], rests: list[str]) -> None:
    chosen = selection.words(text)
    assert [name for name in (*runs, *rests) if selection.selected(name, chosen)] == runs


def test_strangers_are_named() -> None:
    assert selection.unknown(selection.words("*,-jop,endpoints"), {"job", "endpoints"}) == ["-jop"]


@pytest.mark.parametrize(
    ("text", "brought"),
    [
        ("*", {JOB_SETS, *train_api.RESOURCES}),
        ("-jobset", {JOB_SETS, *train_api.RESOURCES}),
        ("-trainjob", {JOB_SETS}),
        ("-jobset,-trainjob", set()),
        ("job", set()),
        ("none", set()),
    ],
)
def test_kinds_come_with_those_who_need_them(text: str, brought: set[object]) -> None:
    assert set(platform.resources(selection.words(text))) - set(kinds.BUILTIN) == brought


@pytest.mark.slow
def test_what_nobody_here_works_on_is_defined_by_others(home: Home) -> None:
    """With upstream's manager in mind: its definition is what is served, with what it says and no rule of ours."""
    api = home.up("--no-node", "--controllers", "*,-trainjob,-jobset").api
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
