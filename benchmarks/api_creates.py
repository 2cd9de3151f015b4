"""Durable pod creates per second over TLS from 1, 16 and 64 connections, beside the store alone and beside kube-apiserver with etcd.

    python -m benchmarks.api_creates [--seconds 3] [--rounds 3]

Ours runs in a process of its own with the SQLite store on disk; the peer runs where KUBEBUILDER_ASSETS names a folder with its programs.
All take turns in every round. *store* is the raw figure of `benchmarks.store_commits`: what is left when HTTP, TLS and everything that
makes a pod a pod cost nothing. Each pod is validated, defaulted, and on disk before it is acknowledged, by both servers.
Bias: client, server and (for the peer) etcd share the same cores; the peer checks roles, quota and more plugins than ours.
"""

import argparse
import asyncio
import gc
import random
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from benchmarks import store_commits
from benchmarks.load import Load, creates, tool
from benchmarks.real_kubernetes import real_api_server
from benchmarks.report import Series, machine
from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver import pki, tls
from lightship.apiserver.authn import StaticTokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.meta.rest import User

CONNECTIONS = (1, 16, 64)
TOKEN = uuid.uuid4().hex


async def serve_forever(directory: Path, token: str) -> None:
    """The server under test; prints its address and ends with SIGTERM."""
    clock = SystemClock()
    pki.issue(directory, clock.now())
    opened = store.sqlite(directory / "store.db")
    server = Server(opened, kinds.BUILTIN, clock=clock, random=random.Random())
    # What is stored stays: looking through all of it for cycles again and again finds nothing, and stops the server for long moments.
    gc.freeze()
    gc.set_threshold(10_000, 10, 1_000)
    admin = StaticTokens({token: User("admin", ("system:masters",))})
    listener = await serve(server, tls=tls.server_context(directory), authenticator=admin)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(f"https://127.0.0.1:{listener.port}", flush=True)
    await stop.wait()
    await listener.close()
    await opened.close()


@contextmanager
def our_server() -> Iterator[str]:
    """The address of a fresh server in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "benchmarks.api_creates", "--serve", directory, "--token", TOKEN]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait()


class Figures:
    """Rate and latency of one server at one number of connections."""

    def __init__(self, name: str) -> None:
        self.rate = Series(name)
        self.p99 = Series(name)

    def add(self, load: Load) -> None:
        self.rate.add(load.rate)
        self.p99.add(load.p99)

    def cell(self) -> str:
        values = self.rate.values
        return f"{self.rate.median:,.0f} ({min(values):,.0f}-{max(values):,.0f}), p99 {self.p99.median:.1f} ms"


def measure(seconds: float, rounds: int) -> str:
    """A Markdown table."""
    ours, theirs = ({c: Figures(name) for c in CONNECTIONS} for name in ("lightship", "kube-apiserver"))
    raw = {c: Series("store") for c in CONNECTIONS}
    with our_server() as address, real_api_server() as peer:
        for _ in range(rounds):
            for connections in CONNECTIONS:
                ours[connections].add(creates(address, TOKEN, connections, seconds))
                if peer is not None:
                    theirs[connections].add(creates(peer.url, peer.token, connections, seconds))
                with tempfile.TemporaryDirectory() as fresh:
                    raw[connections].add(store_commits.ours(Path(fresh), connections, 1.0))
    lines = ["| connections | lightship | kube-apiserver + etcd | ratio | store alone | of the store |", "|---|---|---|---|---|---|"]
    for connections in CONNECTIONS:
        our, their, alone = ours[connections], theirs[connections], raw[connections]
        peer_cell = their.cell() if their.rate.values else "not here"
        ratio = f"{our.rate.median / their.rate.median:.1f}x" if their.rate.values else ""
        share = our.rate.median / alone.median
        lines.append(f"| {connections} | {our.cell()} | {peer_cell} | {ratio} | {alone.median:,.0f} | {share:.0%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="durable pod creates per second over TLS")
    parser.add_argument("--seconds", type=float, default=3.0, help="per server, number of connections and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--token", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve_forever(Path(options.serve), options.token))
        return
    print(f"{machine()}; creates of a 0.9 KB pod per second with {tool()}, median (least-most)\n")
    print(measure(options.seconds, options.rounds))


if __name__ == "__main__":
    main()
