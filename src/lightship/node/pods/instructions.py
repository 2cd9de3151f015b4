"""What the pure core tells the worker to do: one value for each kind of step, and the plan they are put into.

Made by `sync` and `ending`, performed by `worker` and its parts.
"""

from typing import NamedTuple, TypeAlias

import msgspec


class PrepareVolumes(msgspec.Struct, frozen=True):
    """Materialise the pod's volumes."""


class PrepareDevices(msgspec.Struct, frozen=True):
    """Have the pod's claims made ready by their drivers."""


class ReleaseDevices(msgspec.Struct, frozen=True):
    """Have them given back."""


class CreateSandbox(msgspec.Struct, frozen=True):
    """Make address, hostname and process tree."""


class RemoveSandbox(msgspec.Struct, frozen=True):
    """Give them back; nothing of the pod runs any more."""


class PullImage(msgspec.Struct, frozen=True):
    """Make an image's environment ready, in the background."""

    container: str
    image: str


class BackOffPull(msgspec.Struct, frozen=True):
    """Tell once that a pull waits for its next try."""

    container: str
    image: str


class StartContainer(msgspec.Struct, frozen=True):
    container: str


class BackOff(msgspec.Struct, frozen=True):
    """Tell once that a restart waits."""

    container: str
    seconds: float


class StopContainer(msgspec.Struct, frozen=True):
    """Tell that a container ends, and run what it wants to run before."""

    container: str
    grace: float
    """Seconds that are left for it."""


class TerminateContainer(msgspec.Struct, frozen=True):
    """Ask a container to end (SIGTERM, or its own stop signal)."""

    container: str


class KillContainer(msgspec.Struct, frozen=True):
    """End a container (SIGKILL)."""

    container: str


class ResizePod(msgspec.Struct, frozen=True):
    """Let what runs have what it was given."""


class RestartAll(msgspec.Struct, frozen=True):
    """Nothing runs any more: forget what has run, so that the pod begins anew."""


class FailPod(msgspec.Struct, frozen=True):
    """Fail the pod as a whole."""

    reason: str
    message: str


class FinishDeletion(msgspec.Struct, frozen=True):
    """Nothing is left on this node: delete the API object for good, or forget the pod when it is gone already."""


Instruction: TypeAlias = (
    PrepareVolumes
    | PrepareDevices
    | ReleaseDevices
    | CreateSandbox
    | RemoveSandbox
    | PullImage
    | BackOffPull
    | StartContainer
    | BackOff
    | StopContainer
    | TerminateContainer
    | KillContainer
    | ResizePod
    | RestartAll
    | FailPod
    | FinishDeletion
)


class Plan(NamedTuple):
    """What to do now, and when to ask again even if nothing happens (None: never)."""

    instructions: list[Instruction]
    wake: float | None


class Planner:
    """Collects instructions and the earliest wake-up."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.wake: float | None = None

    def at(self, when: float) -> None:
        self.wake = when if self.wake is None else min(self.wake, when)

    def plan(self) -> Plan:
        return Plan(self.instructions, self.wake)
