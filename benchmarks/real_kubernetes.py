"""The peer of the benchmarks: kube-apiserver with etcd, started on loopback from the folder that `oracle.programs` finds.

Yields None where that folder lacks a program, so that a benchmark can run without its peer and say so. Flags are
the defaults of both programs but for what a single machine needs; etcd syncs to disk, as ours does.
"""

import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oracle import programs

TOKEN = "benchmark-admin"
USER_TOKEN = "benchmark-user"
"""Of a user whose rights come from a role binding to the group `benchmarks`."""


@dataclass
class RealServer:
    url: str
    token: str
    ca: str
    pids: list[int]


def assets() -> Path | None:
    """The folder with both programs, if there is one."""
    return None if programs.missing("kube-apiserver", "etcd") else programs.folder()


@contextmanager
def real_api_server() -> Iterator[RealServer | None]:
    """Both programs, ready; ended and cleaned up with the block."""
    folder = assets()
    if folder is None:
        yield None
        return
    directory = Path(tempfile.mkdtemp(prefix="kube-bench-"))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        yield _start(folder, directory, processes)
    finally:
        for process in reversed(processes):
            process.kill()  # an apiserver that is asked politely waits a minute for an etcd that has gone; the data is thrown away
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _start(folder: Path, directory: Path, processes: list[subprocess.Popen[bytes]]) -> RealServer:
    client, peer, secure = programs.free_port(), programs.free_port(), programs.free_port()
    key = directory / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", str(key), "-pubout", "-out", str(directory / "sa.pub")], check=True, capture_output=True)
    (directory / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n{USER_TOKEN},user,user,"benchmarks"\n')
    etcd = f"--data-dir {directory}/etcd --listen-client-urls http://127.0.0.1:{client} --advertise-client-urls http://127.0.0.1:{client}"
    etcd += f" --listen-peer-urls http://127.0.0.1:{peer} --initial-advertise-peer-urls http://127.0.0.1:{peer}"
    etcd += f" --initial-cluster default=http://127.0.0.1:{peer} --log-level error"
    api = f"--etcd-servers http://127.0.0.1:{client} --secure-port {secure} --bind-address 127.0.0.1 --cert-dir {directory}/certs"
    api += f" --service-account-issuer https://kubernetes.default.svc --service-account-key-file {directory}/sa.pub"
    api += f" --service-account-signing-key-file {key} --authorization-mode RBAC --token-auth-file {directory}/tokens.csv"
    api += " --service-cluster-ip-range 10.0.0.0/24"
    for program, flags in (("etcd", etcd), ("kube-apiserver", api)):
        log = (directory / f"{program}.log").open("wb")
        processes.append(subprocess.Popen([str(folder / program), *flags.split()], stdout=log, stderr=log))
    url = f"https://127.0.0.1:{secure}"
    _wait_ready(url, processes)
    return RealServer(url, TOKEN, str(directory / "certs" / "apiserver.crt"), [process.pid for process in processes])


def _wait_ready(url: str, processes: list[subprocess.Popen[bytes]]) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(request, context=context, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            if any(process.poll() is not None for process in processes):
                raise RuntimeError("kube-apiserver or etcd ended while starting") from None
        time.sleep(0.01)
    raise TimeoutError("kube-apiserver was not ready within 60 s")
