"""Upstream's programs around one API server, each with the identity and the rights that it is installed with.

A world is built by the fixture of a module and ends with it. Nodes are played by kwok; webhooks are called on this machine.
"""

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from oracle import manifests, programs, servers
from tests.upstream.certificates import webhook_files

Obj = dict[str, Any]

BASE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok")
NODES = 3
ATTEMPTS = 20


def marks(*needed: str, files: tuple[str, ...] = ()) -> list[Any]:
    """What a module of tests of those programs is marked with."""
    absent = [*programs.missing(*BASE, *needed), *manifests.missing("kwok", "stages", *files)]
    return [
        pytest.mark.oracle,
        pytest.mark.slow,
        pytest.mark.skipif(bool(absent), reason=f"`oracle/build` makes what is missing: {', '.join(absent)}"),
    ]


@dataclass(frozen=True)
class Operator:
    """How a manager is installed: its files, its home, and the names that it has there."""

    name: str
    files: tuple[str, ...]
    namespace: str
    account: str
    service: str
    configure: Callable[[Obj, "Ports", Path], None]


@dataclass(frozen=True)
class Ports:
    health: int
    webhook: int


def _jobset(config: Obj, ports: Ports, certificates: Path) -> None:
    config["health"] = {"healthProbeBindAddress": f"127.0.0.1:{ports.health}"}
    config["metrics"] = {"bindAddress": "0"}
    config["webhook"] = {"port": ports.webhook, "host": "127.0.0.1", "certDir": str(certificates)}
    config["internalCertManagement"] = {"enable": False}
    config["leaderElection"]["resourceNamespace"] = "jobset-system"


def _trainer(config: Obj, ports: Ports, certificates: Path) -> None:
    config["health"]["healthProbeBindAddress"] = f"127.0.0.1:{ports.health}"
    config["metrics"] = {"bindAddress": "0"}
    config["webhook"] = {"port": ports.webhook, "host": "127.0.0.1"}
    config["certManagement"] = {"enable": False}
    config["leaderElection"]["resourceNamespace"] = "kubeflow-system"


def _kueue(config: Obj, ports: Ports, certificates: Path) -> None:
    config["health"]["healthProbeBindAddress"] = f"127.0.0.1:{ports.health}"
    config["metrics"]["bindAddress"] = "0"
    config["webhook"] = {"port": ports.webhook, "host": "127.0.0.1", "certDir": str(certificates)}
    config["leaderElection"]["resourceNamespace"] = "kueue-system"


JOBSET = Operator("jobset", ("jobset",), "jobset-system", "jobset-controller-manager", "jobset-webhook-service", _jobset)
TRAINER = Operator(
    "trainer",
    ("trainer",),
    "kubeflow-system",
    "kubeflow-trainer-controller-manager",
    "kubeflow-trainer-controller-manager",
    _trainer,
)
KUEUE = Operator("kueue", ("kueue",), "kueue-system", "kueue-controller-manager", "kueue-webhook-service", _kueue)


class World:
    """One API server and the programs around it."""

    def __init__(self, server: servers.Server, stack: ExitStack) -> None:
        self.server = server
        self._directory = server.directory
        self._stack = stack
        self.running: dict[str, programs.Process] = {}

    def start(self, name: str, arguments: list[str], env: dict[str, str] | None = None) -> programs.Process:
        self.running[name] = self._stack.enter_context(programs.running(name, arguments, self._directory, env))
        return self.running[name]

    def apply(self, objects: list[Obj]) -> None:
        """Definitions first, and only when they are served what may be of their kinds."""
        first = [obj for obj in objects if obj["kind"] in ("Namespace", manifests.DEFINITION)]
        self._apply(first)
        names = [f"crd/{obj['metadata']['name']}" for obj in first if obj["kind"] == manifests.DEFINITION]
        if names:
            self._established(names)
        self._apply([obj for obj in objects if obj not in first])

    def _established(self, names: list[str]) -> None:
        """Wait for definitions; again where kubectl came upon one that had no conditions yet, which it cannot cope with."""
        for attempt in range(ATTEMPTS):
            try:
                self.server.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
            except RuntimeError as error:
                if "accessor error" not in str(error) or attempt == ATTEMPTS - 1:
                    raise
            else:
                return

    def _apply(self, objects: list[Obj]) -> None:
        if objects:
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
            self.server.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=text)

    def control_plane(self, *, manager: bool = True) -> None:
        """kube-controller-manager with a ServiceAccount for each controller (unless the server brings its own), kube-scheduler, and kwok
        with some nodes."""
        if manager:
            arguments = programs.controller_manager(
                self.server.acting_as("system:kube-controller-manager"),
                self._directory,
                port=programs.free_port(),
                flags=("--use-service-account-credentials",),
            )
            self.start("kube-controller-manager", arguments)
        scheduler = self.server.acting_as("system:kube-scheduler")
        self.start("kube-scheduler", programs.scheduler(scheduler, self._directory, port=programs.free_port()))
        self.apply(manifests.read("kwok"))
        account = self.server.account("kube-system", "kwok-controller")
        self.start("kwok", programs.kwok(account, manifests.FOLDER / "stages.yaml", port=programs.free_port()))
        self.apply([node(f"node-{number}") for number in range(NODES)])
        self.server.kubectl("wait", "nodes", "--all", "--for=condition=Ready", "--timeout=90s", seconds=100)

    def operator(self, operator: Operator) -> None:
        """Install it and wait until it says that it is ready."""
        home = self._directory / operator.name
        certificates = home / "k8s-webhook-server" / "serving-certs"
        certificates.mkdir(parents=True)
        files = webhook_files(f"{operator.service}.{operator.namespace}.svc", f"{operator.name}-ca")
        for name, content in files.items():
            (certificates / name).write_bytes(content)
        ports = Ports(programs.free_port(), programs.free_port())
        objects = [obj for name in operator.files for obj in manifests.read(name)]
        config = manifests.setting(objects)
        operator.configure(config, ports, certificates)
        (home / "config.yaml").write_text(yaml.safe_dump(config))
        installed = manifests.installed(objects, ports.webhook, files["ca.crt"])
        for obj in installed:
            if obj["kind"] == "Secret":
                obj["data"] = {name: base64.b64encode(content).decode() for name, content in files.items()}
        self.apply(installed)
        account = self.server.account(operator.namespace, operator.account)
        arguments = ["--config", str(home / "config.yaml"), "--kubeconfig", str(account), "--zap-log-level=2"]
        process = self.start(operator.name, arguments, {"TMPDIR": str(home)})
        servers.wait_ready(f"http://127.0.0.1:{ports.health}/readyz", process)

    def wait(self, what: str, condition: str, *, namespace: str = "default", seconds: int = 90) -> None:
        """Wait for it by watching; the programs' last words come with a failure."""
        arguments = ("wait", "-n", namespace, *what.split(), f"--for={condition}", f"--timeout={seconds}s")
        try:
            self.server.kubectl(*arguments, seconds=seconds + 30)
        except RuntimeError as error:
            logs = "\n".join(f"--- {name}:\n{process.end_of_log(1500)}" for name, process in self.running.items())
            raise AssertionError(f"{error}\n{logs}") from None

    def dead(self) -> list[str]:
        """Programs that have ended by themselves."""
        return [name for name, process in self.running.items() if process.ended is not None]


@contextmanager
def world(kind: str, *, controllers: str = "none") -> Iterator[World]:
    with programs.workplace() as directory, servers.started(kind, directory, controllers=controllers) as server, ExitStack() as stack:
        keep = os.environ.get("LIGHTSHIP_UPSTREAM_LOGS")
        found = World(server, stack)
        if keep:
            stack.callback(_keep_logs, found, Path(keep))
        yield found


def _keep_logs(found: World, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, process in found.running.items():
        (folder / f"{found.server.name}-{name}.log").write_bytes(process.log.read_bytes())
    platform = found.server.kubeconfig.parent / "lightship.log"
    if platform.exists():
        (folder / platform.name).write_bytes(platform.read_bytes())


def node(name: str) -> Obj:
    """A node for kwok to play."""
    room = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"capacity": room, "allocatable": room},
    }
