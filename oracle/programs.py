"""Upstream's programs as child processes: found in one folder, started with a log of their own, ended with a block.

Used by tests, benchmarks and tools; knows nothing of Lightship. The folder is the one that KUBEBUILDER_ASSETS names (the convention of
controller-runtime's envtest), or `.oracle/bin`, where `oracle/build` puts what it builds.
"""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

BUILT = Path(__file__).resolve().parent.parent / ".oracle" / "bin"
STOP_SECONDS = 5.0
GATES = ("GenericWorkload", "GangScheduling", "TopologyAwareWorkloadScheduling", "WorkloadAwarePreemption")
"""Features that upstream leaves off and we have on: native gangs. See docs/differences.md."""
GANGS = ("--runtime-config", "scheduling.k8s.io/v1alpha2=true", "--feature-gates", ",".join(f"{gate}=true" for gate in GATES))
"""Arguments of a kube-apiserver that serves what ours serves."""


def folder() -> Path:
    """Where the programs are expected; it need not exist."""
    return Path(os.environ.get("KUBEBUILDER_ASSETS") or BUILT)


def missing(*names: str) -> list[str]:
    """Those of the programs that are not there."""
    return [name for name in names if not os.access(folder() / name, os.X_OK)]


def free_port() -> int:
    """One that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One running program and its log; `program` is where it is, if not among upstream's."""

    def __init__(self, name: str, arguments: list[str], directory: Path, env: dict[str, str] | None = None, program: str = "") -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                [program or str(folder() / name), *arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def ended(self) -> int | None:
        """The exit code, None while it runs."""
        return self._child.poll()

    def end_of_log(self, characters: int = 3000) -> str:
        return self.log.read_text(errors="replace")[-characters:]

    def wait(self, seconds: float) -> None:
        """Let that much time pass, less where it ends before."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)

    def stop(self) -> None:
        """Ask it to end, then make it."""
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory for the logs and certificates of a run."""
    with tempfile.TemporaryDirectory(prefix="lightship-oracle-") as name:
        yield Path(name)


@contextmanager
def running(name: str, arguments: list[str], directory: Path, env: dict[str, str] | None = None, *, program: str = "") -> Iterator[Process]:
    """The program for the length of a block."""
    with ExitStack() as stack:
        process = Process(name, arguments, directory, env, program)
        stack.callback(process.stop)
        yield process


def etcd(directory: Path, client: str, peer: str) -> list[str]:
    """Arguments of an etcd for a test: nothing is synced to disk."""
    return [
        *("--data-dir", str(directory / "etcd"), "--log-level", "error", "--unsafe-no-fsync"),
        *("--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer),
        *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
    ]


def apiserver(directory: Path, etcd: str, port: int) -> list[str]:
    """Arguments of a kube-apiserver; the directory holds `tokens.csv`, `sa.key` and `sa.pub`."""
    return [
        *("--etcd-servers", etcd, "--secure-port", str(port), "--bind-address", "127.0.0.1", "--cert-dir", str(directory / "certs")),
        *("--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", str(directory / "sa.pub")),
        *("--service-account-signing-key-file", str(directory / "sa.key"), "--authorization-mode", "Node,RBAC"),
        *("--token-auth-file", str(directory / "tokens.csv"), "--service-cluster-ip-range", "10.0.0.0/24"),
        *GANGS,
    ]


def kwok(kubeconfig: Path, stages: Path, *, port: int, only: Mapping[str, str] | None = None) -> list[str]:
    """Arguments of a kwok that plays every node, or those with `only` these annotations, by the stages in that file."""
    which = "--manage-nodes-with-annotation-selector=" + ",".join(f"{key}={value}" for key, value in only.items()) if only else ""
    return [
        *("--kubeconfig", str(kubeconfig), "--config", str(stages), which or "--manage-all-nodes"),
        *("--node-lease-duration-seconds", "40", "--server-address", f"127.0.0.1:{port}"),
    ]


def controller_manager(kubeconfig: Path, directory: Path, *, port: int, controllers: str = "*", flags: tuple[str, ...] = ()) -> list[str]:
    """Arguments of a kube-controller-manager on any API server; `controllers` as its own flag takes it."""
    return [
        *("--kubeconfig", str(kubeconfig), "--authentication-kubeconfig", str(kubeconfig), "--authorization-kubeconfig", str(kubeconfig)),
        *("--secure-port", str(port), "--bind-address", "127.0.0.1", "--cert-dir", str(directory / "kcm-certs"), "--leader-elect=false"),
        *("--controllers", controllers),
        *flags,
    ]


def scheduler(kubeconfig: Path, directory: Path, *, port: int, flags: tuple[str, ...] = ()) -> list[str]:
    """Arguments of a kube-scheduler on any API server."""
    return [
        *("--kubeconfig", str(kubeconfig), "--authentication-kubeconfig", str(kubeconfig), "--authorization-kubeconfig", str(kubeconfig)),
        *("--secure-port", str(port), "--bind-address", "127.0.0.1", "--cert-dir", str(directory / "scheduler-certs")),
        "--leader-elect=false",
        *flags,
    ]
