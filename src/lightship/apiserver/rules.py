"""The admission rules of one resource, and which of them have anything to say to a kind of request as things are.

`catalogue` makes one for each resource, the write path asks it. Most rules go by objects that most clusters have none of (quotas, webhooks,
policies): they are left out until somebody creates one, so that they cost nothing. Knows no rule.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from lightship.meta.admission import Admission, Admit


class Presence(Protocol):
    """What is asked of a store."""

    @property
    def shape(self) -> int: ...

    def is_empty(self, bucket: str) -> bool: ...


class Rule(NamedTuple):
    """An admission rule set, and whether what it adds needs no defaults."""

    admission: Admission
    complete: bool


class Running(NamedTuple):
    """Functions to call, in order. `default_again`: may they add what needs defaults?"""

    mutating: tuple[Admit, ...]
    validating: tuple[Admit, ...]
    default_again: bool
    settling: tuple[Admit, ...] = ()
    always: bool = False
    """Are there any that want to see also what changes nothing?"""


class Rules:
    """In the order in which they run."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = sorted(rules, key=lambda rule: rule.admission.last)
        self._shape = -1
        self._known: dict[tuple[str, bool], Running] = {}

    def running(self, store: Presence, operation: str, subresource: str) -> Running:
        """What must be asked about an operation now."""
        if store.shape != self._shape:
            self._known.clear()
            self._shape = store.shape
        found = self._known.get((operation, not subresource))
        if found is None:
            found = self._known[operation, not subresource] = self._choose(store, operation, whole=not subresource)
        return found

    def _choose(self, store: Presence, operation: str, *, whole: bool) -> Running:
        chosen = [rule for rule in self._rules if _concerns(rule.admission, store, operation, whole=whole)]
        mutating = tuple(rule.admission.mutate for rule in chosen if rule.admission.mutate)
        validating = tuple(rule.admission.validate for rule in chosen if rule.admission.validate)
        settling = tuple(rule.admission.settle for rule in chosen if rule.admission.settle)
        default_again = any(rule.admission.mutate and not rule.complete for rule in chosen)
        return Running(mutating, validating, default_again, settling, any(rule.admission.always for rule in chosen))


def _concerns(admission: Admission, store: Presence, operation: str, *, whole: bool) -> bool:
    if admission.operations and operation not in admission.operations:
        return False
    if admission.whole and not whole:
        return False
    return not admission.buckets or not all(store.is_empty(bucket) for bucket in admission.buckets)
