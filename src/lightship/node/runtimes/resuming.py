"""What a next agent needs to hold the pods that this one holds: written down for the launcher to keep, and read back.

`sandbox` tells `Notes` what begins, changes and ends; `read` makes sandboxes and containers of what `adoption.find` has brought. Keys are
`cluster`, `node/<name>` and `pod/<uid>` with `/container/<id>`, `/limits/<id>` and `/exit/<name>` below it: a pod is forgotten as a whole.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from . import adoption, descriptors
from .holding import Container, Sandbox
from .runtime import ContainerSpec, Exit, Limits, SandboxSpec
from .stdio import Stdio


class Facts(msgspec.Struct, frozen=True):
    """Of the whole cluster: how many ids are mapped, and the name of its control groups."""

    ids: int
    groups: str


class Read(NamedTuple):
    """Everything that was found again."""

    facts: Facts
    nodes: dict[str, str]
    """Addresses by name."""
    sandboxes: dict[str, Sandbox]
    pids: dict[str, int]
    """Of containers."""
    exits: dict[str, list[Exit]]
    """The last ends of containers, by sandbox; the agent may not have told anybody of them."""
    interfaces: int
    """No name of an interface with a greater number is taken."""


class Notes:
    """Writes everything down; `None` writes nothing."""

    def __init__(self, keeper: adoption.Keeper | None) -> None:
        self._keeper = keeper

    def cluster(self, facts: Facts) -> None:
        self._keep("cluster", msgspec.to_builtins(facts))

    def node(self, name: str, address: str, interface: int) -> None:
        self._keep(f"node/{name}", {"address": address, "interface": interface})

    def sandbox(self, sandbox: Sandbox, interface: int) -> None:
        what = {"spec": msgspec.to_builtins(sandbox.spec), "address": sandbox.address, "interface": interface}
        self._keep(_pod(sandbox), what, sandbox.control.fileno(), sandbox.pidfd)

    def started(self, sandbox: Sandbox, container: Container, pid: int) -> None:
        """Its program runs."""
        if self._keeper is not None:
            what = {"spec": msgspec.to_builtins(container.spec), "pid": pid}
            self._keep(f"{_pod(sandbox)}/container/{container.spec.id}", what, *container.stdio.held())

    def limited(self, sandbox: Sandbox, id: str, limits: Limits) -> None:
        """They were changed, of the sandbox itself or of one of its containers."""
        self._keep(f"{_pod(sandbox)}/limits/{id}", {"limits": msgspec.to_builtins(limits)})

    def ended(self, sandbox: Sandbox, container: Container, end: Exit) -> None:
        """It is remembered until its next end, or the pod's."""
        if self._keeper is not None:
            self._keep(f"{_pod(sandbox)}/exit/{container.spec.name}", {"exit": list(end)})
            self._keeper.forget(f"{_pod(sandbox)}/container/{end.container_id}")

    def removed(self, sandbox: Sandbox) -> None:
        if self._keeper is not None:
            self._keeper.forget(_pod(sandbox))

    def close(self) -> None:
        if self._keeper is not None:
            self._keeper.close()

    def _keep(self, key: str, what: dict[str, Any], *fds: int) -> None:
        if self._keeper is not None:
            self._keeper.keep(key, what, fds)


def read(kept: list[adoption.Kept], now: Callable[[], float]) -> Read:
    """Takes all descriptors. Raises `msgspec.ValidationError` for what another version of this program has written."""
    loop = asyncio.get_running_loop()
    limits: dict[str, Limits] = {}
    found = Read(_facts(kept), {}, {}, {}, {}, max((item.what.get("interface", 0) for item in kept), default=0))
    for item in sorted(kept, key=lambda item: item.key.count("/")):  # a pod comes before what is in it
        match item.key.split("/", 3):
            case ["node", name]:
                found.nodes[name] = item.what["address"]
            case ["pod", uid]:
                spec = msgspec.convert(item.what["spec"], SandboxSpec)
                found.sandboxes[uid] = Sandbox.held(spec, item.what["address"], item.fds, loop)
            case ["pod", uid, "container", container_id]:
                container = _container(item, now)
                if uid not in found.sandboxes or container is None:
                    descriptors.close(*item.fds)
                    continue
                found.sandboxes[uid].containers[container_id] = container
                found.pids[container_id] = item.what["pid"]
            case ["pod", _, "limits", id]:
                limits[id] = msgspec.convert(item.what["limits"], Limits)
            case ["pod", uid, "exit", _]:
                found.exits.setdefault(uid, []).append(Exit(*item.what["exit"]))
    for sandbox in found.sandboxes.values():
        sandbox.limit(limits)
    return found


def _facts(kept: list[adoption.Kept]) -> Facts:
    return msgspec.convert(next((item.what for item in kept if item.key == "cluster"), {}), Facts)


def _container(item: adoption.Kept, now: Callable[[], float]) -> Container | None:
    """None for one whose log cannot be written any more."""
    spec = msgspec.convert(item.what["spec"], ContainerSpec)
    try:
        return Container(spec, Stdio.resume(spec, now, item.fds), started=True)
    except OSError:
        return None


def _pod(sandbox: Sandbox) -> str:
    return f"pod/{sandbox.spec.id}"
