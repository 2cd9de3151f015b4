"""Upstream's programs around one API server, each with the identity and the rights that it is installed with.

Tests build a world in the fixture of a module, benchmarks for a run; it ends with its block. Nodes are played by kwok;
webhooks are called on this machine.
"""

import base64
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from oracle import manifests, programs, servers
from oracle.certificates import webhook_files
from oracle.reading import Reader

Obj = dict[str, Any]

BASE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok")
NODES = 3
ATTEMPTS = 20
MANAGER_FLAGS = (
    *("--use-service-account-credentials", "--kube-api-qps=2000", "--kube-api-burst=4000"),
    "--horizontal-pod-autoscaler-sync-period=1s",
)
"""A kube-controller-manager in no less a hurry than ours: it neither counts its requests nor waits for its next look."""
T = TypeVar("T")


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
    visibility: int


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
    config["visibilityServer"] = {"bindAddress": "127.0.0.1", "bindPort": ports.visibility}
    config["leaderElection"]["resourceNamespace"] = "kueue-system"


def _lws(config: Obj, ports: Ports, certificates: Path) -> None:
    config["health"] = {"healthProbeBindAddress": f"127.0.0.1:{ports.health}"}
    config["metrics"] = {"bindAddress": "0"}
    config["webhook"] = {"port": ports.webhook, "host": "127.0.0.1", "certDir": str(certificates)}
    config["internalCertManagement"] = {"enable": False}
    config["leaderElection"]["resourceNamespace"] = "lws-system"


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
LWS = Operator("lws", ("lws",), "lws-system", "lws-controller-manager", "lws-webhook-service", _lws)


class World:
    """One API server and the programs around it."""

    def __init__(self, server: servers.Server, stack: ExitStack) -> None:
        self.server = server
        self.reader = Reader(server.kubeconfig)
        stack.callback(self.reader.close)
        self._directory = server.directory
        self._stack = stack
        self.running: dict[str, programs.Process] = {}

    def start(self, name: str, arguments: list[str], env: dict[str, str] | None = None, *, program: str = "") -> programs.Process:
        self.running[name] = self._stack.enter_context(programs.running(name, arguments, self._directory, env, program=program))
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

    def furnish(self, *operators: Operator, manager: bool = True) -> None:
        """The control plane and these operators, started at once: none needs another to start."""
        with ThreadPoolExecutor() as pool:
            begun = [pool.submit(self.control_plane, manager=manager), *(pool.submit(self.operator, operator) for operator in operators)]
        for each in begun:
            each.result()

    def control_plane(self, *, manager: bool = True) -> None:
        """kube-controller-manager with a ServiceAccount for each controller (unless the server brings its own), kube-scheduler, and kwok
        with some nodes."""
        if manager:
            arguments = programs.controller_manager(
                self.server.acting_as("system:kube-controller-manager"),
                self._directory,
                port=programs.free_port(),
                flags=MANAGER_FLAGS,
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
        ports = Ports(*(programs.free_port() for _ in range(3)))
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
def world(kind: str, *, controllers: str = "none", flags: Sequence[str] = ("--scheduler=none",)) -> Iterator[World]:
    with ExitStack() as stack:
        directory = stack.enter_context(programs.workplace())
        server = stack.enter_context(servers.started(kind, directory, controllers=controllers, flags=flags))
        keep = os.environ.get("LIGHTSHIP_UPSTREAM_LOGS")
        found = World(server, stack)
        if keep:
            stack.callback(_keep_logs, found, Path(keep))
        yield found


def together(work: Callable[[World], T], found: Sequence[World]) -> list[T]:
    """What comes of it in each of these worlds, done in all of them at once."""
    with ThreadPoolExecutor(len(found)) as pool:
        return list(pool.map(work, found))


@contextmanager
def pair(
    *, controllers: str = "*", flags: Sequence[str] = ("--scheduler=none",), operator: Operator | None = None
) -> Iterator[list[World]]:
    """Our controllers on our server, and upstream's with that operator on the real one; kube-scheduler and kwok in both."""

    def start(kind: str) -> World:
        found = stack.enter_context(world(kind, controllers=controllers, flags=flags))
        found.furnish(*([operator] if operator and kind == servers.REAL else []), manager=kind == servers.REAL)
        return found

    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(start, (servers.OURS, servers.REAL)))
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
