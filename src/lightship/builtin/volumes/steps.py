"""What is to be done about a claim or a volume, in order: values that `claims` and `volumes` return and `controller` carries out.

The first step that fails ends the plan; whoever looks again decides anew on what is stored by then. That is why no step comes twice.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from lightship.meta import objects
from lightship.meta.objects import Key, Obj

Part: TypeAlias = Literal["", "status"]


class Write(NamedTuple):
    """Store the object as it is here, or only its status."""

    obj: Obj
    part: Part = ""


class Say(NamedTuple):
    """Tell people about an object."""

    obj: Obj
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


class Look(NamedTuple):
    """Look at another object, too: what it needs has changed."""

    key: Key


class Reclaim(NamedTuple):
    """The volume is not needed by its claim any more: do with it what its policy says."""

    volume: Obj


class Delete(NamedTuple):
    """Take away this very object."""

    obj: Obj


class Create(NamedTuple):
    """Make a pod that recycles a volume."""

    obj: Obj


class Fail(NamedTuple):
    """What is asked for contradicts what is there; it is tried again later."""

    message: str


Step: TypeAlias = Write | Say | Look | Reclaim | Create | Delete | Fail


class Plan:
    """Steps as they are thought of. Objects that go in are not changed; those that come out are as they will be stored."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def write(self, obj: Obj) -> Obj:
        self.steps.append(Write(obj))
        return obj

    def say(self, obj: Obj, type: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self.steps.append(Say(obj, type, reason, message))

    def phase(self, volume: Obj, phase: str, message: str = "") -> Obj:
        """The volume with this phase, which is stored if it is another than before."""
        if objects.status(volume).get("phase") == phase:
            return volume
        status = {field: value for field, value in objects.status(volume).items() if field != "message"}
        changed = {**volume, "status": {**status, "phase": phase, **({"message": message} if message else {})}}
        self.steps.append(Write(changed, "status"))
        return changed

    def tell_phase(self, volume: Obj, phase: str, reason: str, message: str) -> Obj:
        """As `phase`, with the message told as well, once."""
        changed = self.phase(volume, phase, message)
        if changed is not volume:
            self.say(changed, "Warning", reason, message)
        return changed

    def status(self, claim: Obj, status: Obj) -> Obj:
        if status == objects.status(claim):
            return claim
        changed = {**claim, "status": status}
        self.steps.append(Write(changed, "status"))
        return changed


def annotated(obj: Obj, changes: Mapping[str, str | None]) -> Obj:
    """A copy with other annotations; None takes one away, and the last takes the field with it."""
    merged = {**objects.annotations(obj), **changes}
    kept = {key: value for key, value in merged.items() if value is not None}
    meta = {field: value for field, value in objects.meta(obj).items() if field != "annotations"}
    return {**obj, "metadata": {**meta, **({"annotations": kept} if kept else {})}}
