"""How fast a pod's output reaches a client that follows its log, and what that costs: beside the same program piped into `cat`.

    python -m benchmarks.log_throughput [--rounds 5] [--megabytes 512] [--width 80]

The program prints lines of one width as fast as they are taken. Bare: through a pipe into `cat` and on to this program. Ours: in a pod,
whose log is followed over HTTPS by this program, from the first byte to the last; nothing of it may be missing. Where conmon is installed,
which writes the logs of CRI-O and podman: into a log of the same format by it, read by nobody. All take turns.
Processor time is that of the platform's process, all threads of it, for one GiB of output.
"""

import argparse
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes
import yaml

from benchmarks.report import Series, machine, table
from benchmarks.startup import platform, wait_for

GIB = 2**30
PROGRAM = "yes {line} | head -c {size}"


def script(megabytes: int, width: int) -> tuple[str, int]:
    """(what the shell is to run, how many bytes it prints)."""
    size = megabytes * 2**20 // width * width
    return PROGRAM.format(line="x" * (width - 1), size=size), size


def bare(command: str, size: int) -> float:
    """Bytes per second through a pipe and `cat`."""
    begun = time.monotonic()
    with subprocess.Popen(["sh", "-c", f"({command}) | cat"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        got = 0
        while data := process.stdout.read(1 << 20):
            got += len(data)
    assert got == size, f"{got} of {size} bytes came"
    return size / (time.monotonic() - begun)


RUNTIME = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = --pid-file ] && file=$2; shift; done
sh -c "$PROGRAM" & echo $! > "$file"
"""
"""All of an OCI runtime that conmon needs."""


def conmon(command: str, size: int) -> float:
    """Bytes per second into a log that conmon writes."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "runtime").write_text(RUNTIME)
        (directory / "runtime").chmod(0o755)
        for made in ("bundle", "sockets"):
            (directory / made).mkdir()
        begun = time.monotonic()
        where = f"-r {name}/runtime -b {name}/bundle -p {name}/pid -l k8s-file:{name}/log --exit-dir {name} --persist-dir {name}"
        subprocess.run(
            ["conmon", "--sync", "-c", "talker", "-u", "talker", "-n", "talker", *where.split(), "--socket-dir-path", f"{name}/sockets"],
            env={**os.environ, "PROGRAM": command},
            capture_output=True,
            check=True,
        )
        wait_for((directory / "talker").exists, 300)  # the exit code is there once all has been written
        took = time.monotonic() - begun
        got = (directory / "log").stat().st_size
    assert got > size, f"{got} bytes of log for {size} of output"
    return size / took


def followed(core: Any, kubeconfig: Path, pid: int, name: str, command: str, size: int) -> tuple[float, float]:
    """(bytes per second to a client that follows, seconds of the platform's processor time per GiB)."""
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", f"read go; {command}"], "stdin": True, "stdinOnce": True}
    core.create_namespaced_pod("default", {"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [container]}})
    wait_for(lambda: core.read_namespaced_pod(name, "default").status.phase == "Running")
    connection, headers = _connection(kubeconfig)
    connection.request("GET", f"/api/v1/namespaces/default/pods/{name}/log?follow=true", headers=headers)
    go = kubernetes.stream.stream(
        core.connect_get_namespaced_pod_attach, name, "default", stdin=True, stdout=False, stderr=True, _preload_content=False
    )
    before, begun = _processor_time(pid), time.monotonic()
    go.write_stdin("\n")
    answer, got = connection.getresponse(), 0
    while data := answer.read1(1 << 20):
        got += len(data)
    took, spent = time.monotonic() - begun, _processor_time(pid) - before
    go.close()
    connection.close()
    core.delete_namespaced_pod(name, "default", grace_period_seconds=0)
    assert got == size, f"{got} of {size} bytes came"
    return size / took, spent * GIB / size


def _connection(kubeconfig: Path) -> tuple[http.client.HTTPSConnection, dict[str, str]]:
    """A plain connection: what the client itself costs should not be what is measured."""
    config = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=config)
    context = ssl.create_default_context(cafile=config.ssl_ca_cert)
    if config.cert_file:
        context.load_cert_chain(config.cert_file, config.key_file)
    where = urlsplit(yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    token = config.api_key.get("authorization")
    return http.client.HTTPSConnection(where.hostname or "", where.port, context=context), {"Authorization": token} if token else {}


def _processor_time(pid: int) -> float:
    """Seconds, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--width", type=int, default=80, help="bytes of a line")
    options = parser.parse_args()
    command, size = script(options.megabytes, options.width)
    piped, ours, ratio, cost = (Series(name) for name in ("cat, MB/s", "followed log, MB/s", "ratio to cat", "processor, s/GiB"))
    peer, above = Series("conmon's log, not followed, MB/s"), Series("ratio to conmon")
    with platform() as (status, _):
        kubeconfig = Path(status["kubeconfig"])
        core = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(kubeconfig)))
        for number in range(options.rounds):
            piped.add(bare(command, size) / 1e6)
            speed, spent = followed(core, kubeconfig, int(status["pid"]), f"talker-{number}", command, size)
            ours.add(speed / 1e6)
            cost.add(spent)
            ratio.add(ours.values[-1] / piped.values[-1])
            if shutil.which("conmon"):
                peer.add(conmon(command, size) / 1e6)
                above.add(ours.values[-1] / peer.values[-1])
    print(machine())
    print(json.dumps({"megabytes": options.megabytes, "width": options.width}))
    print(table([series for series in (piped, peer, ours, ratio, above, cost) if series.values]))


if __name__ == "__main__":
    main()
