"""What rules say: which stage an object enters next and when, and the deeds that make it so. Pure.

`Rules` are either Stages that somebody wrote (`stages`) or ours (`defaults`); the player does not know which. Time, randomness and the
surroundings of the object are arguments, so that the same rules run in virtual time.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple, Protocol, TypeAlias

from lightship.meta.objects import Obj
from lightship.meta.rest import PatchType


class Patch(NamedTuple):
    """Change the object, or one of its subresources; as another user, if one is named."""

    body: Any
    type: PatchType
    subresource: str = ""
    user: str = ""


class Apply(NamedTuple):
    """Create an object, or change it where it is there already; with a subresource, only change that."""

    obj: Obj
    type: PatchType
    subresource: str = ""
    user: str = ""


class Tell(NamedTuple):
    """An event about the object."""

    type: str
    reason: str
    message: str


class Delete(NamedTuple):
    """The object's end, at once."""


Deed: TypeAlias = Patch | Apply | Tell | Delete


class Addresses(NamedTuple):
    """Of the machine that a pod is on, and of the pod itself, the first of each first; empty where there are none."""

    host: tuple[str, ...]
    pod: tuple[str, ...]


class Surroundings(Protocol):
    """What deeds may depend on besides their object."""

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def started(self) -> float:
        """When the emulation began, seconds since the epoch."""
        ...

    def host_addresses(self, node: str) -> tuple[str, ...]:
        """Of a node, by name."""
        ...

    def pod_addresses(self, node: str) -> tuple[str, ...]:
        """New ones for a pod on this node; nobody else gets them while the pod is there."""
        ...


class Stage(Protocol):
    """One step in the life of an object."""

    @property
    def name(self) -> str: ...

    @property
    def immediate(self) -> bool:
        """Is the next stage looked for at once, without waiting until the change is seen to have happened?"""
        ...

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        """What to do, in order. Raises `StageError` when that cannot be made out for this object."""
        ...


class Due(NamedTuple):
    """A stage and in how many seconds it is to be entered."""

    stage: Stage
    delay: float


class Rules(Protocol):
    def step(self, obj: Obj, now: float, random: Random) -> Due | None:
        """What comes next for an object as it is; None when nothing does. Raises `StageError`."""
        ...


class StageError(ValueError):
    """A Stage that cannot be used, or not for this object: what was asked, what was found, what to do."""
