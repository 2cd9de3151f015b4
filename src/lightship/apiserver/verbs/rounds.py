"""Mutating admission in rounds: where a policy or webhook has changed the object, all functions are called once more.

Rules of the server itself then run again. Policies and webhooks run again only where they ask for it (`reinvocationPolicy: IfNeeded`) and
somebody has changed the object since; what they remember of the first round is their `Memory`. There are two rounds at most.
Contract: k8s.io/apiserver pkg/admission/reinvocation.go and the reinvocationcontext.go of both plugins.
"""

from collections.abc import Hashable, Sequence

from lightship.meta.admission import AdmissionRequest, Admit
from lightship.meta.objects import Obj, copy

_AGAIN = "again"
_SECOND = "second"


class Memory:
    """What one rule remembers of a request: whom it has asked and could ask again, and who is to be asked again."""

    __slots__ = ("_left", "asked", "due")

    def __init__(self) -> None:
        self.asked: set[Hashable] = set()
        self.due: set[Hashable] = set()
        self._left: Obj | None = None

    def changed(self, request: AdmissionRequest) -> None:
        """The object is another one now: those who were asked before have not seen it."""
        self.due |= self.asked
        self.asked.clear()
        request.rounds[_AGAIN] = True

    def enter(self, request: AdmissionRequest) -> None:
        """A round begins. What others have changed in between is for all who were asked."""
        if self.asked and is_second(request) and self._left != request.obj:
            self.due |= self.asked
            self.asked.clear()

    def leave(self, request: AdmissionRequest) -> None:
        """A round ends."""
        self._left = copy(request.obj) if self.asked and request.obj is not None else None


def memory(request: AdmissionRequest, rule: str) -> Memory:
    """What the rule of this name remembers of the request."""
    found: Memory | None = request.rounds.get(rule)
    if found is None:
        found = request.rounds[rule] = Memory()
    return found


def is_second(request: AdmissionRequest) -> bool:
    """Has everybody been asked once already?"""
    return _SECOND in request.rounds


async def mutate(functions: Sequence[Admit], request: AdmissionRequest) -> None:
    """Let mutating functions change the object, in one round or two. Raises the refusal of the first that refuses."""
    await admit(functions, request)
    if _AGAIN in request.rounds:
        request.rounds[_SECOND] = True
        await admit(functions, request)


async def admit(functions: Sequence[Admit], request: AdmissionRequest) -> None:
    """Call admission functions in order; the first that refuses ends the request."""
    for function in functions:
        warned = await function(request)
        if warned:
            request.warnings.extend(warned)
