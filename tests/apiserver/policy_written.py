"""Policies and webhook configurations as they are written, and what does not compile."""

from typing import Any

from lightship.meta.objects import Obj

from .policy_words import PARAMS, Ask, Case, made, mutation, policy, rule


def _one(*validations: str | Obj, **spec: Any) -> Ask:
    return made(policy(*validations, **spec), "?dryRun=All")


def _mutant(*expressions: str, **spec: Any) -> Ask:
    return made(mutation(*expressions, **spec)[0], "?dryRun=All")


def _hook(*conditions: str) -> Ask:
    hook = {
        "name": "hook.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/x"},
        "rules": [rule()],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "matchConditions": [{"name": f"c{i}", "expression": e} for i, e in enumerate(conditions)],
    }
    meta = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": "NS"}}
    return made({**meta, "webhooks": [hook]}, "?dryRun=All")


WRITTEN = Case(
    "written",
    [],
    [
        _one("object.x >"),
        _one("object.x"),
        _one("1"),
        _one("lost == 1"),
        _one("params.x == 1"),
        _one("params.x == 1", **PARAMS),
        _one("request.lost == 1"),
        _one("namespaceObject.metadata.lost == 1"),
        _one("namespaceObject.metadata.uid == ''"),
        _one("variables.x == 1"),
        _one("variables.y == 1", variables=[{"name": "x", "expression": "1"}]),
        _one("variables.x == 'a'", variables=[{"name": "x", "expression": "1"}]),
        _one("variables.x == 'a'", variables=[{"name": "x", "expression": "[1, 2]"}]),
        _one("variables.x == 'a'", variables=[{"name": "x", "expression": "{'a': 1}"}]),
        _one("variables.x.lost == 'a'", variables=[{"name": "x", "expression": "request"}]),
        _one("variables.x.lost == 'a'", variables=[{"name": "x", "expression": "request.kind"}]),
        _one("variables.x == 1", variables=[{"name": "x", "expression": "lost"}]),
        _one("variables.x == 1", variables=[{"name": "x", "expression": "variables.y"}, {"name": "y", "expression": "1"}]),
        _one("true", variables=[{"name": "x", "expression": " "}, {"name": "in", "expression": "1"}]),
        _one({"expression": "true", "messageExpression": "1"}),
        _one({"expression": "true", "messageExpression": "authorizer.path('/x').check('get').reason()"}),
        _one({"expression": "true", "messageExpression": " "}),
        _one({"expression": "true", "messageExpression": "'a' +"}, "1 + 1"),
        _one("true", auditAnnotations=[{"key": "a", "valueExpression": "1"}]),
        _one("true", auditAnnotations=[{"key": "a", "valueExpression": " object.x"}]),
        _one("true", auditAnnotations=[{"key": "a", "valueExpression": "lost"}]),
        _one("true", matchConditions=[{"name": "a", "expression": " lost == 1"}]),
        _one("true", matchConditions=[{"name": "a", "expression": "variables.x == 1"}], variables=[{"name": "x", "expression": "1"}]),
        _one("true", matchConditions=[{"name": "a", "expression": "params.x == 1"}]),
        _one("true", matchConditions=[{"name": "a", "expression": "params.x == 1"}, {"name": "b", "expression": "2"}], **PARAMS),
        _one("authorizer.group('').resource('x').check('get') == 1"),
        _one("object.x.matches('[')"),
        _one("int('x') == 1"),
        _one("[1, 'a'].size() == 1"),
        _one("duration('x') == duration('1s')"),
        _one("timestamp(1)"),
        _one("namespaceObject.metadata.creationTimestamp"),
        _one("optional.of(1)"),
        _one("[{'a': 1}]"),
        _one("type(1)"),
        _one("jsonpatch.escapeKey('x') == ''"),
        _one("Object{} == null"),
        _mutant("Object{spec: 1}"),
        _mutant("Object{}", "[JSONPatch{}]"),
        _mutant("1"),
        _mutant("Object.spec{}"),
        _mutant("Wrong{}"),
        _mutant("{'a': 'b'}"),
        _mutant("object"),
        _mutant("[]"),
        _mutant("[1]"),
        _mutant("[Object{}]"),
        _mutant("[JSONPatch{op: 1}]"),
        _mutant("[JSONPatch{op: 'add', path: '/x', value: [1, 'a']}]"),
        _mutant("[JSONPatch{op: 'add', path: '/x', value: dyn([1, 'a'])}]"),
        _mutant("[JSONPatch{op: 'add', lost: 1}]"),
        _mutant("variables.x", variables=[{"name": "x", "expression": "Object{}"}]),
        _mutant(" lost"),
        _mutant("Object{}", matchConditions=[{"name": "a", "expression": "1"}]),
        _hook("1", "object.x == 1", "lost"),
        _hook("variables.x == 1", "params == null", "namespaceObject.metadata.name == 'x'", "authorizer.path('/x').check('get').allowed()"),
        _hook(" "),
    ],
)
"""Policies and configurations as they are written: what does not compile."""
