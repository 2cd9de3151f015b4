"""TLS: who is trusted, who we are, and what a cancelled handshake leaves behind. Real sockets on loopback."""

import asyncio
import datetime
import functools
import gc
import ipaddress
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lightship import kinds
from lightship.client import pool
from lightship.client.connection import connect
from lightship.client.kubeconfig import Cluster
from lightship.meta.errors import StatusError
from tests.client import stub
from tests.client.stub import Stub, always, ok

OBJ = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}}
NOT_BEFORE = datetime.datetime(2020, 1, 1)
NOT_AFTER = datetime.datetime(2100, 1, 1)


@functools.cache
def certificate(name: str) -> tuple[str, str]:
    """A self-signed certificate, good for `name` and 127.0.0.1, and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return built.public_bytes(Encoding.PEM).decode(), private.decode()


def server_context(folder: Path, name: str, *, clients: str = "") -> ssl.SSLContext:
    """TLS as server `name`; with `clients`, only for who has that certificate."""
    file = folder / f"{name}.pem"
    file.write_text("".join(certificate(name)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients)
    return context


async def ask(cluster: Cluster) -> object:
    transport = cluster.transport()
    try:
        return await transport.get(kinds.CONFIG_MAPS, "ns", "a")
    finally:
        await transport.close()


async def serve_and_ask(context: ssl.SSLContext, make: Callable[[Stub], Cluster]) -> object:
    async with stub.serving(always(ok(OBJ)), context) as server:
        return await ask(make(server))


def url(server: Stub) -> str:
    return f"https://127.0.0.1:{server.port}"


def test_the_given_authority_is_trusted(tmp_path: Path) -> None:
    ca, _ = certificate("server")
    assert asyncio.run(serve_and_ask(server_context(tmp_path, "server"), lambda s: Cluster(server=url(s), ca=ca))) == OBJ


def test_another_authority_is_not(tmp_path: Path) -> None:
    other, _ = certificate("other")
    with pytest.raises(StatusError, match="CERTIFICATE_VERIFY_FAILED") as failed:
        asyncio.run(serve_and_ask(server_context(tmp_path, "server"), lambda s: Cluster(server=url(s), ca=other)))
    assert isinstance(failed.value.__cause__, ssl.SSLError)


def test_unless_one_does_not_care(tmp_path: Path) -> None:
    assert asyncio.run(serve_and_ask(server_context(tmp_path, "server"), lambda s: Cluster(server=url(s), insecure=True))) == OBJ


def test_the_server_name_is_checked_and_can_be_given(tmp_path: Path) -> None:
    ca, _ = certificate("server")
    context = server_context(tmp_path, "server")
    assert asyncio.run(serve_and_ask(context, lambda s: Cluster(server=url(s), ca=ca, server_name="server"))) == OBJ
    with pytest.raises(StatusError, match="Hostname mismatch"):
        asyncio.run(serve_and_ask(context, lambda s: Cluster(server=url(s), ca=ca, server_name="elsewhere")))


def test_client_certificates(tmp_path: Path) -> None:
    ca, _ = certificate("server")
    mine, key = certificate("me")
    context = server_context(tmp_path, "server", clients=mine)
    found = asyncio.run(serve_and_ask(context, lambda s: Cluster(server=url(s), ca=ca, client_certificate=mine, client_key=key)))
    assert found == OBJ
    with pytest.raises(StatusError):
        asyncio.run(serve_and_ask(context, lambda s: Cluster(server=url(s), ca=ca)))


def test_a_server_that_speaks_no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 0.05)

    async def main() -> None:
        async with stub.serving(always(ok(OBJ))) as server:
            with pytest.raises(StatusError) as failed:
                await ask(Cluster(server=url(server), insecure=True))
            assert failed.value.code == 503

    asyncio.run(main())


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_cancelled_at_any_moment_leaves_no_socket(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Were one left, the interpreter would warn of it, and warnings are errors here. The server never answers the handshake."""
    trusted = Cluster(server="https://h", insecure=True).tls()

    async def main(port: int, turns: int) -> None:
        task = asyncio.create_task(connect("127.0.0.1", port, trusted, "server", 10))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        for turns in range(8):
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main(listening.getsockname()[1], turns))
            gc.collect()
