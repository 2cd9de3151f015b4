"""Conversion of custom objects by a real HTTPS webhook on loopback: in every verb, with every answer that is not right.

Upstream names these behaviours in apiextensions-apiserver/test/integration/conversion.
"""

import asyncio
import base64
import json
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access import pki
from lightship.apiserver.server import Server
from lightship.apiserver.transport.outbound import Address
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource

from .site import Site, refused

CRDS = kinds.CUSTOM_RESOURCE_DEFINITIONS
V1 = Resource(group="multi.example.com", version="v1", kind="Multi", plural="multis", custom=True)
V2 = Resource(group="multi.example.com", version="v2", kind="Multi", plural="multis", custom=True)
Convert = Callable[[Obj, str], Obj]


class Hook:
    """An HTTPS server that answers ConversionReviews as `convert` and `change` say, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Obj] = []
        self.connections = 0
        self.convert: Convert = moved
        self.change: Callable[[Obj], Any] = lambda review: review
        self.status = 200

    async def start(self, context: ssl.SSLContext) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                answer = self._answer(json.loads(await reader.readexactly(length)))
                writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, review: Obj) -> bytes:
        request = review["request"]
        self.asked.append(request)
        objects = [self.convert(copy(obj), request["desiredAPIVersion"]) for obj in request["objects"]]
        response = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
        found = self.change({"apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": response})
        return found if isinstance(found, bytes) else json.dumps(found).encode()


def moved(obj: Obj, api_version: str) -> Obj:
    """v1 has spec.size, v2 spec.dimensions.size."""
    spec = obj.get("spec") or {}
    if api_version.endswith("/v2"):
        return {**obj, "apiVersion": api_version, "spec": {"dimensions": {"size": spec.get("size")}}}
    return {**obj, "apiVersion": api_version, "spec": {"size": (spec.get("dimensions") or {}).get("size")}}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA and a certificate that is good for the webhook's addresses."""
    folder = tmp_path_factory.mktemp("hook")
    pki.issue(folder, SystemClock().now(), ("hook.default.svc",))
    return folder


def run(authority: Path, test: Callable[[Site, Hook, Obj], Awaitable[None]], *, service: bool = False, **hooked: Any) -> None:
    """Run a test against a server with a definition of two versions that a webhook converts; v1 is stored."""

    async def main() -> None:
        hook = Hook()
        for name, value in hooked.items():
            setattr(hook, name, value)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority / "server.crt", authority / "server.key")
        port = await hook.start(context)
        clock = SystemClock()
        resolve = (lambda namespace, name, asked: Address("127.0.0.1", port)) if service else None
        server = Server(store.memory(), kinds.BUILTIN, clock=clock, random=random.Random(7), resolve=resolve)
        await server.start()
        site = Site(server, clock)  # type: ignore[arg-type]  # it asks for the time only
        config: Obj = {"caBundle": base64.b64encode((authority / "ca.crt").read_bytes()).decode()}
        if service:
            config["service"] = {"namespace": "default", "name": "hook", "path": "/convert", "port": 8443}
        else:
            config["url"] = f"https://127.0.0.1:{port}/convert"
        crd = await site.create(CRDS, definition(config), "")
        try:
            async with asyncio.timeout(20):
                await test(site, hook, crd)
        finally:
            server.close()
            await hook.stop()

    asyncio.run(main())


def definition(config: Obj, *, stored: str = "v1") -> Obj:
    def version(name: str, **spec: Obj) -> Obj:
        properties = {
            "spec": {"type": "object", "properties": spec},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        }
        schema = {"type": "object", "properties": properties}
        served = {"name": name, "served": True, "storage": name == stored, "subresources": {"status": {}}}
        return {**served, "schema": {"openAPIV3Schema": schema}}

    size = {"type": "integer"}
    return {
        "metadata": {"name": "multis.multi.example.com"},
        "spec": {
            "group": "multi.example.com",
            "scope": "Namespaced",
            "names": {"plural": "multis", "kind": "Multi"},
            "versions": [version("v1", size=size), version("v2", dimensions={"type": "object", "properties": {"size": size}})],
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": config}},
        },
    }


def small(name: str, size: int = 1, **metadata: Any) -> Obj:
    return {"metadata": {"name": name, **metadata}, "spec": {"size": size}}


def test_every_verb_converts(authority: Path) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        made = await site.create(V2, {"metadata": {"name": "a"}, "spec": {"dimensions": {"size": 3}}})
        assert (made["apiVersion"], made["spec"]) == ("multi.example.com/v2", {"dimensions": {"size": 3}})
        assert [r["desiredAPIVersion"] for r in hook.asked] == ["multi.example.com/v1", "multi.example.com/v2"]
        assert site.store.get("multi.example.com/multis/default/a").obj["spec"] == {"size": 3}  # type: ignore[union-attr]
        assert (await site.get(V1, "a"))["spec"] == {"size": 3}
        assert (await site.get(V2, "a"))["spec"] == {"dimensions": {"size": 3}}
        patched = await site.patch(V2, "a", {"spec": {"dimensions": {"size": 4}}})
        assert (patched["spec"], patched["metadata"]["generation"]) == ({"dimensions": {"size": 4}}, 2)
        assert (await site.get(V1, "a"))["spec"] == {"size": 4}
        updated = await site.update(V2, {**patched, "spec": {"dimensions": {"size": 5}}})
        assert updated["spec"] == {"dimensions": {"size": 5}}
        status = await site.patch(V2, "a", {"status": {"x": 1}}, subresource="status")
        assert status["status"] == {"x": 1}
        await site.delete(V2, "a")
        assert await site.gone(V1, "a")

    run(authority, test)


def test_a_list_is_converted_in_one_batch_and_remembered(authority: Path) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        for i in range(5):
            await site.create(V1, small(f"o{i}", i, labels={"odd": str(i % 2)}))
        assert hook.asked == [], "nobody asks about what is in its version already"
        found = (await site.listing(V2)).items
        assert [o["spec"]["dimensions"]["size"] for o in found] == [0, 1, 2, 3, 4]
        assert [len(r["objects"]) for r in hook.asked] == [5]
        assert await site.names(V2, label_selector="odd=1") == ["o1", "o3"]
        await site.get(V2, "o1")
        assert len(hook.asked) == 1, "unchanged objects need not be asked about again"
        await site.patch(V1, "o1", {"spec": {"size": 9}})
        assert [o["spec"]["dimensions"]["size"] for o in (await site.listing(V2)).items] == [0, 9, 2, 3, 4]
        assert [len(r["objects"]) for r in hook.asked] == [5, 1]
        assert hook.connections == 1, "the connection is kept"

    run(authority, test)


def test_watches_are_converted(authority: Path) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        await site.create(V1, small("a"))
        async with site.watching(V2) as watching:
            assert (await watching.take(2))[0] == ("ADDED", "a")
            await site.patch(V1, "a", {"spec": {"size": 2}})
            await site.delete(V1, "a")
            assert await watching.take(2) == [("MODIFIED", "a"), ("DELETED", "a")]
        sizes = [e.object["spec"]["dimensions"]["size"] for e in watching.events if e.type != "BOOKMARK"]
        assert sizes == [1, 2, 2]

    run(authority, test)


def test_a_service_is_resolved(authority: Path) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        await site.create(V1, small("a"))
        assert (await site.get(V2, "a"))["spec"] == {"dimensions": {"size": 1}}

    run(authority, test, service=True)


def test_objects_of_a_former_storage_version_stay_readable(authority: Path) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        await site.create(V1, small("old"))
        changed = copy(await site.get(CRDS, "multis.multi.example.com", ""))
        for version in changed["spec"]["versions"]:
            version["storage"] = version["name"] == "v2"
        changed = await site.update(CRDS, changed, "")
        assert changed["status"]["storedVersions"] == ["v1", "v2"]
        assert (await site.get(V2, "old"))["spec"] == {"dimensions": {"size": 1}}
        assert (await site.get(V1, "old"))["spec"] == {"size": 1}
        old = await site.get(V2, "old")
        await site.update(V2, old)
        record = site.store.get("multi.example.com/multis/default/old")
        assert record is not None
        assert record.obj["apiVersion"] == "multi.example.com/v2", "a write that changes nothing moves it to the storage version"

    run(authority, test)


def _response(**changes: Any) -> Callable[[Obj], Any]:
    return lambda review: {**review, "response": {**review["response"], **changes}}


def _object(**changes: Any) -> Convert:
    def convert(obj: Obj, api_version: str) -> Obj:
        return {**moved(obj, api_version), **changes}

    return convert


def _metadata(**changes: Any) -> Convert:
    def convert(obj: Obj, api_version: str) -> Obj:
        return {**moved(obj, api_version), "metadata": {**obj["metadata"], **changes}}

    return convert


WHAT = "conversion webhook for multi.example.com/v1, Kind=Multi "


@pytest.mark.parametrize(
    ("hooked", "message"),
    [
        ({"change": lambda review: {**review, "kind": "Odd"}}, "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=Conv"),
        ({"change": lambda review: {**review, "response": None}}, "failed: no response provided"),
        ({"change": _response(uid="other")}, 'failed: expected response.uid="'),
        ({"change": _response(result={"status": "Failure", "message": "not today"})}, "failed: not today"),
        ({"change": _response(result={})}, "failed: response.result.status was '', not 'Success'"),
        ({"change": _response(convertedObjects=[])}, "returned 0 objects, expected 1"),
        ({"change": lambda review: b"no JSON"}, "failed: couldn't get version/kind; json parse error"),
        ({"change": lambda review: []}, "failed: couldn't get version/kind; json parse error"),
        ({"convert": lambda obj, api_version: obj}, "invalid groupVersion (expected multi.example.com/v2, received multi.example.com/v1)"),
        ({"convert": _object(kind="Odd")}, "invalid kind (expected Multi, received Odd)"),
        ({"convert": _metadata(name="other")}, "returned invalid object: must have the same name: a != other"),
        ({"convert": _metadata(uid="other")}, "returned invalid object: must have the same UID: "),
        ({"convert": _metadata(labels=5)}, "returned invalid metadata: invalid metadata.labels of type"),
        ({"convert": _metadata(labels={"a b": "c"})}, 'returned invalid metadata: metadata.labels: Invalid value: "a b": name part must'),
        ({"status": 500}, "failed: an error on the server ("),
        ({"status": 404}, "failed: the server could not find the requested resource"),
    ],
)
def test_bad_answers_are_refused(authority: Path, hooked: dict[str, Any], message: str) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        await site.create(V1, small("a"))
        for ask in (site.get(V2, "a"), site.listing(V2), site.patch(V2, "a", {"spec": {}})):
            with refused(500, "", message) as found:
                await ask
            assert found[0].message.startswith(WHAT)
        assert (await site.get(V1, "a"))["spec"] == {"size": 1}, "what needs no conversion is served"

    run(authority, test, **hooked)


def test_only_labels_and_annotations_may_change(authority: Path) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        await site.create(V1, small("a", finalizers=["a/b"], annotations={"gone": "1"}))
        found = await site.get(V2, "a")
        meta = found["metadata"]
        assert (meta["labels"], meta["finalizers"], meta["generation"]) == ({"new": "label"}, ["a/b"], 1)
        assert "annotations" not in meta
        assert "unknown" not in found["spec"], "what the schema does not know is taken away"

    def convert(obj: Obj, api_version: str) -> Obj:
        found = moved(obj, api_version)
        meta = {k: v for k, v in obj["metadata"].items() if k in ("name", "namespace", "uid")}
        return {**found, "metadata": {**meta, "labels": {"new": "label"}, "generation": 77}, "spec": {**found["spec"], "unknown": 1}}

    run(authority, test, convert=convert)


def test_a_webhook_that_is_away(authority: Path) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        await site.create(V1, small("a"))
        url = crd["spec"]["conversion"]["webhook"]["clientConfig"]["url"]
        await hook.stop()
        with refused(500, "", f'{WHAT}failed: Post "{url}?timeout=30s": dial tcp 127.0.0.1:'):
            await site.get(V2, "a")
        with refused(500, ""):
            await site.create(V2, {"metadata": {"name": "b"}, "spec": {}})
        assert await site.gone(V1, "b")

    run(authority, test)


def test_strangers_are_not_believed(authority: Path, tmp_path: Path) -> None:
    pki.issue(tmp_path, SystemClock().now())
    other = base64.b64encode((tmp_path / "ca.crt").read_bytes()).decode()

    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        await site.create(V1, small("a"))
        await site.patch(CRDS, "multis.multi.example.com", {"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": other}}}}}, "")
        with refused(500, "", "x509: certificate signed by unknown authority"):
            await site.get(V2, "a")

    run(authority, test)


def test_an_invalid_bundle_keeps_a_definition_from_being_established(authority: Path) -> None:
    async def test(site: Site, hook: Hook, crd: Obj) -> None:
        bad = definition({"url": "https://127.0.0.1/x", "caBundle": base64.b64encode(b"nothing").decode()})
        bad["metadata"]["name"], bad["spec"]["group"] = "multis.bad.example.com", "bad.example.com"
        made = await site.create(CRDS, bad, "")
        reasons = {c["type"]: (c["status"], c["reason"]) for c in made["status"]["conditions"]}
        assert reasons == {"NamesAccepted": ("True", "NoConflicts"), "Established": ("False", "InvalidCABundle")}
        mended = {"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": None}}}}}
        made = await site.patch(CRDS, "multis.bad.example.com", mended, "")
        assert next(c for c in made["status"]["conditions"] if c["type"] == "Established")["status"] == "True"

    run(authority, test)
