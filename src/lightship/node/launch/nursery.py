"""Both ends of a template but its middle: how the launcher starts one, and how the init of a sandbox has a child of it.

`start` turns a fork of the launcher into an interpreter of some environment, caught by `hook` before it runs anything (`template`).
`borrow` asks it for a container's process; no answer, of whatever cause, means that the init forks for itself.
"""

import json
import os
import select
import signal
import socket
from pathlib import Path
from typing import Any, NoReturn

from . import entering, linux, wire

SETTINGS = "LIGHTSHIP_TEMPLATE"
"""Environment variable with what a template is told: `socket`, `libraries` and `env`, as JSON."""
BESIDE = "beside"
"""In what a fork is told: it is to be one more process of a container that runs, at the wish of another in there (`desk`)."""
TITLE = "lightship: template of {}"
"""Command line of a template, with the path of its interpreter."""
_PATIENCE = 5.0
"""Seconds that an init waits for a template; one that was stopped must not stop pods."""
CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 21, 31})
"""What a template and its children can hold at most: the usual set of containers, and sys_admin to enter them."""
_NAMESPACES = ("net", "ipc", "uts", "pid")
_NAME = "lightship-template"


def start(spec: dict[str, Any], control: socket.socket) -> NoReturn:
    """Become the template described by `spec` (see `runtimes.templates`), in a file tree that nothing can be written to."""
    try:
        os.setsid()
        linux.unshare(linux.NEW_NS | linux.NEW_NET | linux.NEW_IPC | linux.NEW_UTS)
        linux.make_private("/")
        # Also for what pods may reach of it: they see a template's executable as their own, and may be its owner.
        linux.make_read_only("/")
        linux.bound_capabilities(CAPABILITIES)
        _only(control.fileno())
        for signum in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        os.chdir("/")
        argv, env = command(spec, control.fileno())
        os.execve(spec["python"], argv, env)
    except OSError as error:
        wire.send(control, {"event": "failed", "message": linux.explain(error)})
    finally:
        os._exit(1)


def command(spec: dict[str, Any], descriptor: int) -> tuple[list[str], dict[str, str]]:
    """The command line and the variables that make an interpreter a template; `descriptor` is that of its socket."""
    return [spec["python"], "-m", _NAME], {**spec["env"], **_settings(spec, descriptor)}


def _settings(spec: dict[str, Any], descriptor: int) -> dict[str, str]:
    return {
        "PYTHONPATH": str(Path(__file__).parent / "hook"),
        "HOME": "/",
        SETTINGS: json.dumps({"socket": descriptor, "libraries": spec["libraries"], "env": spec["env"]}),
    }


def _only(kept: int) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in (0, 1, 2, kept):
            try:
                os.close(int(name))
            except OSError:
                pass  # the one that listed the directory
    os.set_inheritable(kept, True)


def namespaces() -> list[int]:
    """Descriptors of the namespaces that a pod's containers share, for `borrow`."""
    return [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in _NAMESPACES]


def borrow(lent: int, container: dict[str, Any], spaces: list[int], fds: list[int]) -> int:
    """The process id of a child that the template behind `lent` has put into `spaces`; 0 if it has not.

    `spaces`: descriptors of a mount namespace, of ours (`namespaces`), and of a process namespace unless it gets one of its own.

    What the container needs goes to the child and not to the template: one that never looks must not hold on to it.
    """
    near, far = wire.pair()
    with near, socket.socket(fileno=os.dup(lent)) as asked:
        try:
            with far:
                asked.setblocking(False)
                wire.send(asked, {}, [far.fileno(), *spaces])
            answer = wire.receive(near) if select.select([near], (), (), _PATIENCE)[0] else None
            if answer is None:
                return 0
            wire.send(near, container, [*fds, *container.get(entering.GROUPS, ())])
        except OSError:
            return 0
        return answer.pid
