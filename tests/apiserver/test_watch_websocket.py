"""Watches over WebSocket, in bytes: the handshakes that a kube-apiserver takes and refuses, events as messages, and both ways to end."""

import pytest

from lightship.meta import codec

from .http_site import CONFIG_MAPS, HttpSite, Wire, config_map, request, run

WATCH = f"{CONFIG_MAPS}?watch=true&resourceVersion=0"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Origin": "https://test",
}
TEXT, BINARY, CLOSE = 0x81, 0x82, 0x88


async def opened(site: HttpSite, target: str, **headers: str) -> Wire:
    wire = await site.connect()
    await wire.send(request("GET", target, **(HANDSHAKE | headers)))
    code, found = await wire.head()
    assert (code, found["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    return wire


async def message(wire: Wire) -> tuple[int, bytes]:
    kind, size = await wire.reader.readexactly(2)
    if size == 126:
        size = int.from_bytes(await wire.reader.readexactly(2), "big")
    return kind, await wire.reader.readexactly(size)


def test_each_event_is_a_message() -> None:
    async def test(site: HttpSite) -> None:
        for name in ("a", "b"):
            await site.ask("POST", CONFIG_MAPS, config_map(name))
        wire = await opened(site, f"{WATCH}&fieldSelector=metadata.name!=kube-root-ca.crt")
        await site.ask("POST", CONFIG_MAPS, config_map("c"))
        seen = []
        for _ in range(3):
            kind, data = await message(wire)
            assert (kind, data[-1:]) == (TEXT, b"\n")
            event = codec.decode(data)
            seen.append((event["type"], event["object"]["metadata"]["name"]))
        assert seen == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
        # A goodbye, masked as those of clients are.
        await wire.send(b"\x88\x82\0\0\0\0\x03\xe8")
        assert await wire.ended()

    run(test)


@pytest.mark.slow
def test_a_watch_in_protobuf_that_ends_by_itself() -> None:
    async def test(site: HttpSite) -> None:
        for name in ("a", "b"):
            await site.ask("POST", CONFIG_MAPS, config_map(name))
        wire = await opened(site, f"{WATCH}&timeoutSeconds=1", Accept="application/vnd.kubernetes.protobuf")
        for _ in range(2):
            kind, data = await message(wire)
            assert (kind, data[:7]) == (BINARY, b"\n\x05ADDED")
        assert await message(wire) == (CLOSE, b"\x03\xe8")
        assert await wire.ended()

    run(test)


@pytest.mark.parametrize(
    ("headers", "code", "body"),
    [
        ({"Origin": ""}, 403, b""),
        ({"Origin": "null"}, 403, b""),
        ({"Origin": "%%%"}, 403, b""),
        ({"Sec_WebSocket_Version": "8"}, 400, b"missing or bad WebSocket Version"),
        ({"Sec_WebSocket_Key": ""}, 400, b"mismatch challenge/response"),
        ({"Sec_WebSocket_Protocol": "base64.binary.k8s.io"}, 400, b""),
    ],
)
def test_handshakes_that_are_refused(headers: dict[str, str], code: int, body: bytes) -> None:
    async def test(site: HttpSite) -> None:
        answer = await site.ask("GET", WATCH, **(HANDSHAKE | headers))
        assert (answer.code, answer.body) == (code, body)

    run(test)


def test_what_is_no_watch_is_answered_and_what_is_wrong_refused() -> None:
    async def test(site: HttpSite) -> None:
        assert (await site.ask("GET", CONFIG_MAPS, **HANDSHAKE)).obj["kind"] == "ConfigMapList"
        refused = await site.ask("GET", f"{WATCH}&labelSelector=,,,a", **HANDSHAKE)
        assert (refused.code, refused.obj["reason"]) == (400, "BadRequest")

    run(test)
