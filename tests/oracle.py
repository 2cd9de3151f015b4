"""A real kube-apiserver with its etcd, to hold our own against: started once per test run, when KUBEBUILDER_ASSETS names their folder.

Tests that use it carry the marker `oracle`. What a test changes it must change in a namespace of its own.
"""

import atexit
import contextlib
import functools
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from lightship.client.credentials import Token
from lightship.client.http import HttpTransport
from oracle import programs

BUILT = Path(__file__).resolve().parent.parent / ".oracle" / "bin"
"""Where `oracle/build` puts the programs."""
ASSETS = os.environ.get("KUBEBUILDER_ASSETS") or (str(BUILT) if BUILT.is_dir() else "")
PROGRAMS = ("etcd", "kube-apiserver")
AVAILABLE = bool(ASSETS) and all((Path(ASSETS) / program).exists() for program in PROGRAMS)
TOKEN = "oracle-token"
START_SECONDS = 120

marks = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.skipif(not AVAILABLE, reason="KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver"),
]
"""What a parameter or test that needs the real server is marked with."""


class Oracle:
    """A running server: its address, and transports to it for its administrator."""

    def __init__(self, server: str, ca: str) -> None:
        self.server = server
        self.ca = ca

    def transport(self) -> HttpTransport:
        context = ssl.create_default_context(cadata=self.ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return HttpTransport(self.server, tls=context, credentials=Token(TOKEN))


@functools.cache
def running(*, accounts: bool = False) -> Oracle:
    """The server, started on first use and stopped with the test run; with `accounts` another one, whose pods need ServiceAccounts."""
    folder = tempfile.TemporaryDirectory(prefix="oracle-")
    atexit.register(folder.cleanup)
    home = Path(folder.name)
    client_port, peer_port, port = _free_ports(3)
    _write_keys(home)
    etcd = f"http://127.0.0.1:{client_port}"
    peer = f"http://127.0.0.1:{peer_port}"
    _start(
        *("etcd", "--data-dir", home / "etcd", "--log-level", "error", "--unsafe-no-fsync"),
        *("--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer),
        *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
        log=home / "etcd.log",
    )
    apiserver = _start(
        *("kube-apiserver", "--etcd-servers", etcd, "--secure-port", port, "--bind-address", "127.0.0.1", "--cert-dir", home / "certs"),
        *("--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", home / "sa.pub"),
        *("--service-account-signing-key-file", home / "sa.key", "--authorization-mode", "RBAC"),
        *("--token-auth-file", home / "tokens.csv", "--service-cluster-ip-range", "10.0.0.0/24"),
        *(() if accounts else ("--disable-admission-plugins", "ServiceAccount")),
        *("--min-request-timeout", "300", "--allow-privileged=true", *programs.GANGS),
        log=home / "kube-apiserver.log",
    )
    server = f"https://127.0.0.1:{port}"
    certificate = home / "certs" / "apiserver.crt"
    _wait_ready(server, certificate, apiserver, home / "kube-apiserver.log")
    return Oracle(server, certificate.read_text())


def _start(program: str, *arguments: str | int | Path, log: Path) -> "subprocess.Popen[bytes]":
    command = [str(Path(ASSETS) / program), *map(str, arguments)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    def stop() -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()

    atexit.register(stop)
    return process


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports


def _write_keys(home: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (home / "sa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    (home / "sa.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (home / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')


def _wait_ready(server: str, certificate: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Poll /readyz, as there is nobody to be told by; an early death ends the wait."""
    request = urllib.request.Request(f"{server}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            context = ssl.create_default_context(cafile=certificate)
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            with urllib.request.urlopen(request, timeout=2, context=context) as answer:
                if answer.read() == b"ok":
                    return
        except (OSError, urllib.error.URLError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
                break
    raise RuntimeError(f"kube-apiserver was not ready within {START_SECONDS} s; its log ends:\n{log.read_text()[-2000:]}")
