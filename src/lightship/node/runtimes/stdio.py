"""What a container's program reads and writes, held by the node: pipes, or a terminal, with a log on one side and clients on the other.

Both runtimes make one `Stdio` per container, hand `files` to the program, and give it to those who attach. Everybody who is attached sees
all that is said from then on and may all type at once; none of them is needed. The log is written whoever listens.
A terminal is made here, or inside the pod (where it has a name) by the program's own process, which sends it to `started`.
Contract: core/v1 Container stdin, stdinOnce, tty; what CRI runtimes do when a client's input ends.
"""

import asyncio
import os
import pty
from collections import deque
from collections.abc import Callable

import msgspec

from . import descriptors
from .logwriter import LogWriter
from .runtime import ContainerSpec

MOST_WAITING = 1024 * 1024
"""Bytes that wait for a client before the program is made to wait."""
PATIENCE = 30.0
"""Seconds for which the program waits, before that client is sent away."""


class Stdio:
    """The streams of one container. Create it on the event loop."""

    def __init__(self, spec: ContainerSpec, now: Callable[[], float], *, named_terminal: bool = False) -> None:
        """`named_terminal`: a terminal that is wanted will come from inside the pod. Raises `OSError`."""
        self.tty = spec.tty
        self.once = spec.stdin_once
        self.input_ended: Callable[[], None] = lambda: None
        """Called then: whoever else holds it must let go."""
        self.files: tuple[int, ...] = ()
        """The program's ends: stdin, stdout, stderr; of no terminal before it has come. Without `stdin` the first is an empty file."""
        self._input = -1
        self._terminal = -1
        self._outputs: tuple[int, ...] = ()
        self._clients: set[Client] = set()
        self._log = LogWriter(spec.log_path, now)
        if spec.tty:
            if not named_terminal:
                master, slave = pty.openpty()
                self.files = (slave, slave, slave)
                self._adopt(master)
        else:
            self._open_pipes(spec.stdin)

    def _open_pipes(self, stdin: bool) -> None:
        if stdin:
            theirs, self._input = _pipe()
            os.set_blocking(self._input, False)
        else:
            theirs = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        (read_out, out), (read_error, error) = _pipe(), _pipe()
        self.files = (theirs, out, error)
        self._listen(read_out, read_error)

    def _listen(self, out: int, error: int) -> None:
        self._outputs = (out, error)
        self._log.take(out, "stdout")
        self._log.take(error, "stderr")

    def held(self) -> list[int]:
        """By what the node holds the streams of a program that runs: enough for `resume`. An input that has ended is not among them."""
        if self._terminal >= 0:
            return [self._terminal]
        return [*self._outputs, *([self._input] if self._input >= 0 else [])]

    @classmethod
    def resume(cls, spec: ContainerSpec, now: Callable[[], float], held: list[int]) -> "Stdio":
        """The streams of a program that runs since before this process did. Takes the descriptors; raises `OSError`."""
        found = cls(msgspec.structs.replace(spec, tty=True), now, named_terminal=True)
        found.tty = spec.tty
        if spec.tty:
            found._adopt(held[0])
        else:
            found._listen(held[0], held[1])
            if len(held) > 2:
                found._input = held[2]
                os.set_blocking(found._input, False)
        return found

    def _adopt(self, master: int) -> None:
        self._terminal = master
        self._input = os.dup(master)
        self._log.take(os.dup(master), "stdout")

    def started(self, terminal: int = -1) -> None:
        """The program holds its ends now: close ours, so that its end is seen; take the terminal that came from it, if any."""
        descriptors.close(*set(self.files))
        self.files = ()
        if terminal >= 0:
            self._adopt(terminal)

    def finish(self) -> None:
        """Write what is still to be read, end everybody who is attached, close everything; idempotent."""
        self.started()
        self._log.finish()
        self.end_input()
        descriptors.close(self._terminal)
        self._terminal = -1
        for client in list(self._clients):
            client.end()

    def attach(self) -> "Client":
        """A client; `close` it."""
        client = Client(self)
        self._clients.add(client)
        self._log.heard = self._heard
        return client

    def end_input(self) -> None:
        """The program's input is over, for good."""
        if self._input >= 0:
            descriptors.close(self._input)
            self._input = -1
            self.input_ended()

    async def write(self, data: bytes) -> None:
        """Type something. What nobody can read is dropped."""
        if self._input >= 0:
            own = os.dup(self._input)  # `finish` may come while this waits
            try:
                await descriptors.write(own, data)
            except OSError:
                pass
            finally:
                os.close(own)

    def resize(self, columns: int, rows: int) -> None:
        """Of a terminal; nothing happens to pipes."""
        if self._terminal >= 0:
            descriptors.resize(self._terminal, columns, rows)

    def leave(self, client: "Client") -> None:
        """Called by the client itself."""
        self._clients.discard(client)
        if not self._clients:
            self._log.heard = None
        self.caught_up()

    def caught_up(self) -> None:
        """Called by clients that have read something: go on when all have."""
        if not any(client.behind for client in self._clients):
            self._log.resume()

    def _heard(self, data: bytes, error: bool) -> None:
        for client in list(self._clients):
            client.tell(data, error)
        if any(client.behind for client in self._clients):
            self._log.pause()


class Client:
    """Somebody who is attached to a container: see `runtime.Attached`."""

    def __init__(self, stdio: Stdio) -> None:
        self._stdio = stdio
        self._said: deque[tuple[bytes, bool]] = deque()
        self._waiting = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._impatience: asyncio.TimerHandle | None = None

    @property
    def behind(self) -> bool:
        return self._waiting > MOST_WAITING

    def tell(self, data: bytes, error: bool) -> None:
        self._said.append((data, error))
        self._waiting += len(data)
        self._changed.set()
        if self.behind and self._impatience is None:
            self._impatience = asyncio.get_running_loop().call_later(PATIENCE, self.close)

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.set()
        self._calm()

    async def read(self) -> tuple[bytes, bool] | None:
        while not self._said:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        said = self._said.popleft()
        self._waiting -= len(said[0])
        if not self.behind and self._impatience is not None:
            self._calm()
            self._stdio.caught_up()
        return said

    async def write(self, data: bytes) -> None:
        await self._stdio.write(data)

    def end_input(self) -> bool:
        if not self._stdio.once or self._stdio.tty:
            return False
        self._stdio.end_input()
        return True

    def resize(self, columns: int, rows: int) -> None:
        self._stdio.resize(columns, rows)

    def close(self) -> None:
        self._waiting = 0
        self.end()
        self._stdio.leave(self)

    def _calm(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
