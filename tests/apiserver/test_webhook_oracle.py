"""What webhooks are shown of every kind of request, and what comes of their answers: on a real kube-apiserver and on ours.

One webhook hears both servers. It changes objects that ask for it by an annotation, warns of all that it judges, and refuses what is called
`refused`; the reviews that it was sent, and the answers that the client got, must be the same.
"""

import asyncio
import atexit
import base64
import functools
import json
import tempfile
import threading
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import pause
from lightship.meta import codec
from lightship.meta.objects import Obj
from tests import oracle
from tests.parity import servers
from tests.parity.answers import Answer, Normaliser, differences
from tests.parity.scenarios.samples import DEPLOYMENT_SPEC, POD_SPEC, config, named, pod
from tests.parity.steps import Step, apply, delete, get, patch, post, put
from tests.parity.test_parity import Play

from .webhook_site import Webhook, webhook

pytestmark = oracle.marks
MARK = "mark"
_ATTEMPTS = 300
_SECONDS = 10

pytestmark = oracle.marks
_ENTRY = "review.*.object.metadata.managedFields.0"
KNOWN = (
    *("*.lastProbeTime", "header.x-kubernetes-pf-*", f"{_ENTRY}.time", f"{_ENTRY}.fieldsV1.f:metadata"),
    *("review.0.object.metadata.creationTimestamp", "review.0.object.metadata.uid", "review.0.object.status.phase"),
)
"""Differences that docs/differences.md tells."""
_ATTEMPTS = 300
_SECONDS = 10


async def answer(path: str, document: Obj) -> Obj:
    """What the webhook says: `/change` may patch, `/judge` warns and refuses."""
    request = document["request"]
    obj = request["object"] or {}
    meta = obj.get("metadata") or {}
    response: Obj = {"uid": request["uid"], "allowed": True, "auditAnnotations": {"path": path}}
    wanted = (meta.get("annotations") or {}).get("patch")
    if path.startswith("/change") and wanted:
        operations = [op for op in json.loads(wanted) if op.get("by", path) == path]
        for operation in operations:
            operation.pop("by", None)
        if operations:
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}
    if path == "/judge":
        response["warnings"] = [f"judged {request['operation']} {request['resource']['resource']}"]
        response["allowed"] = not str(request.get("name")).startswith("refused")
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}


@functools.cache
def heard() -> Webhook:
    """The webhook, in a thread of its own until the test run ends."""
    folder = tempfile.TemporaryDirectory(prefix="webhook-")
    atexit.register(folder.cleanup)
    loop, ready, found = asyncio.new_event_loop(), threading.Event(), []
    stop = asyncio.Event()

    async def serve() -> None:
        async with webhook(Path(folder.name), answer) as made:
            found.append(made)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()

    def end() -> None:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_SECONDS)
        loop.close()

    atexit.register(end)
    assert ready.wait(_SECONDS), "the webhook did not start"
    return found[0]


def configured(kind: str, name: str, *paths: str, **more: Any) -> Step:
    """One configuration with a webhook for each path, of everything in the scenario's namespace."""
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "scope": "Namespaced"}
    hooks = [
        {
            "name": f"h{i}.example.com",
            "clientConfig": heard().config(path),
            "rules": [rule],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "$ns"}},
            **more,
        }
        for i, path in enumerate(paths)
    ]
    return post(f"{kind}webhookconfigurations", named(name, webhooks=hooks))


def wish(*operations: Any) -> Obj:
    """The annotations of an object that asks to be patched; `by` names the webhook that is to do so."""
    return {"patch": json.dumps(operations)}


def asking(name: str, *operations: Any, **fields: Any) -> Obj:
    return {"metadata": {"name": name, "annotations": wish(*operations)}, **fields}


def change(path: str, value: Any, op: str = "add", **more: Any) -> Obj:
    return {"op": op, "path": path, "value": value, **more}


def evict(name: str) -> Step:
    return post(f"pods/{name}/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})


ON_N1: Any = {"target": {"kind": "Node", "name": "n1"}}
SHOWN = [
    post("configmaps", config("a", x="1")),
    post("configmaps", {"metadata": {"generateName": "gen-"}}),
    post("configmaps?dryRun=All&fieldManager=m", config("b", x="1")),
    post("configmaps", config("refused")),
    put("configmaps/a", config("a", x="2")),
    put("configmaps/a", config("a", x="2")),
    patch("configmaps/a", {"data": {"y": "1"}}),
    patch("configmaps/a", {"data": {"y": "1"}}),
    apply("configmaps/new", {"data": {"z": "1"}}),
    apply("configmaps/new", {"data": {"z": "2"}}),
    post("pods", pod("p")),
    post("pods", {"metadata": {"generateName": "q-"}, "spec": POD_SPEC, "status": {"phase": "Failed"}}),
    patch("pods/p/status", {"status": {"phase": "Running"}, "metadata": {"labels": {"l": "1"}}}),
    patch("pods/p", {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Failed"}}),
    post("pods/p/binding", {"metadata": {"name": "p", "annotations": {"a": "b"}}, **ON_N1}),
    post("pods", pod("r")),
    post("bindings", {"metadata": {"name": "r"}, **ON_N1}),
    evict("r"),
    evict("nope"),
    evict("refused"),
    post("serviceaccounts/default/token", {"spec": {"expirationSeconds": 3600, "audiences": ["x"]}}),
    post("serviceaccounts/default/token", {"metadata": {"namespace": "zz"}, "spec": {}}),
    post("pods/p/binding", {"metadata": {"name": "p", "namespace": "zz"}, **ON_N1}),
    post("serviceaccounts/refused/token", {"spec": {}}),
    post("deployments", named("d", spec=DEPLOYMENT_SPEC)),
    put("deployments/d/scale", named("d", spec={"replicas": 3})),
    patch("deployments/d/scale", {"spec": {"replicas": 4}}),
    patch("deployments/d", {"spec": {"replicas": 5}}),
    patch("deployments/d/scale?dryRun=All", {"spec": {"replicas": 6}}),
    post("deployments", named("refused", spec=DEPLOYMENT_SPEC)),
    post("services", named("s", spec={"ports": [{"port": 80}]})),
    post("services", {"metadata": {"generateName": "s-"}, "spec": {"ports": [{"port": 80}]}}),
    post("configmaps", {"metadata": {"name": "old", "uid": "x", "creationTimestamp": "2020-01-01T00:00:00Z", "generation": 7}}),
    get("pods/p/proxy/a/b/"),
    get("services/s/proxy/"),
    get("pods/refused/exec?command=ls&stdin=1"),
    get("pods/refused/proxy"),
    delete("configmaps/a"),
    delete("configmaps/new?propagationPolicy=Foreground&gracePeriodSeconds=3"),
    delete("pods/p?gracePeriodSeconds=0&dryRun=All"),
    delete("configmaps?labelSelector=no=such"),
    delete("configmaps?fieldSelector=metadata.name=old"),
]
SIDECAR = change("/spec/containers/-", {"name": "side", "image": "s"}, by="/change1")
CHANGED = [
    post("configmaps", asking("a", change("/data", {"w": "1"}))),
    post("configmaps", asking("b", change("/metadata/name", "c", "replace"))),
    post("configmaps", asking("c", change("/data", {"w": 1}))),
    post("configmaps", asking("d", {"op": "remove", "path": "/data/nothing"})),
    post("configmaps", asking("e", change("/data", {}, by="/change1"))),
    post("configmaps", {"metadata": {"generateName": "gen-", "annotations": wish(change("/metadata/name", "chosen"))}}),
    post("configmaps", {"metadata": {"generateName": "gen-", "annotations": wish(change("/metadata/name", "chosen"))}}),
    post("configmaps", asking("f", change("/metadata/uid", "x"))),
    patch("configmaps/a", {"metadata": {"annotations": wish(change("/data/v", "2"))}}),
    patch("configmaps/a", {"metadata": {"annotations": wish(change("/metadata/labels", {"-": "-"}))}}),
    post("pods", asking("p", SIDECAR, spec=POD_SPEC)),
    post("pods", asking("q", change("/status", {"phase": "Failed"}), spec=POD_SPEC)),
    patch("pods/p/status", {"metadata": {"annotations": wish(change("/spec/nodeName", "n"))}}),
    post("deployments", asking("d", change("/spec/replicas", 4, "replace"), spec=DEPLOYMENT_SPEC)),
    put("deployments/d/scale", asking("d", change("/spec/replicas", 7), spec={"replicas": 3})),
    post("pods/q/binding", asking("q", change("/target/name", "n2", "replace"), **ON_N1)),
    get("pods/q"),
    delete("pods/p"),
]
COUNTS = "[JSONPatch{op: 'replace', path: '/data/p', value: object.data.p + variables.mark}]"
"""What a policy does that shows how often it was asked."""


def counting(name: str, reinvocation: str) -> list[Step]:
    """A policy, bound in the scenario's namespace, that marks ConfigMaps which have a place for it each time that it is asked."""
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    spec = {
        "matchConstraints": {
            "resourceRules": [rule],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "$ns"}},
        },
        "matchConditions": [{"name": "place", "expression": "has(object.data) && 'p' in object.data"}],
        "variables": [{"name": "mark", "expression": f"'{name}'"}],
        "reinvocationPolicy": reinvocation,
        "failurePolicy": "Fail",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": COUNTS}}],
    }
    return [
        post("mutatingadmissionpolicies", {"metadata": {"name": f"rounds-{name}"}, "spec": spec}),
        post("mutatingadmissionpolicybindings", named(f"rounds-{name}", spec={"policyName": f"rounds-{name}"})),
    ]


def both(name: str, *paths: str, **more: Any) -> list[Step]:
    return [configured("mutating", name, *paths, **more), configured("validating", name, "/judge")]


ROUNDS = [
    post("configmaps", config("a", x="1")),
    post("configmaps", config("b", p="")),
    post("configmaps", asking("c", change("/data/h", "1"), data={"p": ""})),
    post("configmaps", asking("d", change("/data/h", "1", by="/change1"), data={"p": ""})),
    post("configmaps", asking("e", change("/data/h", "1"), data={})),
    post("configmaps", asking("f", change("/data/p", "new"), data={"x": "y"})),
]
SCENARIOS = {
    "hook-shown": (both("shown", "/change"), SHOWN),
    "hook-changed": (both("changed", "/change", "/change1", reinvocationPolicy="IfNeeded"), CHANGED),
    "hook-rounds": ([*both("rounds", "/change", "/change1", reinvocationPolicy="IfNeeded"), *counting("i", "IfNeeded")], ROUNDS),
    "hook-once": ([*both("once", "/change"), *counting("n", "Never")], ROUNDS),
    "hook-mixed": ([*both("mixed", "/change"), *counting("m", "IfNeeded")], ROUNDS),
}
"""What is set up, and what is asked then."""


def asked(play: Play, step: Step, normaliser: Normaliser) -> tuple[Any, Any]:
    """What came of a step, and which reviews the webhook has got."""
    made = heard()
    made.asked.clear()
    answer = play.ask(step)
    reviews = [document["request"] for document in made.asked]
    for review in reviews:
        review.pop("userInfo")
    shown = normaliser.shown(answer)
    return shown, normaliser.shown(Answer(0, {"content-type": "application/json"}, codec.encode(reviews)))["body"]


def settled(play: Play) -> None:
    """Wait until the server knows its webhooks, and policies, if there are any."""
    for i in range(_ATTEMPTS):
        heard().asked.clear()
        made = play.ask(post("configmaps?dryRun=All", config(f"mark-{i}", p="")))
        policies = play.ask(get("mutatingadmissionpolicybindings")).body.count(b"policyName")
        if len(heard().asked) >= 2 and (not policies or codec.decode(made.body)["data"]["p"]):
            return
        pause(0.05)
    pytest.fail("the webhooks are not asked")


def undone(step: Step) -> Step:
    return delete(f"{step.path}/{step.body['metadata']['name']}")


@pytest.mark.parametrize("name", SCENARIOS)
def test_webhooks_are_shown_the_same(name: str) -> None:
    setup, steps = SCENARIOS[name]
    plays = [Play(client, name) for client in (servers.real(), servers.ours())]
    normalisers = [Normaliser(), Normaliser()]
    told = []
    try:
        for play in plays:
            for step in setup:
                assert play.ask(step).code == 201
            settled(play)
        for step in steps:
            (real, theirs), (ours, mine) = (asked(play, step, n) for play, n in zip(plays, normalisers, strict=True))
            found = [*differences(real, ours), *differences(theirs, mine, "review")]
            found = [one for one in found if not any(fnmatchcase(one.at, known) for known in KNOWN)]
            if found:
                told.append("\n".join([f"  {step} {str(step.body)[:150]}", *map(str, found)]))
    finally:
        for play in plays:
            for step in setup:
                play.ask(undone(step))
            play.close()
    if told:
        pytest.fail("\n".join([f"{name}:", *told]), pytrace=False)
