"""The two servers that `benchmarks.comparison` measures, each with the same users, role, namespace objects and settings.

Both serve TLS and judge by roles; both put every write on disk before they acknowledge it. `Contender` is what the measurements know of a
server: its address, a user who has all rights by a role binding, one who is an administrator, its processes.
"""

import json
import os
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.real_kubernetes import USER_TOKEN, real_api_server

_TICKS = os.sysconf("SC_CLK_TCK")
_BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "benchmark"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "benchmarks"}],
}


@dataclass
class Contender:
    """`user` is the token of somebody with a role, `admin` that of somebody who needs none."""

    name: str
    url: str
    admin: str
    pids: list[int]
    user: str = USER_TOKEN

    def cpu(self) -> float:
        """Seconds of CPU so far, of all processes."""
        return sum(cpu_of(pid) for pid in self.pids)

    def rss(self) -> float:
        """Megabytes, all processes."""
        return sum(_field(pid, "VmRSS") for pid in self.pids) / 1024

    def call(self, method: str, path: str, obj: Any = None, content_type: str = "application/json") -> bytes:
        """One request, as the administrator. Raises `urllib.error.HTTPError`."""
        headers = {"Authorization": f"Bearer {self.admin}", "Content-Type": content_type}
        data = None if obj is None else json.dumps(obj).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, context=trusting(), timeout=60) as answer:
            body: bytes = answer.read()
            return body

    def ensure(self, path: str, obj: Any) -> None:
        """Create an object that may be there."""
        try:
            self.call("POST", path, obj)
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise


def trusting() -> ssl.SSLContext:
    """TLS that checks no certificate: both servers have made theirs a moment ago."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _field(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


@contextmanager
def ours() -> Iterator[Contender]:
    """A fresh API server of ours in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        admin = "benchmark-admin"
        command = [sys.executable, "-m", "benchmarks.our_server", directory, admin]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield _prepared(Contender("lightship", process.stdout.readline().strip(), admin, [process.pid]))
        finally:
            process.terminate()
            process.wait()


@contextmanager
def theirs() -> Iterator[Contender | None]:
    """kube-apiserver with etcd; None where they are not at hand."""
    with real_api_server() as real:
        yield None if real is None else _prepared(Contender("kube-apiserver + etcd", real.url, real.token, real.pids))


def _prepared(contender: Contender) -> Contender:
    contender.ensure("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", _BINDING)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    contender.ensure("/api/v1/namespaces/default/serviceaccounts", account)
    return contender
