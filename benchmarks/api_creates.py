"""Durable pod creates per second over TLS from 1, 16 and 64 connections, beside the store alone and beside kube-apiserver with etcd.

    python -m benchmarks.api_creates [--seconds 3] [--rounds 3]

Ours runs in a process of its own with the SQLite store on disk; the peer runs where `oracle/build` has made its programs.
All take turns in every round. *store* is the raw figure of `benchmarks.store_commits`: what is left when HTTP, TLS and everything that
makes a pod a pod cost nothing. Each pod is validated, defaulted, and on disk before it is acknowledged, by both servers.
Bias: client, server and (for the peer) etcd share the same cores.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks import store_commits
from benchmarks.contenders import ours, theirs
from benchmarks.load import Load, creates, tool
from benchmarks.report import Series, machine

CONNECTIONS = (1, 16, 64)


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
    our_figures, their_figures = ({c: Figures(name) for c in CONNECTIONS} for name in ("lightship", "kube-apiserver"))
    raw = {c: Series("store") for c in CONNECTIONS}
    with ours() as we, theirs() as peer:
        for _ in range(rounds):
            for connections in CONNECTIONS:
                our_figures[connections].add(creates(we.url, we.admin, connections, seconds))
                if peer is not None:
                    their_figures[connections].add(creates(peer.url, peer.admin, connections, seconds))
                with tempfile.TemporaryDirectory() as fresh:
                    raw[connections].add(store_commits.ours(Path(fresh), connections, 1.0))
    lines = ["| connections | lightship | kube-apiserver + etcd | ratio | store alone | of the store |", "|---|---|---|---|---|---|"]
    for connections in CONNECTIONS:
        our, their, alone = our_figures[connections], their_figures[connections], raw[connections]
        peer_cell = their.cell() if their.rate.values else "not here"
        ratio = f"{our.rate.median / their.rate.median:.1f}x" if their.rate.values else ""
        share = our.rate.median / alone.median
        lines.append(f"| {connections} | {our.cell()} | {peer_cell} | {ratio} | {alone.median:,.0f} | {share:.0%} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="durable pod creates per second over TLS")
    parser.add_argument("--seconds", type=float, default=3.0, help="per server, number of connections and round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{machine()}; creates of a 0.9 KB pod per second with {tool()}, median (least-most)\n")
    print(measure(options.seconds, options.rounds))


if __name__ == "__main__":
    main()
