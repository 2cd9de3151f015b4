"""What every runtime does alike around its own work: who is told of ends, and what a request for something unknown is told.

Runtimes are `Telling`, and look up sandboxes and containers with `sandbox_of` and `running` in books that are their own.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from .runtime import ContainerError, ContainerSpec, Exit

_Held = TypeVar("_Held")


class Telling:
    """A runtime that tells of the ends of containers."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Exit], None]] = []

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        """See `runtime.Runtime`."""
        self._callbacks.append(callback)

    def _tell(self, end: Exit) -> None:
        """Never from within `start_container`: its caller has not seen it return."""
        for callback in self._callbacks:
            callback(end)


def sandbox_of(spec: ContainerSpec, sandboxes: Mapping[str, _Held]) -> _Held:
    """The sandbox that a container shall start in. Raises `ContainerError`, also for a container without a command."""
    sandbox = sandboxes.get(spec.sandbox_id)
    if sandbox is None:
        raise ContainerError("SandboxGone", f"container {spec.name}: the sandbox {spec.sandbox_id} is not there any more")
    if not spec.argv:
        raise ContainerError("StartError", f"container {spec.name}: no command given and the image names none", 127)
    return sandbox


def running(container_id: str, held: Mapping[str, _Held]) -> _Held:
    """What is held of a container that runs. Raises `ContainerError`."""
    found = held.get(container_id)
    if found is None:
        raise ContainerError("SandboxGone", "the container does not run")
    return found


def beside(spec: ContainerSpec, argv: list[str], number: int) -> ContainerSpec:
    """The spec of one more program in a container's surroundings."""
    return msgspec.structs.replace(spec, id=f"{spec.id}+{number}", argv=argv)


def unprepared(spec: ContainerSpec, error: Exception, what: str = "") -> ContainerError:
    """A container whose surroundings could not be made."""
    return ContainerError("CreateContainerError", f"container {spec.name}: {what}{error}")
