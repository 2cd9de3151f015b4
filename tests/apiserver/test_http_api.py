"""The HTTP front as a Kubernetes API: codes, representations, watches, refusals, as bytes on the wire."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from lightship.apiserver import operations
from lightship.meta import errors
from lightship.meta.objects import Obj
from lightship.meta.resources import Column
from lightship.meta.rest import LogOptions
from tests.apiserver.http_site import CONFIG_MAPS, PODS, HttpSite, config_map, pod, request, run
from tests.apiserver.site import GADGETS
from tests.talkless import Talkless

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def test_the_verbs_and_their_codes() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        created = await wire.ask("POST", CONFIG_MAPS, config_map("m", a="1"))
        assert (created.code, created.headers["content-type"]) == (201, "application/json")
        assert (await wire.ask("POST", CONFIG_MAPS, config_map("m"))).obj["reason"] == "AlreadyExists"
        replaced = await wire.ask("PUT", CONFIG_MAPS + "/m", {**created.obj, "data": {"a": "2"}})
        assert (replaced.code, replaced.obj["data"]) == (200, {"a": "2"})
        stale = await wire.ask("PUT", CONFIG_MAPS + "/m", created.obj)
        assert (stale.code, stale.obj["reason"]) == (409, "Conflict")
        merged = await wire.ask("PATCH", CONFIG_MAPS + "/m", {"data": {"b": "3"}}, content_type="application/merge-patch+json")
        assert (merged.code, merged.obj["data"]) == (200, {"a": "2", "b": "3"})
        assert (await wire.ask("GET", CONFIG_MAPS + "/m")).obj == merged.obj
        assert (await wire.ask("DELETE", CONFIG_MAPS + "/m")).code == 200
        gone = await wire.ask("GET", CONFIG_MAPS + "/m")
        assert (gone.code, gone.obj["message"]) == (404, 'configmaps "m" not found')
        assert (await wire.ask("POST", CONFIG_MAPS, config_map("n"))).code == 201
        deleted = await wire.ask("DELETE", CONFIG_MAPS)
        assert (deleted.code, deleted.obj["kind"]) == (200, "ConfigMapList")
        assert (await wire.ask("GET", CONFIG_MAPS)).obj["items"] == []

    run(test)


@pytest.mark.parametrize(
    ("method", "target", "want"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v2/pods", 404),
        ("GET", "/apis/example.com/v1/things", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/configmaps/m", 404),
        ("GET", "/api/v1/namespaces//configmaps", 200),
        ("GET", "/api/v1/namespaces//configmaps/m", 400),
        ("GET", "/api/v1/namespaces//nodes", 404),
        ("GET", CONFIG_MAPS + "/m/status", 404),
        ("GET", PODS + "/p/nothing", 404),
        ("GET", PODS + "/p/log/more", 404),
        ("POST", "/api/v1/configmaps", 405),
        ("DELETE", "/api/v1/configmaps", 405),
        ("HEAD", "/version", 405),
        ("POST", CONFIG_MAPS + "/m", 405),
        ("PUT", CONFIG_MAPS, 405),
        ("PATCH", CONFIG_MAPS, 405),
        ("OPTIONS", CONFIG_MAPS, 405),
        ("POST", "/version", 405),
        ("POST", PODS + "/p/log", 405),
        ("GET", "/apis/authentication.k8s.io/v1/selfsubjectreviews", 405),
        ("GET", CONFIG_MAPS + "/", 200),
        ("GET", "/api/v1/namespaces/default", 200),
        ("GET", "/api/v1/namespaces/default/status", 200),
    ],
)
def test_places(method: str, target: str, want: int) -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask(method, target, {} if method in ("POST", "PUT") else None)
        assert answer.code == want
        if answer.headers["content-type"].startswith("text/plain"):
            assert answer.body == b"404 page not found\n"
        else:
            assert want == 200 or method == "HEAD" or answer.obj["kind"] == "Status"

    run(test)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=many", 'strconv.ParseInt: parsing "many": invalid syntax'),
        ("timeout=soon", 'invalid duration "soon"'),
        ("watch=1&timeoutSeconds=soon", 'strconv.ParseInt: parsing "soon": invalid syntax'),
        ("labelSelector=a%3D%3D%3Db%2C", ""),
        ("fieldSelector=spec.nothing%3Dx", "spec.nothing"),
        ("resourceVersion=new", "resource version"),
        ("watch=1&resourceVersion=new", "resource version"),
        ("continue=xyz", "continue"),
    ],
)
def test_bad_queries_are_refused_before_anything_is_sent(query: str, says: str) -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask("GET", f"{CONFIG_MAPS}?{query}")
        assert (answer.code, answer.obj["reason"]) == (400, "BadRequest")
        assert says in answer.obj["message"]

    run(test)


def test_a_future_revision_is_a_timeout_that_says_when_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "FUTURE_PATIENCE", 0.1)

    async def test(site: HttpSite) -> None:
        for path in (CONFIG_MAPS, CONFIG_MAPS + "/m"):
            answer = await site.ask("GET", f"{path}?resourceVersion=100000")
            assert (answer.code, answer.headers["retry-after"]) == (504, "1")
            assert answer.obj["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"

    run(test)


def test_a_revision_of_the_near_future_is_waited_for() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        made = (await wire.ask("POST", CONFIG_MAPS, config_map("m"))).obj
        wanted = int(made["metadata"]["resourceVersion"]) + 1
        await wire.send(request("GET", f"{CONFIG_MAPS}/n?resourceVersion={wanted}"))
        watch = await site.connect()
        await watch.send(request("GET", f"{CONFIG_MAPS}?watch=1&resourceVersion={wanted}"))
        assert (await watch.head())[0] == 200
        await site.ask("POST", CONFIG_MAPS, config_map("n"))
        await site.ask("POST", CONFIG_MAPS, config_map("o"))
        assert (await wire.response()).obj["metadata"]["name"] == "n"
        assert [line["object"]["metadata"]["name"] for line in await watch.lines(1)] == ["o"]

    run(test)


@pytest.mark.parametrize(
    ("content_type", "body", "want"),
    [
        ("application/json", b"{not json", 400),
        ("application/json", b"[1]", 400),
        ("application/json", b"", 400),
        ("application/yaml", b"a: [", 400),
        ("application/vnd.kubernetes.protobuf", b"k8s\x00", 400),
        ("text/plain", b"hello", 415),
        ("application/json; charset=utf-8", b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"}}', 201),
        ("application/yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {when: '2026-01-01'}\n", 201),
    ],
)
def test_request_bodies(content_type: str, body: bytes, want: int) -> None:
    async def test(site: HttpSite) -> None:
        assert (await site.ask("POST", CONFIG_MAPS, body, content_type=content_type)).code == want

    run(test)


def test_a_patch_type_that_nobody_knows() -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask("PATCH", CONFIG_MAPS + "/m", {}, content_type="application/json")
        assert (answer.code, answer.obj["reason"]) == (415, "UnsupportedMediaType")

    run(test)


@pytest.mark.parametrize(
    ("accept", "want", "kind"),
    [
        ("", 200, "ConfigMap"),
        ("*/*", 200, "ConfigMap"),
        ("application/*;q=0.1", 406, "Status"),
        ("application/vnd.kubernetes.protobuf,application/json", 200, "ConfigMap"),
        ("text/html", 406, "Status"),
        ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", 406, "Status"),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", 200, "ConfigMap"),
        ("application/json;as=Table;g=meta.k8s.io;v=v1", 200, "Table"),
        ("application/json;as=Table;g=meta.k8s.io;v=v2", 406, "Status"),
        ("application/json;as=Table;g=meta.k8s.io;v=v2,application/json", 200, "ConfigMap"),
        ("application/json;q=0.5,application/json;as=Table;g=meta.k8s.io;v=v1", 200, "Table"),
        (PARTIAL, 200, "PartialObjectMetadata"),
        ("application/json;q=0", 200, "ConfigMap"),
    ],
)
def test_representations(accept: str, want: int, kind: str) -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.ask("POST", CONFIG_MAPS, config_map("m"))
        answer = await wire.ask("GET", CONFIG_MAPS + "/m", accept=accept)
        assert (answer.code, answer.obj["kind"]) == (want, kind)

    run(test)


def test_people_get_indented_json() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        target = "/api/v1/namespaces/default"
        assert b"\n  " not in (await wire.ask("GET", target)).body
        for answer in (
            await wire.ask("GET", target + "?pretty=true"),
            await wire.ask("GET", target, user_agent="curl/8.0"),
            await wire.ask("GET", "/apis", user_agent="curl/8.0"),
            await wire.ask("GET", "/api/v1/namespaces", user_agent="curl/8.0"),
            await wire.ask("GET", "/api/v1/namespaces/none", user_agent="curl/8.0"),
        ):
            assert answer.body.startswith(b'{\n  "')
        assert b"\n  " not in (await wire.ask("GET", target + "?pretty=false", user_agent="curl/8.0")).body

    run(test)


def bare(obj: Obj) -> Obj:
    """An object as an item of a list of built-in kinds: the list says what its items are."""
    return {field: value for field, value in obj.items() if field not in ("kind", "apiVersion")}


def test_a_list_joins_the_stored_bytes() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        made = [bare((await wire.ask("POST", CONFIG_MAPS, config_map(f"m{i}"))).obj) for i in range(3)]
        answer = (await wire.ask("GET", CONFIG_MAPS)).obj
        assert (answer["kind"], answer["apiVersion"], answer["items"]) == ("ConfigMapList", "v1", made)
        assert answer["metadata"] == {"resourceVersion": str(site.server.store.revision)}
        first = (await wire.ask("GET", CONFIG_MAPS + "?limit=2")).obj
        assert (len(first["items"]), first["metadata"]["remainingItemCount"]) == (2, 1)
        rest = (await wire.ask("GET", f"{CONFIG_MAPS}?limit=2&continue={first['metadata']['continue']}")).obj
        assert rest["items"] == made[2:]
        assert "continue" not in rest["metadata"]
        selected = (await wire.ask("GET", CONFIG_MAPS + "?fieldSelector=metadata.name%3Dm1")).obj
        assert selected["items"] == made[1:2]

    run(test)


def test_tables_of_custom_kinds_follow_their_columns() -> None:
    columns = (
        Column("Size", "integer", json_path=".spec.size"),
        Column("Ready", json_path='.status.conditions[?(@.type=="Ready")].status'),
        Column("Made", "date", json_path=".metadata.creationTimestamp"),
    )
    resource = type(GADGETS)(group="example.com", version="v1", kind="Gadget", plural="gadgets", custom=True, columns=columns)

    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        target = "/apis/example.com/v1/namespaces/default/gadgets"
        made = await wire.ask(
            "POST", target, {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 3}}
        )
        assert made.code == 201
        table = (await wire.ask("GET", target, accept=TABLE)).obj
        assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Size", "Ready", "Made"]
        assert table["rows"][0]["cells"] in (["g", 3, None, "0s"], ["g", 3, None, "1s"])
        assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
        assert table["rows"][0]["object"]["metadata"] == made.obj["metadata"]
        whole = (await wire.ask("GET", target + "?includeObject=Object", accept=TABLE)).obj
        assert whole["rows"][0]["object"] == made.obj
        none = (await wire.ask("GET", target + "/g?includeObject=None", accept=TABLE)).obj
        assert none["rows"][0]["object"] is None
        assert (await wire.ask("GET", target + "?includeObject=Some", accept=TABLE)).code == 400

    run(test, extra=(resource,))


def test_metadata_only() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        made = (await wire.ask("POST", CONFIG_MAPS, config_map("m", a="1"))).obj
        want = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]}
        assert (await wire.ask("GET", CONFIG_MAPS + "/m", accept=PARTIAL)).obj == want
        listed = (await wire.ask("GET", CONFIG_MAPS, accept=PARTIAL_LIST)).obj
        assert (listed["kind"], listed["items"]) == ("PartialObjectMetadataList", [want])

    run(test)


async def watch(site: HttpSite, target: str, accept: str = "") -> tuple[asyncio.Queue[Obj], asyncio.Task[None]]:
    wire = await site.connect()
    await wire.send(request("GET", target, accept=accept))
    code, headers = await wire.head()
    assert (code, headers["transfer-encoding"]) == (200, "chunked")
    queue: asyncio.Queue[Obj] = asyncio.Queue()

    async def read() -> None:
        while True:
            for line in await wire.lines(1):
                queue.put_nowait(line)

    return queue, asyncio.ensure_future(read())


@pytest.mark.parametrize(
    ("accept", "kind"), [("", "ConfigMap"), (TABLE, "Table"), (PARTIAL, "PartialObjectMetadata")], ids=["objects", "tables", "metadata"]
)
def test_a_watch_tells_what_happens_in_every_representation(accept: str, kind: str) -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.ask("POST", CONFIG_MAPS, config_map("before"))
        revision = site.server.store.revision
        events, reader = await watch(site, f"{CONFIG_MAPS}?watch=1&resourceVersion={revision}", accept)
        await wire.ask("POST", CONFIG_MAPS, config_map("m"))
        await wire.ask("PATCH", CONFIG_MAPS + "/m", {"data": {"a": "1"}}, content_type="application/merge-patch+json")
        await wire.ask("DELETE", CONFIG_MAPS + "/m")
        got = [await events.get() for _ in range(3)]
        assert [event["type"] for event in got] == ["ADDED", "MODIFIED", "DELETED"]
        assert {event["object"]["kind"] for event in got} == {kind}
        if kind == "Table":
            assert [bool(event["object"]["columnDefinitions"]) for event in got] == [True, False, False]
            assert got[0]["object"]["rows"][0]["cells"][0] == "m"
        reader.cancel()

    run(test)


def test_events_that_are_ready_together_come_in_one_piece() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for i in range(20):
            await wire.ask("POST", CONFIG_MAPS, config_map(f"m{i}"))
        await wire.send(request("GET", CONFIG_MAPS + "?watch=1&resourceVersion=1"))
        await wire.head()
        assert len((await wire.chunk()).splitlines()) >= 20

    run(test)


def test_a_streaming_list_ends_with_its_bookmark() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.ask("POST", CONFIG_MAPS, config_map("m"))
        query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        events, reader = await watch(site, f"{CONFIG_MAPS}?{query}", PARTIAL)
        added, bookmark = await events.get(), await events.get()
        assert (added["type"], bookmark["type"]) == ("ADDED", "BOOKMARK")
        assert bookmark["object"]["kind"] == "PartialObjectMetadata"
        assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        reader.cancel()

    run(test)


def test_a_watch_from_before_history_is_gone() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.ask("POST", CONFIG_MAPS, config_map("m"))
        site.server.store.compact(site.server.store.revision)
        events, reader = await watch(site, CONFIG_MAPS + "?watch=1&resourceVersion=1")
        event = await events.get()
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
        reader.cancel()

    run(test)


@pytest.mark.slow
def test_a_watch_ends_at_its_timeout_and_the_connection_goes_on() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        assert (await wire.ask("GET", CONFIG_MAPS + "?watch=1&timeoutSeconds=1")).code == 200
        assert (await wire.ask("GET", "/version")).code == 200

    run(test)


class Node(Talkless):
    """A node that has one log, and says of every other pod that its container waits."""

    async def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        if pod != "talker":
            raise errors.bad_request(f'container "main" in pod "{pod}" is waiting to start: ContainerCreating')
        for line in (b"one\n", b"two\n")[-(options.tail_lines or 2) :]:
            yield line


def test_logs() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for name in ("talker", "sleeper"):
            assert (await wire.ask("POST", PODS, pod(name))).code == 201
        whole = await wire.ask("GET", PODS + "/talker/log")
        assert (whole.code, whole.headers["content-type"], whole.body) == (200, "text/plain", b"one\ntwo\n")
        assert (await wire.ask("GET", PODS + "/talker/log?tailLines=1")).body == b"two\n"
        assert (await wire.ask("GET", PODS + "/talker/log?tailLines=some")).code == 400
        waiting = await wire.ask("GET", PODS + "/sleeper/log?follow=true")
        assert (waiting.code, waiting.obj["reason"]) == (400, "BadRequest")
        assert (await wire.ask("GET", PODS + "/nobody/log")).code == 404

    run(test, node=Node())


def test_warnings_travel_as_headers() -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask("POST", CONFIG_MAPS + "?fieldValidation=Warn", {**config_map("m"), "dota": {}})
        assert (answer.code, answer.headers["warning"]) == (201, '299 - "unknown field \\"dota\\""')

    run(test)


def test_an_unexpected_failure_tells_the_log_and_not_the_client(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def test(site: HttpSite) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("a secret of the house")

        monkeypatch.setattr(site.server.store, "get", broken)
        answer = await site.ask("GET", CONFIG_MAPS + "/m")
        assert (answer.code, answer.obj["reason"]) == (500, "InternalError")
        assert b"secret" not in answer.body

    run(test)
    assert "a secret of the house" in caplog.text


# Who may


def test_nobody_gets_in_without_a_token_but_to_health_and_version() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for token in ("", "wrong", "admin-token2"):
            refused = await wire.ask("GET", CONFIG_MAPS, token=token)
            assert (refused.code, refused.obj["reason"]) == ((401, "Unauthorized") if token else (403, "Forbidden"))
            assert "www-authenticate" not in refused.headers
            assert (await wire.ask("GET", "/api", token=token)).code == (401 if token else 403)
            for path in ("/healthz", "/livez", "/readyz", "/version", "/version/"):
                # No credentials are fine here, wrong ones nowhere.
                assert (await wire.ask("GET", path, token=token)).code == (401 if token else 200)

    run(test)


@pytest.mark.parametrize(
    ("method", "target", "says"),
    [
        ("GET", PODS, 'pods is forbidden: User "joe" cannot list resource "pods" in API group "" in the namespace "default"'),
        ("GET", "/api/v1/nodes/n", 'nodes "n" is forbidden: User "joe" cannot get resource "nodes" in API group "" at the cluster scope'),
        (
            "PUT",
            PODS + "/p/status",
            'pods "p" is forbidden: User "joe" cannot update resource "pods/status" in API group "" in the namespace "default"',
        ),
        (
            "DELETE",
            "/apis/batch/v1/namespaces/default/jobs",
            'jobs.batch is forbidden: User "joe" cannot deletecollection resource "jobs" in API group "batch" in the namespace "default"',
        ),
        ("GET", "/metrics", 'forbidden: User "joe" cannot get path "/metrics"'),
    ],
)
def test_refusals_speak_as_the_real_server(method: str, target: str, says: str) -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask(method, target, token="joe-token")
        assert (answer.code, answer.obj["reason"], answer.obj["message"]) == (403, "Forbidden", says)

    run(test)


def test_what_everybody_may() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for path in ("/api", "/apis", "/apis/batch", "/apis/batch/v1", "/api/v1", "/openapi/v3", "/version"):
            assert (await wire.ask("GET", path, token="joe-token")).code == 200
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        me = await wire.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, token="joe-token")
        assert (me.code, me.obj["status"]["userInfo"]["username"]) == (201, "joe")
        assert "system:authenticated" in me.obj["status"]["userInfo"]["groups"]

    run(test)


@pytest.mark.parametrize(("token", "allowed"), [("admin-token", True), ("joe-token", False)])
def test_access_reviews_answer_what_would_happen(token: str, allowed: bool) -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        spec = {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}
        answer = await wire.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": spec}, token=token)
        assert (answer.code, answer.obj["status"]["allowed"]) == (201, allowed)
        assert (await wire.ask("GET", PODS, token=token)).code == (200 if allowed else 403)

    run(test)
