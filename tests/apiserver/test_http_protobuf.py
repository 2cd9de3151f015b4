"""Protobuf over HTTP: bodies of built-in kinds come in; answers are JSON, and protobuf for those who take nothing else."""

import base64
import gzip
import json
import random
from pathlib import Path

import pytest

from lightship.kinds import protobuf
from lightship.meta.protobuf import Decoder
from lightship.meta.protobuf_encoder import varint

from .http_site import HttpSite, request, run
from .site import GADGETS

PROTOBUF = protobuf.MEDIA_TYPE
GOLDEN = Path(__file__).parent.parent / "kinds" / "protobuf"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
TYPED = {"content_type": PROTOBUF, "accept": f"{PROTOBUF},application/json"}
"""The headers of a typed Go client."""


def piece(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def body(api_version: str, kind: str, raw: bytes) -> bytes:
    return protobuf.MAGIC + piece(1, piece(1, api_version.encode()) + piece(2, kind.encode())) + piece(2, raw)


CONFIG_MAP = body("v1", "ConfigMap", piece(1, piece(1, b"m") + b"\x38\x00") + piece(2, piece(1, b"a") + piece(2, b"b")))


def test_the_life_of_an_object() -> None:
    async def test(site: HttpSite) -> None:
        made = await site.ask("POST", CONFIG_MAPS + "?fieldValidation=Strict", CONFIG_MAP, **TYPED)
        assert (made.code, made.headers["content-type"]) == (201, "application/json")
        assert (made.obj["kind"], made.obj["data"]) == ("ConfigMap", {"a": "b"})
        assert "generation" not in made.obj["metadata"]
        same = await site.ask("PUT", CONFIG_MAPS + "/m", CONFIG_MAP, **TYPED)
        assert (same.code, same.obj["metadata"]["resourceVersion"]) == (200, made.obj["metadata"]["resourceVersion"])
        options = body("v1", "DeleteOptions", piece(2, piece(1, b"another uid")))
        assert (await site.ask("DELETE", CONFIG_MAPS + "/m", options, **TYPED)).code == 409
        assert (await site.ask("DELETE", CONFIG_MAPS + "/m", body("v1", "DeleteOptions", b""), **TYPED)).code == 200

    run(test)


def test_questions() -> None:
    async def test(site: HttpSite) -> None:
        wish = body("authorization.k8s.io/v1", "SelfSubjectAccessReview", piece(2, piece(1, piece(2, b"get") + piece(5, b"pods"))))
        answer = await site.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", wish, **TYPED)
        assert (answer.code, answer.obj["status"]["allowed"]) == (201, True)
        wish = body("authentication.k8s.io/v1", "SelfSubjectReview", b"")
        answer = await site.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", wish, token="joe-token", **TYPED)
        assert (answer.code, answer.obj["status"]["userInfo"]["username"]) == (201, "joe")

    run(test)


@pytest.mark.parametrize(
    ("headers", "data", "code", "says"),
    [
        pytest.param({}, CONFIG_MAP[:-1], 400, "must be of type ConfigMap.*: unexpected EOF", id="cut short"),
        pytest.param({}, b'{"kind":"ConfigMap"}', 400, "does not appear to be a protobuf message", id="JSON"),
        pytest.param({}, b"", 400, "does not appear to be a protobuf message.*<empty>", id="empty"),
        pytest.param({}, body("a.b/v1", "C", b""), 400, 'no kind "C" is registered for version "a.b/v1"', id="custom kind"),
        pytest.param({}, body("v1", "Secret", piece(1, piece(1, b"m"))), 400, "Secret", id="another kind"),
    ],
)
def test_refusals(headers: dict[str, str], data: bytes, code: int, says: str) -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask("POST", CONFIG_MAPS, data, **{**TYPED, **headers})
        assert answer.code == code
        with pytest.raises(AssertionError, match=says):
            raise AssertionError(answer.obj["message"])

    run(test)


INSIST = {"content_type": PROTOBUF, "accept": PROTOBUF}
PARTIAL = f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


def frames(data: bytes) -> list[bytes]:
    """The frames of a watch stream, each behind its length."""
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def test_who_insists_on_protobuf_gets_it() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        made = await wire.ask("POST", CONFIG_MAPS, CONFIG_MAP, **INSIST)
        assert (made.code, made.headers["content-type"]) == (201, PROTOBUF)
        obj = protobuf.decode(made.body)
        assert (obj["kind"], obj["metadata"]["name"], obj["data"]) == ("ConfigMap", "m", {"a": "b"})
        refused = await wire.ask("GET", CONFIG_MAPS + "/none", **INSIST)
        assert (refused.code, protobuf.decode(refused.body)["reason"]) == (404, "NotFound")
        only = protobuf.decode((await wire.ask("GET", CONFIG_MAPS + "/m", accept=PARTIAL)).body)
        assert (only["kind"], only["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
        assert (only["metadata"]["uid"], "data" in only) == (obj["metadata"]["uid"], False)
        gone = protobuf.decode((await wire.ask("DELETE", CONFIG_MAPS + "/m", **INSIST)).body)
        assert (gone["kind"], gone["status"]) == ("Status", "Success")

    run(test)


def test_lists_in_protobuf() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.ask("POST", CONFIG_MAPS, CONFIG_MAP, **TYPED)
        listed = await wire.ask("GET", CONFIG_MAPS, **INSIST)
        assert listed.headers["content-type"] == PROTOBUF
        # An envelope, in which a list is its metadata and then its items.
        decoder = Decoder(
            {
                "List": {"1": ["metadata", "Any"], "2": ["items", "slice", "repeated"]},
                "Any": {},
                "Unknown": {"1": ["typeMeta", "Head"], "2": ["raw", "slice"], "3": ["encoding", "string"], "4": ["type", "string"]},
                "Head": {"1": ["apiVersion", "string"], "2": ["kind", "string"]},
            },
            {},
        )
        envelope = decoder.decode("Unknown", listed.body[4:])
        assert envelope["typeMeta"] == {"apiVersion": "v1", "kind": "ConfigMapList"}
        items = [protobuf.decode(body_of("v1", "ConfigMap", raw)) for raw in decoder.decode("List", envelope["raw"])["items"]]
        assert [(item["metadata"]["name"], item.get("data")) for item in items] == [("m", {"a": "b"})]

    run(test)


def body_of(api_version: str, kind: str, raw: bytes) -> bytes:
    return protobuf.encode({"apiVersion": api_version, "kind": kind})[:-6] + b"\x12" + varint(len(raw)) + raw


def test_watches_in_protobuf() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.send(request("GET", CONFIG_MAPS + "?watch=1&allowWatchBookmarks=true", accept=PROTOBUF))
        code, headers = await wire.head()
        assert (code, headers["content-type"]) == (200, f"{PROTOBUF};stream=watch")
        (bookmark,) = frames(await wire.chunk())
        assert bookmark[:11] == b"\n\x08BOOKMARK\x12"
        await site.ask("POST", CONFIG_MAPS, CONFIG_MAP, **TYPED)
        (added,) = frames(await wire.chunk())
        assert added.startswith(b"\n\x05ADDED\x12")
        obj = protobuf.decode(added[added.index(protobuf.MAGIC) :])
        assert (obj["metadata"]["name"], obj["data"]) == ("m", {"a": "b"})

    run(test)


def test_what_protobuf_cannot_say() -> None:
    async def test(site: HttpSite) -> None:
        table = await site.ask("GET", CONFIG_MAPS, accept=f"{PROTOBUF};as=Table;g=meta.k8s.io;v=v1")
        assert (table.code, table.headers["content-type"]) == (406, "application/json")
        custom = "/apis/example.com/v1/namespaces/default/gadgets"
        assert (await site.ask("GET", custom, accept=PROTOBUF)).code == 406
        assert (await site.ask("GET", custom, accept=f"{PARTIAL.replace('Metadata;', 'MetadataList;')}")).code == 200

    run(test, extra=(GADGETS,))


def test_noise_never_fails_the_server() -> None:
    """Random bytes and damaged bodies of every kind, in one go: each is refused or taken, quickly."""
    lines = gzip.decompress((GOLDEN / "published.jsonl.gz").read_bytes()).decode().splitlines()
    noise = random.Random(36)

    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for case in map(json.loads, lines):
            api_version, _, kind = case["kind"].rpartition("/")
            resource = next((r for r in site.server.resources if r.api_version == api_version and r.kind == kind), None)
            if resource is None or "create" not in resource.verbs:
                continue
            path = resource.path("default" if resource.namespaced else "")
            golden = base64.b64decode(case["protobuf"])
            for _ in range(3):
                answer = await wire.ask("POST", path, damaged(golden, noise), **INSIST)
                # The one 500 is the real server's own answer to an object that brings a version.
                known = b"resourceVersion should not be set" in answer.body
                assert answer.code in (201, 400, 403, 404, 405, 409, 413, 415, 422) or known, (case["kind"], answer.code, answer.body)

    run(test)


def damaged(golden: bytes, noise: random.Random) -> bytes:
    data = bytearray(golden)
    for _ in range(noise.randint(1, 6)):
        at = noise.randrange(4, len(data))
        if noise.random() < 0.3:
            del data[at:]
            data += noise.randbytes(noise.randint(0, 8))
        else:
            data[at] = noise.randrange(256)
    return bytes(data)


def test_patches_are_never_protobuf() -> None:
    async def test(site: HttpSite) -> None:
        assert (await site.ask("PATCH", CONFIG_MAPS + "/m", CONFIG_MAP, **TYPED)).code == 415

    run(test)


def test_objects_with_every_field_get_an_answer() -> None:
    """Most are refused by validation; none is more than the server can bear."""
    lines = (Path(__file__).parent.parent / "kinds" / "protobuf" / "zero.jsonl").read_text().splitlines()

    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for case in map(json.loads, lines):
            api_version, _, kind = case["kind"].rpartition("/")
            resource = next((r for r in site.server.resources if r.api_version == api_version and r.kind == kind), None)
            if resource is not None:
                path = resource.path("default" if resource.namespaced else "")
                answer = await wire.ask("POST", path, base64.b64decode(case["protobuf"]), **TYPED)
                assert answer.code in (201, 400, 403, 405, 422), (case["kind"], answer.obj)

    run(test)
