"""Protobuf over HTTP: bodies of built-in kinds come in, answers are JSON, and everything else is refused as before."""

import base64
import json
from pathlib import Path

import pytest

from lightship.kinds import protobuf

from .http_site import HttpSite, run

PROTOBUF = protobuf.MEDIA_TYPE
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
        pytest.param({"accept": PROTOBUF}, CONFIG_MAP, 406, "only the following media types", id="protobuf only"),
        pytest.param({}, CONFIG_MAP[:-1], 400, "must be of type ConfigMap.*not protobuf: runtime.Unknown at byte", id="cut short"),
        pytest.param({}, b'{"kind":"ConfigMap"}', 400, "does not begin with", id="JSON"),
        pytest.param({}, b"", 400, "does not begin with", id="empty"),
        pytest.param({}, body("a.b/v1", "C", b""), 415, 'kind "C" in version "a.b/v1".*send application/json', id="custom kind"),
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
                assert answer.code in (201, 400, 422), (case["kind"], answer.obj)

    run(test)
