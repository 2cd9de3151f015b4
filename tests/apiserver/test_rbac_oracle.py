"""Random roles, users and questions: a real kube-apiserver and ours must give the same answers, and refuse in the same words."""

import asyncio
import itertools
import json
import random
import ssl
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from lightship.meta.objects import Obj
from tests import oracle

from .http_site import HttpSite, run

pytestmark = oracle.marks
NAMESPACE = "rbac-oracle"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SAR = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
VERBS = ("get", "list", "create", "delete", "*")
GROUPS = ("", "apps", "x.io", "*")
RESOURCES = ("pods", "pods/log", "*/log", "deployments", "things", "*")
NAMES = ("a", "b", "c")
URLS = ("/a", "/a/*", "/a*", "/b/c", "*")
USERS = ("ann", "bob", "system:serviceaccount:rbac-oracle:bot")
TEAMS = ("red", "blue")


class Told(NamedTuple):
    code: int
    body: Obj


Ask = Callable[..., Awaitable[Told]]


async def ask_real(method: str, path: str, body: Any = None, **headers: str) -> Told:
    """One request to the real server, as its administrator."""
    server = oracle.running()
    context = ssl.create_default_context(cadata=server.ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    given = {"Authorization": f"Bearer {oracle.TOKEN}", "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.server + path, data=data, method=method, headers=given)

    def call() -> Told:
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return Told(answer.status, json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            return Told(error.code, json.loads(error.read()))

    return await asyncio.to_thread(call)


def ours(site: HttpSite) -> Ask:
    async def ask(method: str, path: str, body: Any = None, **headers: str) -> Told:
        answer = await site.ask(method, path, body, **headers)
        return Told(answer.code, answer.obj)

    return ask


def some(chance: random.Random, choices: tuple[str, ...], least: int = 1) -> list[str]:
    return chance.sample(choices, chance.randint(least, 2))


def rule(chance: random.Random, *, paths: bool) -> Obj:
    verbs = some(chance, VERBS)
    if paths and chance.random() < 0.3:
        return {"verbs": verbs, "nonResourceURLs": some(chance, URLS)}
    found: Obj = {"verbs": verbs, "apiGroups": some(chance, GROUPS), "resources": some(chance, RESOURCES)}
    return found | ({"resourceNames": some(chance, NAMES)} if chance.random() < 0.4 else {})


def subject(chance: random.Random) -> Obj:
    kind = chance.choice(("User", "Group", "ServiceAccount"))
    if kind == "ServiceAccount":
        return {"kind": kind, "name": "bot", "namespace": NAMESPACE}
    return {"kind": kind, "name": chance.choice(USERS if kind == "User" else TEAMS), "apiGroup": "rbac.authorization.k8s.io"}


def objects(chance: random.Random) -> list[tuple[str, Obj]]:
    """Roles and bindings, as (path to create at, object)."""
    made: list[tuple[str, Obj]] = []
    local = f"{RBAC}/namespaces/{NAMESPACE}"
    for i in range(8):
        made.append((f"{RBAC}/clusterroles", {"metadata": {"name": f"oracle-{i}"}, "rules": [rule(chance, paths=True) for _ in range(2)]}))
        made.append((f"{local}/roles", {"metadata": {"name": f"oracle-{i}"}, "rules": [rule(chance, paths=False) for _ in range(2)]}))
    for i in range(6):
        ref = {"kind": "ClusterRole", "name": f"oracle-{chance.randrange(9)}"}  # one of them is not there
        made.append((f"{RBAC}/clusterrolebindings", {"metadata": {"name": f"oracle-{i}"}, "roleRef": ref, "subjects": [subject(chance)]}))
        ref = {"kind": chance.choice(("Role", "ClusterRole")), "name": f"oracle-{chance.randrange(9)}"}
        subjects = [subject(chance) for _ in range(chance.randint(1, 2))]
        made.append((f"{local}/rolebindings", {"metadata": {"name": f"oracle-{i}"}, "roleRef": ref, "subjects": subjects}))
    return made


def question(chance: random.Random) -> Obj:
    spec: Obj = {"user": chance.choice(USERS), "groups": chance.sample(TEAMS, chance.randint(0, 2))}
    if chance.random() < 0.2:
        return {**spec, "nonResourceAttributes": {"verb": chance.choice(VERBS), "path": chance.choice(("/a", "/a/b", "/ab", "/b/c", "/"))}}
    resource, _, subresource = chance.choice(("pods", "pods/log", "deployments", "deployments/log", "things", "")).partition("/")
    asked = {
        "verb": chance.choice(VERBS),
        "group": chance.choice(GROUPS),
        "resource": resource,
        "subresource": subresource,
        "namespace": chance.choice(("", NAMESPACE, "default")),
        "name": chance.choice(("", *NAMES)),
    }
    return {**spec, "resourceAttributes": asked}


async def clean(ask: Ask) -> None:
    for path, obj in objects(random.Random(0)):
        await ask("DELETE", f"{path}/{obj['metadata']['name']}")


async def known() -> None:
    """Wait until the real server's authorizer, which has a cache for each kind, has heard of all that was written before."""
    name, local = f"oracle-last-{random.randrange(10**9)}", f"{RBAC}/namespaces/{NAMESPACE}"
    last: Obj = {"kind": "User", "name": name}
    made: list[tuple[str, Obj]] = []
    for kind, where in (("ClusterRole", RBAC), ("Role", local)):
        plural = kind.lower()
        rules = [{"verbs": ["get"], "apiGroups": ["last"], "resources": [plural]}]
        made.append((f"{where}/{plural}s", {"metadata": {"name": name}, "rules": rules}))
        made.append(
            (f"{where}/{plural}bindings", {"metadata": {"name": name}, "roleRef": {"kind": kind, "name": name}, "subjects": [last]})
        )
    for path, obj in made:
        assert (await ask_real("POST", path, obj)).code == 201
    for plural in ("clusterrole", "role"):
        asked = {"verb": "get", "group": "last", "resource": plural, "namespace": NAMESPACE}
        question = {"spec": {"user": name, "resourceAttributes": asked}}
        for _ in range(5000):
            if (await ask_real("POST", SAR, question)).body["status"]["allowed"]:
                break
        else:
            raise AssertionError("the real server never heard of a binding")
    for path, _ in made:
        await ask_real("DELETE", f"{path}/{name}")


def alike(told: Told) -> Any:
    """What must be the same: of several bindings that allow something, either may be named."""
    status = told.body.get("status")
    if isinstance(status, dict):
        return told.code, {**status, "reason": status.get("reason", "")[:20]}
    return told.code, told.body.get("reason"), told.body.get("message"), told.body.get("details")


def test_answers_to_random_questions() -> None:
    async def test(site: HttpSite) -> None:
        mine = ours(site)
        for ask in (mine, ask_real):
            await ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
            await clean(ask)
        for seed in range(3):
            chance = random.Random(seed)
            for path, obj in objects(chance):
                created = [await ask("POST", path, obj) for ask in (ask_real, mine)]
                assert [told.code for told in created] == [201, 201], created
            await known()
            allowed = 0
            for _ in range(120):
                body = {"spec": question(chance)}
                want, got = [await ask("POST", SAR, body) for ask in (ask_real, mine)]
                assert alike(got) == alike(want), body
                allowed += want.body["status"]["allowed"]
            assert 5 < allowed < 115, "questions that are worth asking"
            for ask in (mine, ask_real):
                await clean(ask)

    run(test)


def test_refusals_to_give_what_one_does_not_have() -> None:
    async def test(site: HttpSite) -> None:
        mine = ours(site)
        writer = {"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"]}
        writer["verbs"] = ["create", "update", "patch", "get"]
        chance = random.Random(11)
        held = [rule(chance, paths=True) for _ in range(3)]
        setup: list[tuple[str, Obj]] = [
            (f"{RBAC}/clusterroles", {"metadata": {"name": "oracle-writer"}, "rules": [writer, *held]}),
            (
                f"{RBAC}/clusterrolebindings",
                {
                    "metadata": {"name": "oracle-writer"},
                    "roleRef": {"kind": "ClusterRole", "name": "oracle-writer"},
                    "subjects": [{"kind": "User", "name": "ann"}],
                },
            ),
        ]
        for ask in (mine, ask_real):
            await ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
            await clean(ask)
            for path, obj in setup:
                await ask("DELETE", f"{path}/{obj['metadata']['name']}")
                assert (await ask("POST", path, obj)).code == 201
        await known()
        numbers = itertools.count()
        codes = set()
        for path, obj in itertools.chain(objects(chance), objects(chance)):
            obj["metadata"]["name"] = f"oracle-try-{next(numbers)}"
            if "rules" in obj and chance.random() < 0.4:
                obj["rules"] = [chance.choice(held)]
            query = path + "?dryRun=All"
            want, got = [await ask("POST", query, obj, impersonate_user="ann", impersonate_group="red") for ask in (ask_real, mine)]
            assert got.code == want.code, (obj, want.body.get("message"), got.body.get("message"))
            codes.add(want.code)
            if want.code != 201:
                assert alike(got) == alike(want)
        assert {201, 403} <= codes

    run(test)
