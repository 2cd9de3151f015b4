"""Questions about identity and permission: which can be asked, and what is answered. Words as kube-apiserver 1.36.3 said them."""

import asyncio
import itertools
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access.authn import API_AUDIENCE, FirstOf, StaticTokens
from lightship.apiserver.access.token_life import life
from lightship.apiserver.access.tokens import Tokens
from lightship.apiserver.http import serve
from lightship.apiserver.requests import TokenSubject
from lightship.apiserver.server import Server
from lightship.meta.objects import Obj

from .http_site import TOKENS, HttpSite, run

AUTHZ, AUTHN = "/apis/authorization.k8s.io/v1/", "/apis/authentication.k8s.io/v1/"
SAR, SELF, RULES = AUTHZ + "subjectaccessreviews", AUTHZ + "selfsubjectaccessreviews", AUTHZ + "selfsubjectrulesreviews"
LOCAL = AUTHZ + "namespaces/default/localsubjectaccessreviews"
GET = {"verb": "get", "resource": "pods", "namespace": "default"}
PATH = {"path": "/x", "verb": "get"}
NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
FIELDS, LABELS = "spec.resourceAttributes.fieldSelector", "spec.resourceAttributes.labelSelector"


def selecting(**selectors: Any) -> Obj:
    return {"user": "joe", "resourceAttributes": {**GET, **selectors}}


@pytest.mark.parametrize(
    ("path", "spec", "want"),
    [
        (SAR, {"resourceAttributes": GET}, ['spec.user: Invalid value: "": at least one of user or group must be specified']),
        (
            SAR,
            {"user": "joe"},
            ["spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"],
        ),
        (
            SAR,
            {"user": "joe", "resourceAttributes": GET, "nonResourceAttributes": PATH},
            [
                (
                    'spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":"get"}: '
                    "cannot be specified in combination with resourceAttributes"
                )
            ],
        ),
        (
            SELF,
            {},
            ["spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"],
        ),
        (
            LOCAL,
            {"user": "joe", "resourceAttributes": {**GET, "namespace": "x"}},
            ['spec.resourceAttributes.namespace: Invalid value: "x": must match metadata.namespace'],
        ),
        (
            LOCAL,
            {"user": "joe", "nonResourceAttributes": {"path": "/x"}},
            ['spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":""}: disallowed on this kind of request'],
        ),
        (
            SAR,
            selecting(fieldSelector={}),
            [f"{FIELDS}.requirements: Required value: when {FIELDS} is specified, requirements or rawSelector is required"],
        ),
        (
            SAR,
            selecting(fieldSelector={"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "In", "values": ["b"]}]}),
            [f'{FIELDS}.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements'],
        ),
        (
            SAR,
            selecting(
                fieldSelector={
                    "requirements": [
                        {"key": "", "operator": "In", "values": []},
                        {"key": "a", "operator": "Exists", "values": ["b"]},
                        {"key": "a", "operator": "Foo"},
                        {"operator": ""},
                    ]
                }
            ),
            [
                f"{FIELDS}.requirements[0].key: Required value: must be specified",
                f"{FIELDS}.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                f"{FIELDS}.requirements[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                f"{FIELDS}.requirements[3].key: Required value: must be specified",
            ],
        ),
        (
            SAR,
            selecting(labelSelector={"requirements": [{"key": "", "operator": "In", "values": []}, {"key": "a b", "operator": "Foo"}]}),
            [
                f"{LABELS}.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                f'{LABELS}.requirements[0].key: Invalid value: "": name part must be non-empty',
                f'{LABELS}.requirements[0].key: Invalid value: "": {NAME_PART}',
                f'{LABELS}.requirements[1].key: Invalid value: "a b": {NAME_PART}',
            ],
        ),
    ],
)
def test_questions_that_cannot_be_answered(path: str, spec: Obj, want: list[str]) -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask("POST", path, {"spec": spec})
        assert (answer.code, answer.obj["reason"]) == (422, "Invalid")
        assert [f"{cause['field']}: {cause['message']}" for cause in answer.obj["details"]["causes"]] == want
        joined = want[0] if len(want) == 1 else f"[{', '.join(want)}]"
        assert answer.obj["message"] == f'.authorization.k8s.io "" is invalid: {joined}'

    run(test)


@pytest.mark.parametrize(
    ("selectors", "want"),
    [
        ({"labelSelector": {"rawSelector": "a in (b"}}, f"{LABELS} ignored due to parse error"),
        ({"fieldSelector": {"rawSelector": "a"}}, f"{FIELDS} ignored due to parse error"),
        ({"fieldSelector": {"rawSelector": "a=b"}, "labelSelector": {"rawSelector": "a in (b)"}}, None),
        (
            {
                "fieldSelector": {"requirements": [{"key": "a", "operator": "In", "values": ["b", "c"]}]},
                "labelSelector": {"requirements": [{"key": "a", "operator": "Foo", "values": ["b"]}]},
            },
            f"{FIELDS} ignored due to parse error; {LABELS} ignored due to parse error",
        ),
        (
            {
                "fieldSelector": {
                    "requirements": [{"key": "a", "operator": "In", "values": ["b"]}, {"key": "a", "operator": "Gt", "values": ["1"]}]
                }
            },
            f"{FIELDS} partially ignored due to parse error",
        ),
    ],
)
def test_selectors_that_make_no_sense_are_told(selectors: Obj, want: str | None) -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask("POST", SAR, {"spec": selecting(**selectors)})
        assert answer.code == 201
        assert answer.obj["status"].get("evaluationError") == want

    run(test)


def test_answers() -> None:
    async def test(site: HttpSite) -> None:
        async def status(path: str, spec: Obj, **headers: str) -> Obj:
            answer = await site.ask("POST", path, {"spec": spec}, **headers)
            assert answer.code == 201, answer.obj
            found: Obj = answer.obj["status"]
            return found

        assert await status(SAR, {"user": "joe", "resourceAttributes": GET}) == {"allowed": False}
        assert await status(SAR, {"groups": ["system:masters"], "nonResourceAttributes": PATH}) == {"allowed": True}
        assert await status(SELF, {"resourceAttributes": {}}, token="joe-token") == {"allowed": False}
        found = await status(SELF, {"nonResourceAttributes": {"path": "/version", "verb": "get"}}, token="joe-token")
        why = 'RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"'
        assert found == {"allowed": True, "reason": why}
        node = {"user": "system:node:n", "groups": ["system:nodes"], "resourceAttributes": {**GET, "name": "p"}}
        assert (await status(SAR, node))["reason"] == "no relationship found between node 'n' and this object"
        for value, want in (("n", True), ("m", False)):
            requirement = {"key": "spec.nodeName", "operator": "In", "values": [value]}
            for selector in ({"requirements": [requirement]}, {"rawSelector": f"spec.nodeName={value}"}):
                listed = {"verb": "list", "resource": "pods", "fieldSelector": selector}
                assert (await status(SAR, {**node, "resourceAttributes": listed}))["allowed"] is want

    run(test)


@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        (LOCAL, {"metadata": {"namespace": "x"}, "spec": {}}, 400, "the namespace of the provided object does not match"),
        (SAR, {"metadata": {"name": "x"}, "spec": {"user": "a", "resourceAttributes": GET}}, 422, 'metadata: Invalid value: {"name":"x"}'),
        (SAR, {"spec": {"user": 5}}, 400, "cannot be handled as a SubjectAccessReview"),
        (SAR, {"kind": "Pod", "apiVersion": "v1"}, 400, 'Pod in version "v1" cannot be handled as a SubjectAccessReview'),
        (SAR + "?fieldValidation=Strict", {"spec": {"user": "a", "zzz": 1}}, 400, 'strict decoding error: unknown field "spec.zzz"'),
        (RULES, {"spec": {}}, 400, "no namespace on request"),
        (AUTHN + "tokenreviews", {"spec": {}}, 400, "token is required for TokenReview in authentication"),
        (SAR, [1], 400, ""),
    ],
)
def test_bodies_that_are_no_questions(path: str, body: Any, code: int, message: str) -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask("POST", path, body)
        assert answer.code == code
        assert message in answer.obj["message"]

    run(test)


def test_places() -> None:
    async def test(site: HttpSite) -> None:
        assert (await site.ask("GET", SAR)).code == 405
        assert (await site.ask("DELETE", SAR + "/x")).code == 404
        assert (await site.ask("POST", AUTHZ + "namespaces/default/subjectaccessreviews", {"spec": {}})).code == 404
        assert (await site.ask("POST", AUTHZ + "localsubjectaccessreviews", {"spec": {}})).code in (404, 405)

    run(test)


def test_rules_are_listed() -> None:
    async def test(site: HttpSite) -> None:
        found = (await site.ask("POST", RULES, {"spec": {"namespace": "default"}}, token="joe-token")).obj
        assert found["spec"] == {}
        own = {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}
        assert own in found["status"]["resourceRules"]
        open_to_all = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
        assert {"verbs": ["get"], "nonResourceURLs": open_to_all} in found["status"]["nonResourceRules"]
        assert found["status"]["incomplete"] is False
        all_of_it = (await site.ask("POST", RULES, {"spec": {"namespace": "default"}})).obj["status"]["resourceRules"]
        assert {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]} in all_of_it

    run(test)


def test_tokens_are_reviewed_for_an_audience() -> None:
    async def main() -> None:
        clock, memory, numbers = SystemClock(), store.memory(), itertools.count()
        tokens = Tokens(ec.generate_private_key(ec.SECP256R1()), clock, lambda: str(next(numbers)), life=life(memory))
        server = Server(memory, kinds.BUILTIN, clock=clock, random=random.Random(1), tokens=tokens)
        listener = await serve(server, authenticator=FirstOf([StaticTokens(TOKENS), tokens]))
        site = HttpSite(server, listener)

        async def review(token: str, *audiences: str) -> Obj:
            answer = await site.ask("POST", AUTHN + "tokenreviews", {"spec": {"token": token, "audiences": list(audiences)}})
            assert answer.code == 201, answer.obj
            found: Obj = answer.obj["status"]
            return found

        account = memory.get("core/serviceaccounts/default/default")
        assert account is not None
        uid = account.obj["metadata"]["uid"]
        for_us, _ = tokens.issue(TokenSubject("default", "default", uid), (), 3600)
        for_others, _ = tokens.issue(TokenSubject("default", "default", uid), ("x", "y"), 3600)
        user = {
            "username": "system:serviceaccount:default:default",
            "uid": uid,
            "groups": ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=0"]},
        }
        assert await review(for_us) == {"authenticated": True, "user": user, "audiences": [API_AUDIENCE]}
        assert (await review(for_others, "y", "z", "x"))["audiences"] == ["x", "y"]
        wrong = f'token audiences ["x" "y"] is invalid for the target audiences ["{API_AUDIENCE}"]'
        assert await review(for_others) == {"user": {}, "error": f"[invalid bearer token, {wrong}]"}
        assert (await site.ask("GET", "/api", token=for_others)).code == 401
        assert (await review("joe-token"))["user"] == {"username": "joe", "groups": ["system:authenticated"]}
        assert await review("joe-token", "x") == {"user": {}, "error": "invalid bearer token"}
        assert await review("nonsense") == {"user": {}, "error": "invalid bearer token"}
        assert (await review("x" * 1_000_000))["error"] == "invalid bearer token"
        await site.close()
        await listener.close()

    asyncio.run(main())
