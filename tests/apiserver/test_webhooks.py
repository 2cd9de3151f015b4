"""Admission webhooks, asked over real HTTPS: who is asked what, what they may change, and what becomes of their failures."""

import asyncio
import base64
import json
import random
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from lightship import kinds, store
from lightship.aio.clock import LoopClock
from lightship.apiserver.requests import Request
from lightship.apiserver.server import Server
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import WriteOptions

from .site import ADMIN, CONFIG_MAPS, PODS, Site, config_map, pod, refused
from .webhook_site import Webhook, webhook

MUTATING = kinds.MUTATING_WEBHOOK_CONFIGURATIONS
VALIDATING = kinds.VALIDATING_WEBHOOK_CONFIGURATIONS
pytestmark = pytest.mark.slow


def allow(document: Obj, **more: Any) -> Obj:
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "response": {"uid": document["request"]["uid"], "allowed": True, **more},
    }


def deny(document: Obj, **status: Any) -> Obj:
    return allow(document, allowed=False, status=status)


def patched(document: Obj, *operations: Obj) -> Obj:
    return allow(document, patchType="JSONPatch", patch=base64.b64encode(json.dumps(operations).encode()).decode())


def hook(client: Obj, **more: Any) -> Obj:
    rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    return {
        "name": "hook.example.com",
        "clientConfig": client,
        "rules": [rule],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        **more,
    }


def play(directory: Path, answer: Callable[[str, Obj], Awaitable[Any]], test: Callable[[Site, Webhook], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        clock = LoopClock()
        server = Server(store.memory(clock=clock), kinds.BUILTIN, clock=clock, random=random.Random(7))
        await server.start()
        async with webhook(directory, answer) as made:
            await test(Site(server, clock), made)
            server.close()

    asyncio.run(asyncio.wait_for(main(), 60))


async def configure(site: Site, resource: Resource, *hooks: Obj, name: str = "hooks") -> None:
    await site.create(resource, {"metadata": {"name": name}, "webhooks": list(hooks)}, "")


def test_a_mutating_webhook_changes_what_is_stored(tmp_path: Path) -> None:
    async def answer(path: str, document: Obj) -> Obj:
        return patched(document, {"op": "add", "path": "/data/b", "value": "2"})

    async def test(site: Site, made: Webhook) -> None:
        await configure(site, MUTATING, hook(made.config()))
        assert (await site.create(CONFIG_MAPS, config_map("a")))["data"] == {"a": "1", "b": "2"}
        assert (await site.get(CONFIG_MAPS, "a"))["data"]["b"] == "2"
        request = made.asked[0]["request"]
        assert (request["operation"], request["namespace"], request["name"]) == ("CREATE", "default", "a")
        assert request["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
        assert request["userInfo"] == {"username": "admin", "groups": ["system:masters", "system:authenticated"]}
        assert request["object"]["data"] == {"a": "1"}
        assert request["oldObject"] is None

    play(tmp_path, answer, test)


def test_what_webhooks_add_gets_its_defaults(tmp_path: Path) -> None:
    async def answer(path: str, document: Obj) -> Obj:
        container = {"name": "added", "image": "busybox"}
        return patched(document, {"op": "add", "path": "/spec/initContainers", "value": [container]})

    async def test(site: Site, made: Webhook) -> None:
        rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
        await configure(site, MUTATING, hook(made.config(), rules=[rule]))
        found = await site.create(PODS, pod("p"))
        assert found["spec"]["initContainers"][0]["terminationMessagePolicy"] == "File"

    play(tmp_path, answer, test)


def test_webhooks_are_asked_again_when_the_object_has_changed_since(tmp_path: Path) -> None:
    async def answer(path: str, document: Obj) -> Obj:
        data = document["request"]["object"]["data"]
        if path == "/first":
            return patched(document, {"op": "add", "path": "/data/seen", "value": ",".join(sorted(data))})
        return patched(document, {"op": "add", "path": "/data/late", "value": "x"})

    async def test(site: Site, made: Webhook) -> None:
        first = hook(made.config("/first"), name="a.example.com", reinvocationPolicy="IfNeeded")
        await configure(site, MUTATING, first, hook(made.config("/second"), name="b.example.com"))
        assert (await site.create(CONFIG_MAPS, config_map("a")))["data"]["seen"] == "a,late,seen"
        assert len(made.asked) == 3

    play(tmp_path, answer, test)


def test_a_validating_webhook_refuses_in_its_own_words(tmp_path: Path) -> None:
    async def answer(path: str, document: Obj) -> Obj:
        return deny(document, message="not today", code=402, reason="Payment")

    async def test(site: Site, made: Webhook) -> None:
        made_before = await site.create(CONFIG_MAPS, config_map("old"))
        await configure(site, VALIDATING, hook(made.config()))
        with refused(402, "Payment", 'admission webhook "hook.example.com" denied the request: not today'):
            await site.create(CONFIG_MAPS, config_map("a"))
        assert await site.gone(CONFIG_MAPS, "a")
        with refused(402, "Payment"):
            await site.delete(CONFIG_MAPS, "old")
        assert made.asked[-1]["request"]["oldObject"]["metadata"]["uid"] == made_before["metadata"]["uid"]
        assert made.asked[-1]["request"]["object"] is None
        with refused(402, "Payment"):
            await site.update(CONFIG_MAPS, {**made_before, "data": {"x": "y"}})

    play(tmp_path, answer, test)


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ({}, 500, 'failed calling webhook "hook.example.com": failed to call webhook: Post "https://127.0.0.1:'),
        ({"failurePolicy": "Ignore"}, 0, ""),
    ],
)
def test_a_webhook_that_does_not_answer(tmp_path: Path, more: Obj, code: int, message: str) -> None:
    async def answer(path: str, document: Obj) -> Obj:
        await asyncio.Event().wait()
        return {}

    async def test(site: Site, made: Webhook) -> None:
        await configure(site, VALIDATING, hook(made.config(), timeoutSeconds=1, **more))
        if not code:
            await site.create(CONFIG_MAPS, config_map("a"))
            return
        with refused(code, "InternalError", message) as found:
            await site.create(CONFIG_MAPS, config_map("a"))
        assert "?timeout=1s" in found[0].message
        assert "context deadline exceeded" in found[0].message

    play(tmp_path, answer, test)


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (lambda document: {**allow(document), "response": None}, "webhook response was absent"),
        (lambda document: allow(document, uid="other"), 'expected response.uid="'),
        (lambda document: {**allow(document), "kind": "Pod"}, "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview"),
        (lambda document: allow(document, patch="W10="), "validating webhook may not return response.patch"),
        (lambda document: b"no json", "json parse error"),
    ],
)
def test_answers_that_are_none(tmp_path: Path, response: Callable[[Obj], Any], why: str) -> None:
    async def answer(path: str, document: Obj) -> Any:
        return response(document)

    async def test(site: Site, made: Webhook) -> None:
        await configure(site, VALIDATING, hook(made.config()))
        with refused(500, "InternalError", why):
            await site.create(CONFIG_MAPS, config_map("a"))

    play(tmp_path, answer, test)


def test_selectors_choose_what_is_asked(tmp_path: Path) -> None:
    async def answer(path: str, document: Obj) -> Obj:
        return deny(document)

    async def test(site: Site, made: Webhook) -> None:
        only = {"matchLabels": {"judge": "me"}}
        elsewhere = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-public"]}]}
        await configure(site, VALIDATING, hook(made.config(), objectSelector=only, namespaceSelector=elsewhere))
        await site.create(CONFIG_MAPS, config_map("a"))
        await site.create(CONFIG_MAPS, config_map("b", labels={"judge": "me"}), "kube-public")
        with refused(400, "", "denied the request without explanation"):
            await site.create(CONFIG_MAPS, config_map("b", labels={"judge": "me"}))
        assert len(made.asked) == 1

    play(tmp_path, answer, test)


def test_a_dry_run_asks_only_webhooks_without_side_effects(tmp_path: Path) -> None:
    async def answer(path: str, document: Obj) -> Obj:
        assert document["request"]["dryRun"] is True
        assert document["request"]["options"]["dryRun"] == ["All"]
        return allow(document, warnings=["mind the gap"])

    async def test(site: Site, made: Webhook) -> None:
        await configure(site, VALIDATING, hook(made.config()))
        await site.create(CONFIG_MAPS, config_map("a"), dry_run=True)
        assert len(made.asked) == 1
        with refused(422, "Invalid", 'webhooks[0].sideEffects: Unsupported value: "Some"'):
            await configure(site, VALIDATING, hook(made.config(), sideEffects="Some", name="x.example.com"), name="with-side-effects")

    play(tmp_path, answer, test)


def test_nobody_is_locked_out_by_a_webhook(tmp_path: Path) -> None:
    async def answer(path: str, document: Obj) -> Obj:
        return deny(document, message="no")

    async def test(site: Site, made: Webhook) -> None:
        everything = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
        await configure(site, VALIDATING, hook(made.config(), rules=[everything]))
        with refused(400, "", "denied"):
            await site.create(CONFIG_MAPS, config_map("a"))
        await site.delete(VALIDATING, "hooks", "")
        await site.create(CONFIG_MAPS, config_map("a"))

    play(tmp_path, answer, test)


def test_what_webhooks_did_is_noted_for_the_audit_trail(tmp_path: Path) -> None:
    async def answer(path: str, document: Obj) -> Obj:
        if path == "/broken":
            return {}
        if path == "/judge":
            return allow(document, auditAnnotations={"why": "because"})
        return patched(document, {"op": "add", "path": "/data/b", "value": "2"})

    async def test(site: Site, made: Webhook) -> None:
        broken = hook(made.config("/broken"), name="broken.example.com", failurePolicy="Ignore")
        await configure(site, MUTATING, hook(made.config("/change")), broken)
        await configure(site, VALIDATING, hook(made.config("/judge"), name="judge.example.com"))
        request = Request(ADMIN, CONFIG_MAPS, "default")
        await site.server.registry.create(request, config_map("a"), WriteOptions())
        place, told = "mutation.webhook.admission.k8s.io/round_0_index_", dict(request.annotations)
        assert json.loads(told.pop(f"{place}0")) == {"configuration": "hooks", "webhook": "hook.example.com", "mutated": True}
        assert json.loads(told.pop(f"{place}1")) == {"configuration": "hooks", "webhook": "broken.example.com", "mutated": False}
        patch = json.loads(told.pop("patch.webhook.admission.k8s.io/round_0_index_0"))
        assert patch["patch"] == [{"op": "add", "path": "/data/b", "value": "2"}]
        assert told == {f"failed-open.{place}1": "broken.example.com", "judge.example.com/why": "because"}

    play(tmp_path, answer, test)
