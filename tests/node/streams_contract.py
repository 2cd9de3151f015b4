"""What every runtime must do with the streams of containers and of programs beside them; `contract.World` is the place to try it.

`test_streams` runs it in each runtime, and in the sandbox again as a user who is not root.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lightship.meta.rest import CommandOptions
from lightship.node.runtimes import descriptors
from lightship.node.runtimes.runtime import Attached, ContainerError, Runtime
from lightship.node.streams import console

from .contract import CLOCK, World, gone, open_things, processes, until, world

ECHO = "while read line; do echo got $line; echo err $line >&2; done; echo closed"


class Talk:
    """A client's side of a conversation: `meta.rest.CommandIO`."""

    def __init__(self, *given: bytes, ends: bool = True) -> None:
        self.input: asyncio.Queue[bytes] = asyncio.Queue()
        self.sizes: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.out = self.err = b""
        self.changed = asyncio.Event()
        for data in given:
            self.input.put_nowait(data)
        if ends:
            self.input.put_nowait(b"")

    async def read(self) -> bytes:
        return await self.input.get()

    async def write(self, data: bytes, *, error: bool = False) -> None:
        if error:
            self.err += data
        else:
            self.out += data
        self.changed.set()

    async def resized(self) -> tuple[int, int]:
        return await self.sizes.get()

    async def hears(self, wanted: bytes) -> None:
        while wanted not in self.out + self.err:
            self.changed.clear()
            await self.changed.wait()


class Counting(Talk):
    """Much input that nobody keeps, and much output."""

    def __init__(self, size: int) -> None:
        super().__init__(ends=False)
        self.left = size
        self.heard = 0

    async def read(self) -> bytes:
        taken = min(self.left, 32_768)
        self.left -= taken
        return b"z" * taken

    async def write(self, data: bytes, *, error: bool = False) -> None:
        self.heard += len(data)
        await CLOCK.sleep(0)


async def hear(attached: Attached) -> tuple[bytes, bytes]:
    """(stdout, stderr) to the end."""
    found = [b"", b""]
    while (said := await attached.read()) is not None:
        found[said[1]] += said[0]
    return found[0], found[1]


def exec_options(command: str, **extra: Any) -> CommandOptions:
    return CommandOptions(command=("/bin/sh", "-c", command), **extra)


class StreamsContract:
    """Inherit it and give `make`."""

    def make(self) -> Runtime:
        raise NotImplementedError

    def drive(self, directory: Path, story: Callable[[World], Awaitable[None]]) -> None:
        async def main() -> None:
            async with world(self.make(), directory) as w:
                await w.pod()
                await story(w)

        asyncio.run(main())

    # attach ---------------------------------------------------------------------------------------------------------------------------

    def test_who_is_attached_hears_and_types_and_the_log_has_it_all(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sh", "-c", f"echo before; {ECHO}"], stdin=True, stdin_once=True)
            await w.line(container, "before")
            attached = w.runtime.attach(container)
            await attached.write(b"one\ntwo\n")
            assert attached.end_input(), "the first client's end is that of the input"
            assert await hear(attached) == (b"got one\ngot two\nclosed\n", b"err one\nerr two\n")
            attached.close()
            attached.close()
            assert (await w.exit(container)).code == 0
            assert sorted(w.log(container).split("\n")) == sorted(["before", *["got one", "err one", "got two", "err two", "closed", ""]])

        self.drive(tmp_path, story)

    def test_several_clients_share_one_input_and_hear_the_same(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sh", "-c", ECHO], stdin=True)
            first, second = Talk(ends=False), Talk(b"two\n", ends=False)
            visits = [asyncio.create_task(console.attach(w.runtime, container, CommandOptions(stdin=True), t)) for t in (first, second)]
            first.input.put_nowait(b"one\n")
            for talk in (first, second):
                for wanted in (b"got one\n", b"got two\n", b"err one\n", b"err two\n"):
                    await talk.hears(wanted)
            first.input.put_nowait(b"")
            await visits[0]  # its input stays open for others, so the visit is over
            second.input.put_nowait(b"three\n")
            await second.hears(b"got three\n")
            visits[1].cancel()
            await asyncio.gather(visits[1], return_exceptions=True)
            assert container not in w.exits, "it runs on without anybody"
            await w.runtime.signal(container, signal.SIGKILL)
            await w.exit(container)

        self.drive(tmp_path, story)

    def test_without_stdin_there_is_nothing_to_read(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            _, text = await w.sh("cat; echo end; readlink /proc/self/fd/0")
            assert text == "end\n/dev/null\n"

        self.drive(tmp_path, story)

    def test_a_terminal_has_a_name_and_a_size_and_ends_with_its_program(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            script = "test -t 0 && test -t 1 && test -t 2 && tty; trap 'stty size; exit 4' WINCH; echo up; while :; do sleep 0.01; done"
            container = await w.start(["/bin/sh", "-c", script], stdin=True, tty=True)
            talk = Talk(ends=False)
            visit = asyncio.create_task(console.attach(w.runtime, container, CommandOptions(stdin=True, tty=True), talk))
            await w.line(container, "up")
            talk.sizes.put_nowait((132, 43))
            await visit
            assert b"43 132\r\n" in talk.out
            assert (await w.exit(container)).code == 4
            assert "/dev/pts/" in w.raw_log(container)

        self.drive(tmp_path, story)

    def test_short_lives_in_terminals_are_logged_whole(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            ended = await asyncio.gather(*(w.sh("echo one; echo two", name=f"c{n}", tty=True) for n in range(12)))
            assert [(end.code, text) for end, text in ended] == [(0, "one\ntwo\n")] * 12

        self.drive(tmp_path, story)

    def test_a_program_waits_for_a_slow_client_and_loses_it_in_the_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lightship.node.runtimes.stdio.PATIENCE", 0.05)

        async def story(w: World) -> None:
            container = await w.start(["/bin/sh", "-c", "read x; head -c 8000000 /dev/zero; echo; echo done"], stdin=True)
            slow = w.runtime.attach(container)
            await slow.write(b"\n")
            await w.line(container, "done")
            heard, _ = await hear(slow)
            assert 1_000_000 < len(heard) < 2_500_000, "what it could not take was not kept for it"
            assert (await w.exit(container)).code == 0

        self.drive(tmp_path, story)

    def test_nobody_attaches_to_what_does_not_run(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/true"])
            await w.exit(container)
            with pytest.raises(ContainerError) as caught:
                w.runtime.attach(container)
            assert caught.value.reason == "SandboxGone"

        self.drive(tmp_path, story)

    # programs beside ------------------------------------------------------------------------------------------------------------------

    def test_a_program_has_its_streams_apart_and_a_code(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sleep", "1000"], env={"A": "b"})
            talk = Talk(b"in", b"put")
            options = exec_options("cat; echo $A >&2; exit 42", stdin=True)
            assert await console.run(w.runtime, container, options, talk) == 42
            assert (talk.out, talk.err) == (b"input", b"b\n")
            assert await console.run(w.runtime, container, exec_options("kill -9 $$"), Talk()) == 137

        self.drive(tmp_path, story)

    def test_a_program_in_a_terminal_can_name_it(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sleep", "1000"])
            talk = Talk(b"one\n", ends=False)
            talk.sizes.put_nowait((101, 33))
            script = "tty && echo named > $(tty); read x; while [ \"$(stty size)\" != '33 101' ]; do sleep 0.01; done; echo $x; exit 3"
            assert await console.run(w.runtime, container, exec_options(script, stdin=True, tty=True), talk) == 3
            assert talk.out.startswith(b"/dev/pts/") or b"\r\n/dev/pts/" in talk.out
            assert b"named\r\n" in talk.out
            assert talk.out.endswith(b"one\r\n")

        self.drive(tmp_path, story)

    def test_much_goes_both_ways_and_nothing_is_lost(self, tmp_path: Path) -> None:
        size = 24 * 1024 * 1024

        async def story(w: World) -> None:
            container = await w.start(["/bin/sleep", "1000"])
            talk = Counting(size)
            assert await console.run(w.runtime, container, exec_options("cat", stdin=True), talk) == 0
            assert talk.heard == size

        self.drive(tmp_path, story)

    def test_a_client_that_goes_ends_what_it_started(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sleep", "1000"])
            for tty in (False, True):
                token = f"3000.{os.getpid()}{int(tty)}"
                running = asyncio.create_task(console.run(w.runtime, container, exec_options(f"sleep {token}; true", tty=tty), Talk()))
                await until(lambda token=token: bool(processes(f"sleep\0{token}")))  # type: ignore[misc]  # bound to this round's
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await gone(f"sleep\0{token}")
            assert container not in w.exits

        self.drive(tmp_path, story)

    def test_what_stays_behind_does_not_keep_the_conversation(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sleep", "1000"])
            talk = Talk()
            assert await console.run(w.runtime, container, exec_options("sleep 1000 & echo left"), talk) == 0
            assert talk.out == b"left\n"

        self.drive(tmp_path, story)

    def test_the_end_of_the_container_is_the_end_of_programs_beside_it(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sleep", "1000"])
            running = asyncio.create_task(console.run(w.runtime, container, exec_options("echo up; exec sleep 1000"), talk := Talk()))
            await talk.hears(b"up")
            await w.runtime.signal(container, signal.SIGKILL)
            assert await running == 137

        self.drive(tmp_path, story)

    def test_many_at_once(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sleep", "1000"])
            talks = [Talk(b"%d" % n) for n in range(20)]
            options = exec_options("cat; sleep 0.1; exit 5", stdin=True)
            codes = await asyncio.gather(*(console.run(w.runtime, container, options, talk) for talk in talks))
            assert codes == [5] * 20
            assert [talk.out for talk in talks] == [b"%d" % n for n in range(20)]

        self.drive(tmp_path, story)

    @pytest.mark.parametrize("tty", [False, True])
    def test_what_cannot_be_executed_beside(self, tmp_path: Path, tty: bool) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sleep", "1000"])
            options = CommandOptions(command=("no-such-program",), tty=tty)
            with pytest.raises(ContainerError, match=r'exec "no-such-program": executable file not found in \$PATH') as caught:
                await console.run(w.runtime, container, options, Talk())
            assert caught.value.exit_code == 127

        self.drive(tmp_path, story)

    def test_nothing_is_left_open(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            container = await w.start(["/bin/sh", "-c", ECHO], stdin=True, tty=True)
            before: tuple[int, int, set[int]] | None = None
            for _ in range(3):
                assert await console.run(w.runtime, container, exec_options("true", stdin=True), Talk()) == 0
                assert await console.run(w.runtime, container, exec_options("true", stdin=True, tty=True), Talk()) == 0
                with pytest.raises(ContainerError):
                    await console.run(w.runtime, container, CommandOptions(command=("nothing",), tty=True), Talk())
                attached = w.runtime.attach(container)
                await attached.write(b"hello\n")
                attached.resize(80, 24)
                attached.close()
                before = before or open_things()
            assert open_things() == before
            descriptors.close(-1)

        self.drive(tmp_path, story)

    # ports ----------------------------------------------------------------------------------------------------------------------------

    def test_a_socket_of_the_pod_reaches_its_loopback(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            serve = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1]); s.accept()[0].sendall(b'hi')"
            container = await w.python(serve)
            await until(lambda: w.log(container) != "")
            loop = asyncio.get_running_loop()
            with await w.runtime.open_socket(sandbox_id="uid-a") as sock:
                await loop.sock_connect(sock, ("127.0.0.1", int(w.log(container))))
                assert await loop.sock_recv(sock, 100) == b"hi"

        self.drive(tmp_path, story)
