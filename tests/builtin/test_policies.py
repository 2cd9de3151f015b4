"""The status of ValidatingAdmissionPolicies: what their expressions get wrong about the kinds that they are for."""

from typing import Any

import pytest

from lightship import kinds
from lightship.builtin.policies import checking
from lightship.kinds import BUILTIN, CUSTOM_RESOURCE_DEFINITIONS, VALIDATING_ADMISSION_POLICIES
from lightship.meta.objects import GVK, Obj
from tests.builtin.site import RESOURCES, Site, run

NAME = "validatingadmissionpolicy-status-controller"
SCHEMA: Obj = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
DEFINITION: Obj = {
    "metadata": {"name": "foos.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}],
    },
}


def rule(group: str, *plurals: str, version: str = "v1") -> Obj:
    return {"operations": ["*"], "apiGroups": [group], "apiVersions": [version], "resources": list(plurals)}


def policy(*validations: Obj | str, rules: list[Obj], name: str = "p", **spec: Any) -> Obj:
    written = [v if isinstance(v, dict) else {"expression": v} for v in validations]
    return {"metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": rules}, "validations": written, **spec}}


async def warned(site: Site, obj: Obj) -> list[Obj]:
    """What the status says in the end."""
    name = obj["metadata"]["name"]
    await site.client.create(VALIDATING_ADMISSION_POLICIES, obj)
    found = await site.until_observed(VALIDATING_ADMISSION_POLICIES, name)
    warnings: list[Obj] = found["status"]["typeChecking"].get("expressionWarnings", [])
    return warnings


def test_each_expression_is_checked_for_each_kind() -> None:
    async def test(site: Site) -> None:
        rules = [rule("apps", "deployments", "replicasets/scale", "daemonsets"), rule("*", "pods"), rule("", "nothing")]
        bad = {"expression": "object.spec.replicas > '1'", "messageExpression": "string(object.spec.colour)"}
        found = await warned(site, policy("object.spec.selector.matchLabels.size() > 0", bad, rules=rules))
        assert [warning["fieldRef"] for warning in found] == ["spec.validations[1].expression", "spec.validations[1].messageExpression"]
        first, second = found[0]["warning"].split("\n\n")
        assert first.startswith("apps/v1, Kind=DaemonSet: ERROR: <input>:1:12: undefined field 'replicas'\n | object.spec.replicas > '1'")
        assert second.startswith(
            "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'"
        )
        assert (await warned(site, policy("object.spec.replicas > 1", rules=[rule("apps", "deployments")], name="q"))) == []

    run(test, only=(NAME,))


def test_variables_and_parameters_have_types() -> None:
    async def test(site: Site) -> None:
        spec: Obj = {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "variables": [{"name": "n", "expression": "object.spec.replicas"}],
        }
        found = await warned(
            site, policy("variables.n == params.data.x", "params.dat != null", rules=[rule("apps", "deployments")], **spec)
        )
        assert [warning["fieldRef"] for warning in found] == ["spec.validations[0].expression", "spec.validations[1].expression"]
        assert "'_==_' applied to '(int, string)'" in found[0]["warning"]
        assert "undefined field 'dat'" in found[1]["warning"]

    run(test, only=(NAME,))


def test_custom_kinds_are_known_by_their_definitions() -> None:
    async def test(site: Site) -> None:
        await site.client.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
        await site.settle()
        wrong = policy("object.spec.m > 1 && object.metadata.labels.size() > 0", rules=[rule("example.com", "foos")])
        found = await warned(site, wrong)
        assert [warning["warning"].split("\n")[0] for warning in found] == [
            "example.com/v1, Kind=Foo: ERROR: <input>:1:12: undefined field 'm'"
        ]

    run(test, only=(NAME,))


def test_a_changed_policy_is_checked_again() -> None:
    async def test(site: Site) -> None:
        assert await warned(site, policy("object.spec.colour == 1", rules=[rule("apps", "deployments")]))
        spec = policy("true", rules=[rule("apps", "deployments")])["spec"]
        await site.client.patch(VALIDATING_ADMISSION_POLICIES, "p", {"spec": spec})
        found = await site.until_observed(VALIDATING_ADMISSION_POLICIES, "p")
        assert found["status"] == {"observedGeneration": 2, "typeChecking": {}}

    run(test, only=(NAME,))


def test_kinds_are_named_in_order_and_not_by_wildcards() -> None:
    deployments = GVK("apps", "v1", "Deployment")
    rules = [rule("apps", "replicasets", "deployments"), rule("apps", "deployments", version="v2"), rule("", "*"), rule("", "pods/*")]
    spec = policy("true", rules=rules)["spec"]
    assert checking.named(spec, RESOURCES) == [deployments, GVK("apps", "v1", "ReplicaSet")]


def test_the_core_group_means_all() -> None:
    spec = policy("true", rules=[rule("", "events", "deployments")])["spec"]
    found = checking.named(spec, [*RESOURCES, kinds.EVENTS])
    assert {kind.group for kind in found} >= {"", "apps"}


def test_types_are_called_by_where_they_are() -> None:
    typed = checking.types(RESOURCES, [])
    [warning] = list(checking.check(policy("object.spec == object.status", rules=[rule("apps", "deployments")]), RESOURCES, typed))
    assert warning is not None
    assert "'_==_' applied to '(Deployment.spec, Deployment.status)'" in warning["warning"]


@pytest.mark.parametrize(
    ("expression", "warning"),
    [
        ("object.spec.template.spec.containers[0].resources.limits.cpu == '1'", "<input>:1:50: undefined field 'limits'"),
        ("object.spec.strategy.rollingUpdate.maxSurge == 1", ""),
        ("object.metadata.creationTimestamp == 'x'", "found no matching overload for '_==_' applied to '(timestamp, string)'"),
        ("object.spec.template.spec.volumes.exists(v, v.emptyDir.sizeLimit == 1)", "<input>:1:55: undefined field 'sizeLimit'"),
        ("object == params", "<input>:1:8: found no matching overload for '_==_' applied to '(Deployment, ConfigMap)'"),
        ("params.foo == 1", "<input>:1:7: undefined field 'foo'"),
        ("authorizer.group('').resource('pods').check('get').allowed()", ""),
    ],
)
def test_warnings_are_those_of_kube_controller_manager(expression: str, warning: str) -> None:
    typed = checking.types(BUILTIN, [])
    parameters = {"apiVersion": "v1", "kind": "ConfigMap"}
    found = list(checking.check(policy(expression, rules=[rule("apps", "deployments")], paramKind=parameters), BUILTIN, typed))
    assert [bool(one) for one in found] == [bool(warning)]
    assert all(one is None or warning in one["warning"] for one in found)
