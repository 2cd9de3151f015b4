"""What an initializer costs beside `curl` and `cp`: one large object from a server on this machine, and the same for a second job.

    python -m benchmarks.initializers [--rounds 5] [--megabytes 1024]

The server is a process of its own that sends files by sendfile, over http and as an S3 bucket. `curl` writes the object to a file. Ours
does so too, hashes it, and with downloads that jobs share keeps a copy; the second job hashes and copies that one, beside `cp`. S3 is read
with obstore, in the environment of the image. All take turns; whole processes are timed, Python's start included.
Memory is the most that a process of ours had resident (VmHWM).
"""

import argparse
import asyncio
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.report import Series, machine, table
from lightship.aio.clock import SystemClock
from lightship.node.images.builtin import BUILTIN
from lightship.node.images.environments import Environments, cache_directory
from lightship.train.runtime.initializers import program

MIB = 1 << 20
SOURCE = Path(program.__file__).parents[4]
SERVED = "big.bin"
MEASURED = """
import os
from lightship.train.runtime.initializers import program
code = program.main("dataset", os.environ)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(line)
raise SystemExit(code)
"""


class Sending(BaseHTTPRequestHandler):
    """GET with ranges, and the listing of a bucket that has the one object."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        size = os.stat(SERVED).st_size
        if "list-type" in self.path:
            fields = (
                f"<Key>{SERVED}</Key><Size>{size}</Size><ETag>&quot;mark&quot;</ETag><LastModified>2026-11-01T00:00:00.000Z</LastModified>"
            )
            body = f"<ListBucketResult><Contents>{fields}</Contents></ListBucketResult>".encode()
            self._head(200, len(body))
            self.wfile.write(body)
            return
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        first, _, last = wanted.partition("-")
        start, stop = (int(first), min(int(last) + 1 if last else size, size)) if wanted else (0, size)
        self._head(206 if wanted else 200, stop - start, f"bytes {start}-{stop - 1}/{size}" if wanted else "")
        with open(SERVED, "rb") as file:
            while start < stop:
                start += os.sendfile(self.connection.fileno(), file.fileno(), start, stop - start)

    def _head(self, status: int, length: int, span: str = "") -> None:
        self.send_response(status)
        self.send_header("ETag", '"mark"')
        self.send_header("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(length))
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Quietly."""


def serve(directory: Path) -> None:
    """What the server's process does: says its port, and serves for ever."""
    os.chdir(directory)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sending)
    print(server.server_port, flush=True)
    server.serve_forever()


def seconds(work: Callable[[], object]) -> float:
    # What the last one wrote goes to the disk before the next one begins, not while it runs.
    os.sync()
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


class Bench:
    """One directory with the object, and runs that bring it elsewhere."""

    def __init__(self, place: Path, port: int, python: str) -> None:
        self._place = place
        self._url = f"http://127.0.0.1:{port}"
        self._python = python
        self.memory: dict[str, Series] = {}

    def curl(self) -> None:
        self._clear()
        subprocess.run(["curl", "-sS", "-o", self._place / "out" / "copy", f"{self._url}/{SERVED}"], check=True)

    def copy(self) -> None:
        self._clear()
        subprocess.run(["cp", self._place / SERVED, self._place / "out" / "copy"], check=True)

    def http(self) -> None:
        self._clear()
        self._ours("http", f"{self._url}/{SERVED}")

    def shared(self) -> None:
        self._clear()
        shutil.rmtree(self._place / "downloads", ignore_errors=True)
        self._ours("http, kept for others", f"{self._url}/{SERVED}", LIGHTSHIP_DOWNLOADS=self._downloads())

    def second(self) -> None:
        self._clear()
        self._ours("second job", f"{self._url}/{SERVED}", LIGHTSHIP_DOWNLOADS=self._downloads())

    def s3(self) -> None:
        self._clear()
        self._ours("s3", "s3://bucket", ENDPOINT=self._url, ACCESS_KEY_ID="key", SECRET_ACCESS_KEY="secret")

    def _downloads(self) -> str:
        (self._place / "downloads").mkdir(exist_ok=True)
        return str(self._place / "downloads")

    def _clear(self) -> None:
        shutil.rmtree(self._place / "out", ignore_errors=True)
        (self._place / "out").mkdir()

    def _ours(self, name: str, uri: str, **more: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        own = {"PYTHONPATH": str(SOURCE), "STORAGE_URI": uri, "LIGHTSHIP_WORKSPACE": str(self._place / "out"), **more}
        python = self._python if uri.startswith("s3") else sys.executable
        done = subprocess.run([python, "-c", MEASURED], env={**inherited, **own}, capture_output=True, text=True, check=True)
        peak = int(done.stdout.partition("VmHWM:")[2].split()[0]) / 1024
        self.memory.setdefault(name, Series(f"{name}: peak memory, MiB")).add(peak)


def run(rounds: int, megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with (place / SERVED).open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(MIB))
        server = subprocess.Popen([sys.executable, "-m", "benchmarks.initializers", "--serve", name], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            bench = Bench(place, int(server.stdout.readline()), _python())
            works = {
                "curl": bench.curl,
                "cp": bench.copy,
                "http": bench.http,
                "http, kept for others": bench.shared,
                "second job": bench.second,
                "s3": bench.s3,
            }
            rates = {what: Series(f"{what}: MiB/s") for what in works}
            for _ in range(rounds):
                for what, work in works.items():
                    rates[what].add(megabytes / seconds(work))
        finally:
            server.terminate()
            server.wait()
    print(table([*rates.values(), *bench.memory.values()]))
    for ours, peer in ("http", "curl"), ("http, kept for others", "curl"), ("s3", "curl"), ("second job", "cp"):
        print(f"{ours}: {rates[ours].median / rates[peer].median:.2f} of {peer}")
    print(machine())


def _python() -> str:
    """The interpreter of the image."""
    environments = Environments(cache_directory(), SystemClock())
    atexit.register(environments.store.close)  # what nobody uses may be removed
    entry = next(entry for entry in BUILTIN if entry.pattern.endswith("dataset-initializer"))
    return asyncio.run(environments.ensure(entry.packages, print)).python


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    else:
        run(options.rounds, options.megabytes)


if __name__ == "__main__":
    main()
