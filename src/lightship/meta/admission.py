"""Admission: the last word before an object is stored, for rules that must look at other objects.

The server calls admission functions in order (mutating first, validating last); on a real cluster the same functions stand behind a
webhook. Rules that need nothing but the object itself belong in `Resource.default` and `Resource.validate`.
Contract: admission.k8s.io/v1 AdmissionRequest.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import msgspec

from .objects import Obj
from .resources import Resource
from .rest import DeleteOptions, User, WriteOptions


class AdmissionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`obj` is private to the request while mutating (change it in place), shared while validating (do not)."""

    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    resource: Resource
    subresource: str
    namespace: str
    name: str
    obj: Obj | None
    old: Obj | None
    user: User
    dry_run: bool = False
    options: WriteOptions | DeleteOptions | None = None
    """What the client asked for besides the object."""
    also: list[Any] = []
    """Store operations that an admission function appends: they are written in the same commit as the object, or neither is (a quota's
    charge). When one of them meets a newer revision, admission is asked again, from an empty list. A dry run writes none of them."""
    rounds: dict[str, Any] = {}
    """What is remembered while mutating functions are called, and perhaps called once more, because one has changed the object."""
    warnings: list[str] = []
    """What the client is to be told even when the request is refused in the end."""
    annotations: dict[str, str] = {}
    """What admission functions note for the audit trail of the request; the first note of a key counts."""


Admit: TypeAlias = Callable[[AdmissionRequest], Awaitable[list[str] | None]]
"""Let the request pass (return warnings or None) or raise `StatusError`."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """One admission rule set: which resources it wants to see, and the function that judges them."""

    name: str
    resources: tuple[Resource, ...]
    """Empty: every resource."""
    mutate: Admit | None = None
    settle: Admit | None = None
    """Completes or judges, for the server itself, what nobody is going to change any more: the object has its name and uid and is private
    still. Called after all that mutate and before validation."""
    validate: Admit | None = None
    last: bool = False
    """Runs after all that are not: a quota charges only what nobody else refuses."""
    always: bool = False
    """Wants to see also updates that change nothing."""
    operations: tuple[str, ...] = ()
    """The operations that it has anything to say to; empty: all."""
    whole: bool = False
    """Has nothing to say to subresources."""
    buckets: tuple[str, ...] = ()
    """Kinds of objects that it goes by (`core/resourcequotas`): while there is none of them, it has nothing to say. Empty: it always has.
    All three only spare calls: a function that is called nevertheless lets such requests pass."""
