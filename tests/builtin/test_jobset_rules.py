"""Defaults and validation of JobSets as tables."""

from typing import Any

import pytest

from lightship.builtin.api import JOB_SETS
from lightship.builtin.jobset import changes, defaults, rules
from lightship.meta import objects
from lightship.meta.objects import Obj
from tests.builtin import make


def good(*jobs: Obj, **spec: Any) -> Obj:
    return defaults.defaulted(make.jobset("js", *jobs, **spec))


def messages(new: Obj, old: Obj | None = None) -> str:
    found = changes.breaches(new, old) + (rules.problems(new) if old is None else changes.problems(new, old))
    return "; ".join(cause.text() for cause in found)


def test_defaults() -> None:
    bare: Obj = {
        "metadata": {"name": "js"},
        "spec": {"replicatedJobs": [{"name": "a", "template": {}}], "failurePolicy": {"rules": [{"action": "FailJobSet"}]}},
    }
    spec = defaults.defaulted(bare)["spec"]
    assert spec["successPolicy"] == {"operator": "All"}
    assert spec["startupPolicy"] == {"startupPolicyOrder": "AnyOrder"}
    assert spec["network"] == {"enableDNSHostnames": True, "publishNotReadyAddresses": True}
    (replicated,) = spec["replicatedJobs"]
    assert (replicated["replicas"], replicated["groupName"]) == (1, "default")
    assert replicated["template"]["spec"]["completionMode"] == "Indexed"
    assert replicated["template"]["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert spec["failurePolicy"]["restartStrategy"] == "Recreate"
    assert spec["failurePolicy"]["rules"][0]["name"] == "failurePolicyRule0"


def test_what_is_given_stays() -> None:
    given = make.jobset("js", make.replicated(replicas=3), network={"enableDNSHostnames": False}, successPolicy={"operator": "Any"})
    defaults.default(given)
    assert given["spec"]["network"] == {"enableDNSHostnames": False, "publishNotReadyAddresses": True}
    assert given["spec"]["successPolicy"] == {"operator": "Any"}
    assert given["spec"]["replicatedJobs"][0]["replicas"] == 3


WRONG_TYPES = [
    {"spec": 7},
    {"spec": {"network": [], "replicatedJobs": "x", "failurePolicy": 1}},
    {"spec": {"replicatedJobs": [1, {"name": "a", "template": None}, {"template": {"spec": {"template": {"spec": 7}}}}]}},
]


@pytest.mark.parametrize("jobset", WRONG_TYPES)
def test_what_has_the_wrong_type_is_left_for_the_schema(jobset: Obj) -> None:
    defaults.default(objects.copy(jobset))


def test_the_controller_fills_what_a_server_left_out() -> None:
    stored = make.jobset("js")
    before = objects.copy(stored)
    assert defaults.defaulted(stored)["spec"]["network"]["enableDNSHostnames"] is True
    assert stored == before, "objects from caches are shared"


def test_a_good_one_has_nothing_wrong() -> None:
    after = [{"name": "a", "status": "Complete"}]
    assert messages(good(make.replicated("a"), make.replicated("b", depends_on=after), coordinator={"replicatedJob": "b"})) == ""


REFUSED = [
    (
        "first depends",
        good(make.replicated("a", depends_on=[{"name": "b", "status": "Ready"}])),
        "DependsOn can't be set for the first ReplicatedJob",
    ),
    (
        "depends on a later one",
        good(make.replicated("a"), make.replicated("b", depends_on=[{"name": "c", "status": "Ready"}]), make.replicated("c")),
        "replicatedJob: b cannot depend on replicatedJob: c",
    ),
    (
        "depends and in order",
        good(
            make.replicated("a"),
            make.replicated("b", depends_on=[{"name": "a", "status": "Ready"}]),
            startupPolicy={"startupPolicyOrder": "InOrder"},
        ),
        "StartupPolicy and DependsOn APIs are mutually exclusive",
    ),
    ("job names too long", good(make.replicated("n" * 62)), "job names generated for this JobSet will exceed 63 characters"),
    ("pod names too long", good(make.replicated("n" * 54)), "pod names generated for this JobSet will exceed 63 characters"),
    ("no DNS name", good(make.replicated("A_b")), "a DNS-1035 label must consist of"),
    (
        "too many pods",
        good(make.replicated("a", replicas=2**20, pods=2**12)),
        "the product of replicas and parallelism must not exceed 2147483647",
    ),
    ("subdomain", good(network={"subdomain": "s" * 64}), ".spec.network.subdomain is too long"),
    (
        "success target",
        good(successPolicy={"operator": "All", "targetReplicatedJobs": ["x"]}),
        "invalid replicatedJob name 'x' does not appear",
    ),
    ("managed by", good(managedBy="nobody"), "must be a domain-prefixed path"),
    ("in-place restart", good(failurePolicy={"restartStrategy": "InPlaceRestart"}), "InPlaceRestart feature gate is disabled"),
    ("restart of one job", good(failurePolicy={"rules": [{"action": "RestartJob"}]}), "RestartJob feature gate is disabled"),
    (
        "rule names",
        good(failurePolicy={"rules": [{"name": "x", "action": "FailJobSet"}, {"name": "x", "action": "FailJobSet"}]}),
        "rule names are not unique, rules with indices [0 1] all have the same name 'x'",
    ),
    ("rule name", good(failurePolicy={"rules": [{"name": "9", "action": "FailJobSet"}]}), "invalid failure policy rule name '9'"),
    (
        "rule target",
        good(failurePolicy={"rules": [{"action": "FailJobSet", "targetReplicatedJobs": ["x"]}]}),
        "invalid replicatedJob name 'x' in failure policy",
    ),
    (
        "rule reason",
        good(failurePolicy={"rules": [{"action": "FailJobSet", "onJobFailureReasons": ["Bad"]}]}),
        "invalid job failure reason 'Bad' in failure policy is not a recognized job failure reason",
    ),
    ("coordinator", good(coordinator={"replicatedJob": "x"}), "coordinator replicatedJob x does not exist"),
    ("coordinator job", good(coordinator={"replicatedJob": "node", "jobIndex": 9}), "coordinator job index 9 is invalid"),
    ("coordinator pod", good(coordinator={"replicatedJob": "node", "podIndex": 9}), "coordinator pod index 9 is invalid"),
]


@pytest.mark.parametrize(("name", "jobset", "want"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(name: str, jobset: Obj, want: str) -> None:
    assert want in messages(jobset)


def changed(path: tuple[str | int, ...], value: Any, **spec: Any) -> tuple[Obj, Obj]:
    old = good(**spec)
    new = objects.copy(old)
    at: Any = new
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return new, old


POD = ("spec", "replicatedJobs", 0, "template", "spec", "template")
CHANGES = [
    ("suspend", changed(("spec", "suspend"), True), ""),
    ("time to live", changed(("spec", "ttlSecondsAfterFinished"), 5), ""),
    ("network", changed(("spec", "network", "subdomain"), "x"), "spec.network: Invalid value"),
    ("success policy", changed(("spec", "successPolicy", "operator"), "Any"), "Value is immutable"),
    ("replicas", changed(("spec", "replicatedJobs", 0, "replicas"), 5), "field is immutable"),
    ("node selector while running", changed((*POD, "spec", "nodeSelector"), {"a": "b"}), "field is immutable"),
    ("node selector while suspended", changed((*POD, "spec", "nodeSelector"), {"a": "b"}, suspend=True), ""),
    ("labels while suspended", changed((*POD, "metadata"), {"labels": {"a": "b"}}, suspend=True), ""),
    ("image while suspended", changed((*POD, "spec", "containers", 0, "image"), "x", suspend=True), "field is immutable"),
    ("managed by", changed(("spec", "managedBy"), "a.b/c"), "spec.managedBy"),
]


@pytest.mark.parametrize(("name", "change", "want"), CHANGES, ids=[row[0] for row in CHANGES])
def test_changes(name: str, change: tuple[Obj, Obj], want: str) -> None:
    found = messages(*change)
    assert want in found if want else found == ""


def test_the_schema_is_data_without_prose() -> None:
    text = repr(JOB_SETS.schema)
    assert "description" not in text
    assert "self == oldSelf" in text, "what real servers go by"
    assert "io.k8s.api.batch.v1.JobSpec" in text
