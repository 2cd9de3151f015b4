"""What attacks are made of: connections that take nothing for granted, and a probe that tells how other clients fare meanwhile."""

import json
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

PATIENCE = 300.0
"""Seconds after which nobody waits any longer: no bound of anything, as machines may be slow and busy."""
DROPPED = 0
"""The code of a connection that was ended without an answer."""


class Answer(NamedTuple):
    code: int
    body: bytes = b""

    @property
    def message(self) -> str:
        try:
            return str(json.loads(self.body).get("message"))
        except ValueError:
            return self.body[:200].decode("latin-1")


class Report(NamedTuple):
    """What the target said of itself since the last time: times in seconds of processor time, `unit` what a known piece of work took."""

    held: float
    unit: float
    where: list[str]
    errors: list[str]


class Line:
    """One TLS connection, in bytes."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self._unread = b""

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """All of it, or as much as the server takes before it ends the connection."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass

    def read(self) -> bytes:
        """Some bytes; none at the end."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        return self._receive()

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            return b""

    def head(self) -> bytes:
        """The head of an answer whose body, or conversation, is not read."""
        data = b""
        while b"\r\n\r\n" not in data and (more := self.read()):
            data += more
        return data

    def answer(self) -> Answer:
        """The next whole answer; `DROPPED` when the connection ends before."""
        start = self.head()
        start, mark, rest = start.partition(b"\r\n\r\n")
        if not mark:
            return Answer(DROPPED, start)
        self._unread = rest
        code = int(start.split(None, 2)[1])
        if code < 200 or code in (204, 304):
            return Answer(code)
        if length := re.search(rb"(?i)\r\ncontent-length: (\d+)", start):
            return Answer(code, self._take(int(length[1])))
        if b"transfer-encoding: chunked" in start.lower():
            return Answer(code, b"".join(self._chunks()))
        return Answer(code, self.read())

    def _chunks(self) -> Iterator[bytes]:
        while True:
            while b"\r\n" not in self._unread:
                self._more()
            size, _, self._unread = self._unread.partition(b"\r\n")
            chunk = self._take(int(size, 16))
            self._take(2)
            if not chunk:
                return
            yield chunk

    def _take(self, size: int) -> bytes:
        """So many bytes, or what comes before the end."""
        parts, got = [self._unread], len(self._unread)
        while got < size and (more := self._receive()):
            parts.append(more)
            got += len(more)
        whole = b"".join(parts)
        self._unread = whole[size:]
        return whole[:size]

    def _more(self) -> None:
        more = self._receive()
        if not more:
            raise ConnectionResetError("the answer has no end")
        self._unread += more


class Target:
    """The server and what attackers know of it."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, directory: Path) -> None:
        self.process = process
        self.port = port
        self.directory = directory
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def line(self) -> Line:
        return Line(self.port, self.context)

    def ask(self, method: str, path: str, body: Any = None, *, token: str = "admin-token", extra: bytes = b"", **headers: str) -> Answer:
        """One request on a connection of its own."""
        with self.line() as line:
            line.send(request(method, path, body, token=token, extra=extra, **headers))
            return line.answer()

    def report(self) -> Report:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise AssertionError(f"the server has ended with {self.process.wait(PATIENCE)}: see its standard error")
        return Report(**json.loads(line))

    def rss(self) -> float:
        """Resident megabytes."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * 4096 / 1e6


@contextmanager
def target() -> Iterator[Target]:
    """A fresh server in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-X", "faulthandler", "-m", "tests.hostile.target", directory]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                yield Target(process, int(process.stdout.readline()), Path(directory))
            finally:
                process.terminate()
                process.communicate(timeout=PATIENCE)


class Probe:
    """A client without bad intentions: asks on a connection of its own, again and again, while an attack goes on."""

    def __init__(self, target: Target) -> None:
        self._line = target.line()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.worst = 0.0
        self.count = 0
        self.wrong: list[int] = []

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(PATIENCE)
        self._line.socket.close()

    def _ask(self) -> None:
        wire = request("GET", "/api/v1/namespaces/default")
        while True:  # once at least, however quickly it is over
            start = time.monotonic()
            self._line.send(wire)
            code = self._line.answer().code
            self.worst = max(self.worst, time.monotonic() - start)
            self.count += 1
            if code != 200:
                self.wrong.append(code)
            if self._end.wait(0.01):
                return


def request(method: str, path: str | bytes, body: Any = None, *, token: str = "admin-token", extra: bytes = b"", **headers: str) -> bytes:
    """A request in bytes; a `body` that is no bytes goes as JSON, and `extra` is put among the headers as it is."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines: Mapping[str, str] = {
        "Host": "localhost",
        **({"Authorization": f"Bearer {token}"} if token else {}),
        **({"Content-Length": str(len(data)), "Content-Type": "application/json"} if body is not None else {}),
        **{name.replace("_", "-").title(): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")
    target = path if isinstance(path, bytes) else path.encode("latin-1")
    return method.encode() + b" " + target + b" HTTP/1.1\r\n" + head + extra + b"\r\n" + data
