"""An API server for upstream's programs: ours or the real one, each started afresh with an administrator's kubeconfig.

Used by tests of whole programs, which change what they like; where a few requests are compared, `tests.oracle` shares one real server.
The administrator may act as anyone, which is how a program gets an identity of its own on both.
"""

import contextlib
import json
import os
import secrets
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from oracle import programs

OURS = "ours"
REAL = "real"
START_SECONDS = 90


@dataclass(frozen=True)
class Server:
    """A running API server; `kubeconfig` is its administrator's."""

    name: str
    kubeconfig: Path
    directory: Path

    def kubectl(self, *arguments: str, text: str | None = None, seconds: float = 120) -> str:
        """What kubectl prints for the administrator. Raises `RuntimeError` with what it complains about."""
        return kubectl(self.kubeconfig, *arguments, text=text, seconds=seconds)

    def get(self, *arguments: str) -> Any:
        """`kubectl get` of one or many, as JSON."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def acting_as(self, user: str) -> Path:
        """A kubeconfig of the administrator acting as that user."""
        return self._variant(user, {"as": user})

    def account(self, namespace: str, name: str) -> Path:
        """A kubeconfig of a ServiceAccount, with a token of its own."""
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration", "1h").strip()
        return self._variant(f"{namespace}-{name}", {"token": token}, keep=False)

    def _variant(self, name: str, user: dict[str, str], *, keep: bool = True) -> Path:
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"][0]["user"] = {**(config["users"][0]["user"] if keep else {}), **user}
        path = self.directory / f"{name.replace(':', '-')}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path


def kubectl(kubeconfig: Path, *arguments: str, text: str | None = None, seconds: float = 120) -> str:
    command = [str(programs.folder() / "kubectl"), "--kubeconfig", str(kubeconfig), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()[-3000:]}")
    return done.stdout


@contextmanager
def started(kind: str, directory: Path, *, controllers: str = "*", flags: Sequence[str] = ("--scheduler=none",)) -> Iterator[Server]:
    """The server for the length of a block. `controllers` and `flags` say what ours runs besides; the real one runs nothing."""
    with _ours(directory, controllers, flags) if kind == OURS else _real(directory) as server:
        yield server


@contextmanager
def _ours(directory: Path, controllers: str, more: Sequence[str]) -> Iterator[Server]:
    environment = {**os.environ, "LIGHTSHIP_HOME": str(directory / "home")}
    command = [sys.executable, "-m", "lightship"]
    flags = ["--no-node", f"--controllers={controllers}", *more, "-o", "json"]
    up = subprocess.run([*command, "up", *flags], env=environment, capture_output=True, text=True, check=False)
    if up.returncode:
        raise RuntimeError(up.stderr)
    try:
        yield Server(OURS, Path(json.loads(up.stdout)["kubeconfig"]), directory)
    finally:
        subprocess.run([*command, "down"], env=environment, check=False, stdout=subprocess.DEVNULL)


@contextmanager
def _real(directory: Path) -> Iterator[Server]:
    port, client, peer = programs.free_port(), f"http://127.0.0.1:{programs.free_port()}", f"http://127.0.0.1:{programs.free_port()}"
    token = secrets.token_hex()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (directory / "sa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    (directory / "sa.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (directory / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    certificate = directory / "certs" / "apiserver.crt"
    with ExitStack() as stack:
        stack.enter_context(programs.running("etcd", programs.etcd(directory, client, peer), directory))
        server = stack.enter_context(programs.running("kube-apiserver", programs.apiserver(directory, client, port), directory))
        wait_ready(f"https://127.0.0.1:{port}/readyz", server, certificate=certificate, token=token)
        kubeconfig = directory / "admin.kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(port, certificate, token)))
        yield Server(REAL, kubeconfig, directory)


def _kubeconfig(port: int, certificate: Path, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "real",
        "clusters": [{"name": "real", "cluster": {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(certificate)}}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}],
    }


def wait_ready(
    url: str, process: programs.Process, *, certificate: Path | None = None, token: str = "", seconds: float = START_SECONDS
) -> None:
    """Ask until the address answers 200. Raises `RuntimeError` with the end of the program's log where it dies or takes too long."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.ended is None:
        with contextlib.suppress(OSError, urllib.error.URLError):
            with urllib.request.urlopen(request, timeout=5, context=_trust(certificate)) as answer:
                answer.read()
            return
        process.wait(0.1)
    raise RuntimeError(f"{process.name} was not ready within {seconds:.0f} s; its log ends:\n{process.end_of_log()}")


def _trust(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.create_default_context(cafile=certificate)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
