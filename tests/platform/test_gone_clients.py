"""Clients that vanish in the middle of a conversation, or never read what they have asked for: nothing of it stays, nothing grows."""

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.stream import stream

from . import ledger
from .kit import PODS, eventually
from .test_faults import LIVES, World, world

__all__ = ["world"]
pytestmark = pytest.mark.slow


def executing(here: World, *command: str, **flags: Any) -> Any:
    """A conversation with a new program in the pod `p`, of which nothing has been read."""
    core = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(here.site.kubeconfig)))
    wanted = {"stderr": True, "stdin": True, "stdout": True, "tty": False, "_preload_content": False, **flags}
    return stream(core.connect_get_namespaced_pod_exec, "p", "default", command=list(command), **wanted)


def vanish(talk: Any) -> None:
    """No word of goodbye: the connection is reset."""
    raw = talk.sock.sock
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(raw.detach())


def memory(pid: int) -> int:
    """Kilobytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def stands_still(pid: int) -> None:
    """Wait until a program cannot write any more: it sleeps at many looks, one after the other."""
    looks = 0

    def still() -> bool:
        nonlocal looks
        looks = looks + 1 if ledger.state(pid) == "S" else 0
        return looks > 25

    eventually(still, f"{ledger.command(pid)} waits for its reader")


@pytest.mark.parametrize("tty", [False, True])
def test_who_vanishes_takes_along_what_was_started(world: Callable[..., World], tty: bool) -> None:
    here = world()
    here.api.run("p", LIVES)
    here.api.phase("p", "Running")
    held = here.descriptors()
    talks = [executing(here, "sleep", str(2000 + number), tty=tty) for number in range(5)]
    started = [here.process(str(2000 + number)) for number in range(5)]
    for talk in talks:
        vanish(talk)
    eventually(lambda: all(ledger.state(pid) in ("", "Z") for pid in started), "the programs have ended")
    assert here.api.get(f"{PODS}/p")["status"]["phase"] == "Running"
    eventually(lambda: here.descriptors() <= held + 4, "descriptors are given back", lambda: f"{here.descriptors()} and not {held}")
    here.clean()


def test_who_never_reads_holds_up_only_itself(world: Callable[..., World]) -> None:
    here = world()
    here.api.run("p", LIVES)
    here.api.phase("p", "Running")
    held, before = here.descriptors(), memory(here.site.pid)
    talk = executing(here, "yes", "never-read")
    pid = here.process("never-read")
    stands_still(pid)
    assert memory(here.site.pid) - before < 64 << 10
    here.api.run("other", "echo word")
    here.api.phase("other", "Succeeded")
    vanish(talk)
    eventually(lambda: ledger.state(pid) in ("", "Z"), "the program has ended")
    eventually(lambda: here.descriptors() <= held + 4, "descriptors are given back", lambda: f"{here.descriptors()} and not {held}")
    here.clean()
