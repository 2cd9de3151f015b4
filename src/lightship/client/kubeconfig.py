"""Which cluster, and who we are there: kubeconfig files as kubectl reads and writes them, and the identity of a pod.

`main` and the command line call it to build a transport. Refuses what it cannot do (exec plugins, auth providers, passwords) by name
instead of failing later with a 401. Contract: clientcmd v1 Config; client-go rest.InClusterConfig.
"""

import base64
import binascii
import contextlib
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from lightship.aio.clock import Clock, SystemClock
from lightship.client.credentials import Credentials, Token, TokenFile
from lightship.client.http import HttpTransport
from lightship.meta.objects import Obj

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(ValueError):
    """A kubeconfig that is missing, malformed, or asks for what we cannot do. The message says what was found and what to do."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """One server and one identity there; certificates and keys are PEM text."""

    server: str
    namespace: str = "default"
    context: str = ""
    ca: str = ""
    insecure: bool = False
    server_name: str = ""
    token: str = ""
    token_file: str = ""
    client_certificate: str = ""
    client_key: str = ""

    def tls(self) -> ssl.SSLContext | None:
        """The TLS settings, None for plain http. Raises `KubeconfigError` when a certificate or key is none."""
        if not self.server.startswith("https:"):
            return None
        try:
            context = ssl.create_default_context(cadata=self.ca or None)
            if self.client_certificate:
                _load_client_certificate(context, self.client_certificate, self.client_key)
        except (ssl.SSLError, ValueError) as error:
            raise KubeconfigError(f"a certificate or key for {self.server} cannot be used: {error}") from error
        # Python 3.13 wants extensions that the certificates of many clusters do not have; Go never asked for them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def credentials(self, clock: Clock) -> Credentials:
        if self.token_file:
            return TokenFile(Path(self.token_file), clock)
        return Token(self.token)

    def transport(self, *, clock: Clock | None = None, user_agent: str = "lightship") -> HttpTransport:
        """A transport to this cluster as this user."""
        clock = clock or SystemClock()
        return HttpTransport(
            self.server,
            tls=self.tls(),
            server_name=self.server_name,
            credentials=self.credentials(clock),
            clock=clock,
            user_agent=user_agent,
        )


def load(path: str | Path | None = None, *, context: str = "", environ: Mapping[str, str] | None = None) -> Cluster:
    """The cluster that kubectl would talk to: `path`, or the files of $KUBECONFIG, or ~/.kube/config; there `context` or the current one.

    Raises `KubeconfigError`.
    """
    files = _files(path, os.environ if environ is None else environ)
    merged = _merge([(file, _read(file)) for file in files if file.exists()])
    if not merged.files:
        asked = ", ".join(map(str, files))
        raise KubeconfigError(f"no kubeconfig found (looked for {asked}): start a cluster, pass a path or set KUBECONFIG")
    return _resolve(merged, context)


def in_cluster(*, environ: Mapping[str, str] | None = None, directory: Path = SERVICE_ACCOUNT) -> Cluster:
    """The cluster that this pod runs in, as its ServiceAccount. Raises `KubeconfigError` outside of one."""
    environ = os.environ if environ is None else environ
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    token_file, ca_file, namespace_file = directory / "token", directory / "ca.crt", directory / "namespace"
    if not host or not port or not token_file.exists():
        raise KubeconfigError(
            f"not inside a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be set and {token_file} must exist"
        )
    return Cluster(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=namespace_file.read_text().strip() if namespace_file.exists() else "default",
        context="in-cluster",
        ca=ca_file.read_text() if ca_file.exists() else "",
        token_file=str(token_file),
    )


def render(server: str, ca_pem: str | bytes, token: str, namespace: str = "default", name: str = "lightship") -> Obj:
    """A kubeconfig with one cluster, user and context, all called `name`."""
    ca = ca_pem.encode() if isinstance(ca_pem, str) else ca_pem
    cluster: Obj = {"server": server}
    if ca:
        cluster["certificate-authority-data"] = base64.b64encode(ca).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
        "preferences": {},
    }


def save(config: Obj, path: Path) -> None:
    """Write a kubeconfig that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # created with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file, sort_keys=False)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


class _Merged(msgspec.Struct):
    """Several files as one: of each name the first that has it counts. Every entry remembers the folder that its paths start from."""

    files: list[Path] = []
    current: str = ""
    clusters: dict[str, tuple[Obj, Path]] = {}
    users: dict[str, tuple[Obj, Path]] = {}
    contexts: dict[str, tuple[Obj, Path]] = {}


def _files(path: str | Path | None, environ: Mapping[str, str]) -> list[Path]:
    if path is not None:
        return [Path(path).expanduser()]
    listed = [Path(part) for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return listed or [Path(environ.get("HOME") or Path.home()) / ".kube" / "config"]


def _read(path: Path) -> Obj:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"kubeconfig {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise KubeconfigError(f"kubeconfig {path} is not a Config: it holds a {type(found).__name__}")
    return found


def _merge(configs: list[tuple[Path, Obj]]) -> _Merged:
    merged = _Merged()
    for path, config in configs:
        merged.files.append(path)
        merged.current = merged.current or config.get("current-context") or ""
        for entries, plural, singular in (
            (merged.clusters, "clusters", "cluster"),
            (merged.users, "users", "user"),
            (merged.contexts, "contexts", "context"),
        ):
            for entry in config.get(plural) or []:
                entries.setdefault(entry.get("name", ""), (entry.get(singular) or {}, path.parent))
    return merged


def _resolve(merged: _Merged, wanted: str) -> Cluster:
    files = ", ".join(map(str, merged.files))
    name = wanted or merged.current
    if not name:
        raise KubeconfigError(f"kubeconfig {files} has no current-context: choose one with --context ({_choices(merged.contexts)})")
    context, _ = _entry(merged.contexts, name, "context", files)
    cluster, cluster_folder = _entry(merged.clusters, context.get("cluster", ""), "cluster", files)
    user, user_folder = _entry(merged.users, context["user"], "user", files) if context.get("user") else ({}, Path())
    _refuse(user, context.get("user", ""))
    if not cluster.get("server"):
        raise KubeconfigError(f'cluster "{context["cluster"]}" in kubeconfig {files} names no server')
    token_file = user.get("tokenFile") or ""
    return Cluster(
        server=cluster["server"],
        namespace=context.get("namespace") or "default",
        context=name,
        ca=_pem(cluster, "certificate-authority", cluster_folder),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name") or "",
        token=user.get("token") or "",
        token_file=str(user_folder / token_file) if token_file else "",
        client_certificate=_pem(user, "client-certificate", user_folder),
        client_key=_pem(user, "client-key", user_folder),
    )


def _entry(entries: dict[str, tuple[Obj, Path]], name: str, what: str, files: str) -> tuple[Obj, Path]:
    if name not in entries:
        raise KubeconfigError(f'{what} "{name}" is not in kubeconfig {files}: it has {_choices(entries)}')
    return entries[name]


def _choices(entries: Mapping[str, Any]) -> str:
    return ", ".join(sorted(entries)) or "none"


def _refuse(user: Obj, name: str) -> None:
    """Ways to log in that we cannot follow are an error here rather than a 401 later."""
    if user.get("exec"):
        command = user["exec"].get("command", "?")
        raise KubeconfigError(
            f'user "{name}" logs in with the program "{command}", which is not supported: use a token or client certificate'
        )
    if user.get("auth-provider"):
        raise KubeconfigError(f'user "{name}" logs in with an auth-provider, which is not supported: use a token or client certificate')
    if user.get("username"):
        raise KubeconfigError(f'user "{name}" logs in with a password, which is not supported: use a token or client certificate')


def _pem(entry: Obj, field: str, folder: Path) -> str:
    """`<field>-data` in base64, or the file that `<field>` names, relative to its kubeconfig."""
    data, file = entry.get(f"{field}-data"), entry.get(field)
    try:
        if data:
            return base64.b64decode(data, validate=True).decode("ascii")
        return (folder / file).read_text(encoding="ascii") if file else ""
    except (OSError, binascii.Error, UnicodeDecodeError) as error:
        raise KubeconfigError(f"{field} in the kubeconfig cannot be read: {error}") from error


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """The ssl module takes client certificates from files only: one that is ours alone and gone at once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "client.pem"
        path.touch(mode=0o600)
        path.write_text(f"{certificate.strip()}\n{key.strip()}\n", encoding="ascii")
        context.load_cert_chain(path)
