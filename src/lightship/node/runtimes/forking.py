"""Host mode's forks of templates: programs that `process` waits for as for those that it has executed. Linux only.

Elsewhere a fork of an interpreter that has loaded frameworks is not safe, and nothing is forked. Templates run as the node's user, without
namespaces of their own; `launch.hosted` and `launch.keeper` are the other side. Whatever goes wrong, the program is executed.
"""

import asyncio
import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lightship.aio.clock import Clock
from lightship.node.launch import dispositions, nursery, wire

from . import programs, talk
from .runtime import ContainerSpec
from .templates import Templates

_PATIENCE = 5.0
"""Seconds; a template that was stopped must not stop pods."""


class Forked:
    """A program whose parent is a keeper."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self._told = told

    def wait(self) -> int:
        """See `programs.Process`."""
        self._told.settimeout(_PATIENCE)
        try:
            with self._told:
                packet = wire.receive(self._told)
            return int(packet.message["code"]) if packet is not None else -signal.SIGKILL
        except OSError:
            return -signal.SIGKILL  # nobody knows


class Forks:
    """All templates of one host mode runtime, and what is forked from them."""

    def __init__(self, clock: Clock) -> None:
        self.templates = Templates(clock, self._start_template)
        self._gone: set[asyncio.Future[None]] = set()
        """Of templates that run."""

    async def fork(
        self, spec: ContainerSpec, argv: list[str], env: Mapping[str, str], cwd: str, files: Sequence[int], groups: Sequence[int]
    ) -> Forked | None:
        """The container's program, or None: it is to be executed. `argv`, `env` and `cwd` are its own, as the host has them."""
        if sys.platform != "linux":
            return None
        own = _as_called(spec, argv)
        request: dict[str, Any] = {"env": env, "capabilities": ()}
        lent = self.templates.lend(own, request)
        if lent is None:
            return None
        near, far = wire.pair()
        near.setblocking(False)
        try:
            with far:
                wanted = {"argv": argv, "env": dict(env), "cwd": cwd, "ids": ids(spec)}
                wire.send(lent, wanted, [far.fileno(), *files, *groups])
            async with asyncio.timeout(_PATIENCE):
                begun = await talk.packet(near)
            if begun is not None and not begun.message:
                wire.send(near, {})
        except (OSError, TimeoutError):
            begun = None
        except BaseException:
            near.close()
            raise
        if begun is None or begun.message:  # the first to speak may be the keeper of one that has ended before
            near.close()
            return None
        return Forked(begun.pid, near)

    def started(self, spec: ContainerSpec, argv: list[str], env: Mapping[str, str]) -> None:
        """Note that such a container runs: the next one may be forked."""
        if sys.platform == "linux":
            self.templates.started(_as_called(spec, argv), {"env": env, "capabilities": ()})

    async def close(self) -> None:
        await self.templates.close()
        await asyncio.gather(*self._gone)

    def _start_template(self, request: dict[str, Any], fds: list[int]) -> None:
        argv, env = nursery.command(request["template"], fds[0])
        null = subprocess.DEVNULL
        clean = dispositions.forget if dispositions.ignored() else None
        process = subprocess.Popen(
            argv,
            env=env,
            cwd="/",
            stdin=null,
            stdout=null,
            stderr=null,
            pass_fds=fds,
            start_new_session=True,
            preexec_fn=clean,  # noqa: PLW1509 - a few system calls
        )
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone.add(gone)
        gone.add_done_callback(self._gone.discard)
        programs.watch(process, functools.partial(_reap, process, gone))


def ids(spec: ContainerSpec) -> tuple[int | None, int | None] | None:
    """The user and group that a container's process changes to, where it can and shall."""
    wanted = (spec.security.uid, spec.security.gid)
    return wanted if os.geteuid() == 0 and any(wanted) else None


def _as_called(spec: ContainerSpec, argv: list[str]) -> ContainerSpec:
    """Host mode rewrites command lines."""
    return msgspec.structs.replace(spec, argv=argv)


def _reap(process: subprocess.Popen[bytes], gone: asyncio.Future[None]) -> None:
    process.wait()
    gone.set_result(None)
