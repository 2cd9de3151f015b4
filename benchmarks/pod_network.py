"""What the pod network costs over the plain loopback of the host: throughput, latency, new connections; and what many rules cost.

    python -m benchmarks.pod_network [--rounds 5] [--rules 1000] [--seconds 1]

The same two programs talk in every case, in turn: over 127.0.0.1 outside, from pod to pod, from pod to a service's address, and these
again with `--rules` services of two endpoints and as many policies beside them. Needs Linux namespaces; says so where there are none.
"""

import argparse
import asyncio
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.report import Series, machine, table
from lightship.aio.clock import SystemClock
from lightship.meta.objects import Key
from lightship.node.network import base, services
from lightship.node.network.netfilter import Netfilter
from lightship.node.network.policies import Book
from lightship.node.network.tables import Table
from lightship.node.runtimes.runtime import ContainerSpec, SandboxSpec
from lightship.node.runtimes.sandbox import SandboxRuntime

CLOCK = SystemClock()
ADDRESS, PORT = "10.96.77.7", 5201
SERVER = """
import socket, sys, threading
server = socket.create_server((sys.argv[1], 5201), backlog=1024); print("up", flush=True)
def serve(c):
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    kind = c.recv(1); buffer = bytearray(1 << 20)
    if kind == b"t":
        while c.recv_into(buffer): pass
    elif kind == b"l":
        while data := c.recv(1): c.sendall(data)
    c.close()
while True:
    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""
CLIENT = """
import socket, sys, time
host, kind, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
def connect():
    c = socket.create_connection((host, 5201)); c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); return c
end = time.perf_counter() + seconds
if kind == "throughput":
    c = connect(); c.sendall(b"t"); chunk = bytes(1 << 18); sent = 0; begun = time.perf_counter()
    while time.perf_counter() < end: c.sendall(chunk); sent += len(chunk)
    print(sent / (time.perf_counter() - begun))
else:
    found = []; c = connect() if kind == "latency" else None
    if c: c.sendall(b"l")
    while (begun := time.perf_counter()) < end:
        if c: c.sendall(b"x"); c.recv(1)
        else: n = connect(); n.sendall(b"c"); n.recv(1); n.close()
        found.append(time.perf_counter() - begun)
    found.sort(); print(found[len(found) // 2])
"""
KINDS = ("throughput", "latency", "connection")


class Pods:
    """Two pods, and the rules beside them."""

    def __init__(self, runtime: SandboxRuntime, directory: Path) -> None:
        self._runtime = runtime
        self._directory = directory
        self._numbers = itertools.count()
        self._ends: dict[str, asyncio.Event] = {}
        self.addresses: dict[str, str] = {}
        runtime.on_exit(lambda end: self._ends[end.container_id].set())

    async def add(self, name: str) -> None:
        spec = SandboxSpec(id=name, name=name, namespace="ns", directory=str(self._directory / name))
        self.addresses[name] = await self._runtime.create_sandbox(spec)

    async def start(self, pod: str, *argv: str) -> tuple[str, Path]:
        identity = f"{pod}-{next(self._numbers)}"
        log = self._directory / f"{identity}.log"
        self._ends[identity] = asyncio.Event()
        spec = ContainerSpec(
            id=identity,
            sandbox_id=pod,
            name="c",
            argv=[sys.executable, "-I", "-S", "-c", *argv],
            env={},
            log_path=str(log),
            read_only_paths=[sys.prefix, sys.base_prefix],
        )
        await self._runtime.start_container(spec)
        return identity, log

    async def ask(self, address: str, kind: str, seconds: float) -> float:
        identity, log = await self.start("client", CLIENT, address, kind, str(seconds))
        await self._ends[identity].wait()
        return float(log.read_text().split()[-1])


def service(number: int, *endpoints: str) -> tuple[str, Any]:
    """One service's part of the rules."""
    address = ADDRESS if number < 0 else f"10.96.{100 + number // 250}.{number % 250 + 1}"
    found = {"metadata": {"name": f"s{number}", "namespace": "ns"}, "spec": {"clusterIP": address, "ports": [{"port": PORT}]}}
    listed = [{"addresses": [e], "conditions": {"ready": True}} for e in endpoints]
    piece = {"ports": [{"name": "", "port": PORT, "protocol": "TCP"}], "endpoints": listed}
    return f"s{number}", services.plan(found, [piece], []).part


def many_rules(rules: Table, number: int, client: str, server: str) -> None:
    """Services that nobody asks for, and policies that let the client's pod through after a look at each."""
    for n in range(number):
        rules.put(*service(n, "10.244.99.1", "10.244.99.2"))
    book = Book()
    for n in range(number):
        peers = [{"ipBlock": {"cidr": f"198.18.{n // 250}.{n % 250}/32"}}]
        spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]}
        book.policy(Key("ns", f"p{n}"), {"metadata": {"name": f"p{n}", "namespace": "ns"}, "spec": spec})
    everybody = {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": f"{client}/32"}}]}]}
    book.policy(Key("ns", "last"), {"metadata": {"name": "last", "namespace": "ns"}, "spec": everybody})
    for name, address in (("client", client), ("server", server)):
        book.pod(Key("ns", name), {"metadata": {"name": name, "namespace": "ns"}, "spec": {}, "status": {"podIP": address}})
    for owner, part in book.changes():
        rules.put(owner, part)


async def measure(rounds: int, number: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """By kind and case, a figure for each round."""
    found: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    with tempfile.TemporaryDirectory() as directory:
        runtime = SandboxRuntime(clock=CLOCK)
        await runtime.start()
        command = [sys.executable, "-I", "-S", "-c", SERVER, "127.0.0.1"]
        outside = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert outside.stdout is not None
            await outside.stdout.readline()
            pods = Pods(runtime, Path(directory))
            for name in ("client", "server"):
                await pods.add(name)
            _, log = await pods.start("server", SERVER, "0.0.0.0")
            while "up" not in log.read_text():
                await CLOCK.sleep(0.01)
            kernel, rules = Netfilter(await runtime.netfilter()), Table()
            rules.put("base", base.cluster())
            rules.put(*service(-1, pods.addresses["server"]))
            kernel.apply(rules.everything())

            async def host(kind: str) -> float:
                command = [sys.executable, "-I", "-S", "-c", CLIENT, "127.0.0.1", kind, str(seconds)]
                return float((await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)).stdout)

            few = {"pod": pods.addresses["server"], "service": ADDRESS}
            for crowd in ("", f", {number} services and policies"):
                if crowd:
                    many_rules(rules, number, pods.addresses["client"], pods.addresses["server"])
                    begun = CLOCK.monotonic()
                    kernel.apply(rules.changes())
                    print(f"{number} services and policies told to the kernel in {1000 * (CLOCK.monotonic() - begun):.0f} ms")
                cases: dict[str, Callable[[str], Awaitable[float]]] = {"host's loopback": host} if not crowd else {}
                for name, address in few.items():
                    cases[f"pod to {name}{crowd}"] = lambda kind, address=address: pods.ask(address, kind, seconds)  # type: ignore[misc]
                for _ in range(rounds):
                    for kind in KINDS:
                        for name, case in cases.items():
                            found[kind].setdefault(name, []).append(await case(kind))
        finally:
            outside.kill()
            await outside.wait()
            await runtime.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    found = asyncio.run(measure(args.rounds, args.rules, args.seconds))
    print(machine())
    shown = []
    for kind, cases in found.items():
        peer = cases["host's loopback"]
        scale, unit = (1e-9, "GB/s") if kind == "throughput" else (1e6, "us")
        for name, figures in cases.items():
            shown.append(Series(f"{kind}, {name} ({unit})", [figure * scale for figure in figures]))
            if figures is not peer:
                shown.append(Series(f"{kind}, {name} over host's loopback", [f / p for f, p in zip(figures, peer, strict=True)]))
    print(table(shown))


if __name__ == "__main__":
    main()
