"""Admission policies: a hundred and sixty requests answered as the real server answered them, and what only shows inside."""

import asyncio
import random
from functools import cache
from typing import Any

import pytest

from lightship import kinds, store
from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.apiserver.admission.policies.judging import FAILURE_ANNOTATION
from lightship.apiserver.requests import Request
from lightship.apiserver.server import Server
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.rest import WriteOptions
from tests import oracle

from . import policy_play
from .policy_words import Case, binding, mutation, policy, rule
from .site import ADMIN, CONFIG_MAPS, Site, config_map, refused

POLICIES, BINDINGS = kinds.VALIDATING_ADMISSION_POLICIES, kinds.VALIDATING_ADMISSION_POLICY_BINDINGS
MUTATING, MUTATING_BINDINGS = kinds.MUTATING_ADMISSION_POLICIES, kinds.MUTATING_ADMISSION_POLICY_BINDINGS
_KNOWN = {("status", 2): "writes to /scale are not judged as such"}


@cache
def _ours() -> dict[str, list[Obj]]:
    return asyncio.run(policy_play.ours(policy_play.CASES))


@pytest.mark.slow
@pytest.mark.parametrize("case", policy_play.CASES, ids=[case.name for case in policy_play.CASES])
def test_answers_are_those_of_the_real_server(case: Case) -> None:
    theirs, ours = policy_play.recorded()[case.name], _ours()[case.name]
    for number, (ask, want, found) in enumerate(zip(case.asks, theirs, ours, strict=True)):
        if (case.name, number) not in _KNOWN:
            assert found == want, ask


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.skipif(not oracle.AVAILABLE, reason="no real server")
def test_the_real_server_still_answers_so() -> None:
    kept = policy_play.recorded()
    found = asyncio.run(policy_play.theirs(policy_play.CASES))
    assert {name: answers for name, answers in found.items() if answers != kept[name]} == {}


def play(test: Any) -> None:
    async def main() -> None:
        clock = LoopClock()
        server = Server(store.memory(clock=clock), kinds.BUILTIN, clock=clock, random=random.Random(7))
        await server.start()
        await test(Site(server, clock))

    virtual.run(main())


def _named(obj: Obj, name: str = "p") -> Obj:
    named: Obj = codec.decode(codec.encode(obj).replace(b"NS", name.encode()))
    if "matchResources" in named["spec"]:
        del named["spec"]["matchResources"]
    return named


async def bind(site: Site, *objs: Obj, name: str = "p") -> None:
    for obj in objs:
        resource = next(r for r in (POLICIES, BINDINGS, MUTATING, MUTATING_BINDINGS) if r.kind == obj["kind"])
        await site.create(resource, _named(obj, name), "")


def test_policies_come_go_and_change_at_once() -> None:
    async def test(site: Site) -> None:
        await bind(site, policy("object.metadata.name != 'a'"), binding())
        with refused(
            422,
            "Invalid",
            "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: failed expression",
        ):
            await site.create(CONFIG_MAPS, config_map("a"))
        await site.patch(POLICIES, "p", {"spec": {"validations": [{"expression": "object.metadata.name != 'b'"}]}}, "")
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(422, "Invalid"):
            await site.create(CONFIG_MAPS, config_map("b"))
        await site.delete(BINDINGS, "p", "")
        await site.create(CONFIG_MAPS, config_map("b"))

    play(test)


def test_no_policy_judges_policies() -> None:
    async def test(site: Site) -> None:
        everything = rule("*", "*", "*")
        await bind(site, policy("false", rules=[everything]), binding())
        await bind(site, policy("true"), binding(), name="q")
        await site.delete(BINDINGS, "p", "")
        await site.create(CONFIG_MAPS, config_map("a"))

    play(test)


def test_what_an_audit_trail_is_told() -> None:
    async def test(site: Site) -> None:
        annotations = [{"key": "who", "valueExpression": "request.userInfo.username + ' wrote ' + object.metadata.name"}]
        await bind(site, policy({"expression": "false", "message": "no"}, auditAnnotations=annotations), binding("Audit"))
        served = site.server.resources.served(CONFIG_MAPS)
        assert served is not None
        request = Request(ADMIN, CONFIG_MAPS, "default")
        await site.server.registry.create(request, config_map("a"), WriteOptions())
        assert request.annotations["p/who"] == "admin wrote a"
        failure = {"message": "no", "policy": "p", "binding": "p", "expressionIndex": 0, "validationActions": ["Audit"]}
        assert codec.decode(request.annotations[FAILURE_ANNOTATION]) == [failure]

    play(test)


def test_a_policy_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(site: Site) -> None:
        from lightship.apiserver.admission.policies import evaluators

        made = 0
        real = evaluators.Validations

        def counting(spec: Obj) -> Any:
            nonlocal made
            made += 1
            return real(spec)

        monkeypatch.setattr(evaluators, "Validations", counting)
        await bind(site, policy("true"), binding())
        for name in "abc":
            await site.create(CONFIG_MAPS, config_map(name))
        await bind(site, policy("true"), binding(), name="q")
        await site.create(CONFIG_MAPS, config_map("d"))
        assert made == 2  # p once, q once

    play(test)


def test_custom_kinds_are_parameters_and_are_changed_by_their_schema() -> None:
    async def test(site: Site) -> None:
        schema = {
            "type": "object",
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": {
                        "most": {"type": "integer", "maximum": 9},
                        "names": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                    },
                }
            },
        }
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"plural": "limits", "singular": "limit", "kind": "Limit", "listKind": "LimitList"}
        spec = {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]}
        await site.create(kinds.CUSTOM_RESOURCE_DEFINITIONS, {"metadata": {"name": "limits.example.com"}, "spec": spec}, "")
        limits = site.server.resources.find("example.com", "v1", "limits")
        assert limits is not None
        await site.create(limits, {"metadata": {"name": "small"}, "spec": {"most": 1}})
        kind: Any = {"paramKind": {"apiVersion": "example.com/v1", "kind": "Limit"}}
        reference: Any = {"paramRef": {"name": "small", "parameterNotFoundAction": "Deny"}}
        await bind(site, policy("object.data.size() <= params.spec.most", **kind), binding(**reference))
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(422, "Invalid"):
            await site.create(CONFIG_MAPS, {**config_map("b"), "data": {"x": "1", "y": "2"}})
        rules = [rule("limits", "example.com", operations="CREATE")]
        add = "Object{spec: Object.spec{names: ['b'], most: object.spec.most + 5}}"
        await bind(site, *mutation(add, rules=rules), name="m")
        made = await site.create(limits, {"metadata": {"name": "l"}, "spec": {"most": 2, "names": ["a"]}})
        assert made["spec"] == {"most": 7, "names": ["a", "b"]}
        with refused(422, "Invalid", "spec.most in body should be less than or equal to 9"):
            await site.create(limits, {"metadata": {"name": "k"}, "spec": {"most": 5}})

    play(test)


def test_hostile_expressions_are_stopped() -> None:
    async def test(site: Site) -> None:
        everything = "object.data.x.split('')"
        nested = f"{everything}.all(a, {everything}.all(b, {everything}.all(c, {everything}.all(d, true))))"
        await bind(site, policy(nested), binding())
        with refused(422, "Invalid", "actual cost limit exceeded"):
            await site.create(CONFIG_MAPS, {**config_map("a"), "data": {"x": "y" * 5000}})

    play(test)
