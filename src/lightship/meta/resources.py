"""A `Resource` is everything a server, a client or a table needs to know about one kind: names, scope, schema, columns, rules.

Built-in kinds are declared in `kinds`, ours and upstream's custom kinds in each capability's `api.py`; `main` hands them all to the
server, which serves them at once. Clients and controllers use the same values to name what they talk about.
The rules are pure functions over plain objects; admission that must look at *other* objects is `meta.admission`, not here.
Contract: metav1.APIResource, CustomResourceDefinition names, printer columns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from .errors import Cause
from .objects import GVK, Obj

Default: TypeAlias = Callable[[Obj], None]
"""Fill defaults, in place, in a private copy of an object that was just decoded."""
Validate: TypeAlias = Callable[[Obj, Obj | None], list[Cause]]
"""(new, old or None on create) → everything wrong with new; empty when it may be stored."""
Prepare: TypeAlias = Callable[[Obj, Obj | None], None]
"""Set, in place, what the server decides (a fresh pod's phase, fields that clients may not touch): after defaults, before admission. It
has no owner in managedFields; what `Default` sets has."""
Warn: TypeAlias = Callable[[Obj, Obj | None], list[str]]
"""(new, old or None on create) → what the client should know of an object that may be stored."""
Row: TypeAlias = Callable[[Obj, float], list[Any]]
"""(object, seconds since the epoch) → one cell for each of the resource's columns."""

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a Table; `json_path` is set for custom kinds only, built-in ones compute their cells in `Resource.row`."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""
    json_path: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a kind keeps its replica counts, for the /scale subresource."""

    spec_path: str = ".spec.replicas"
    status_path: str = ".status.replicas"
    selector_path: str = ""


class Requester(Protocol):
    """Who writes, for the few kinds that note it (`meta.rest.User` is one)."""

    @property
    def name(self) -> str: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def uid(self) -> str: ...
    @property
    def extra(self) -> dict[str, list[str]]: ...


Sign: TypeAlias = Callable[[Obj, Obj | None, Requester, str], None]
"""(new, old or None on create, who writes, RFC 3339 time): note, in place, who wrote and when. Runs after `Prepare`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The rules of a subresource that is a view of the object (`status`, `approval`): the write already changes nothing else.

    `merge` is for those whose part is not the status: (what was sent, what is stored) → what to store, private but for shared parts.
    """

    merge: Callable[[Obj, Obj], Obj] | None = None
    prepare: Prepare | None = None
    validate: Validate | None = None
    warn: Warn | None = None
    sign: Sign | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resource:
    """One kind as served under one group and version. Identity is (group, version, plural)."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    list_name: str = ""
    """The kind of a list, where that is not the kind with `List` behind it."""
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    status: bool = False
    scale: Scale | None = None
    subresources: tuple[str, ...] = ()
    """Further subresources by name (`log`, `binding`, `token`); what they do is the server's."""
    schema: Obj | None = None
    """OpenAPI schema of the object, `$ref`s into `kinds` allowed; None accepts anything."""
    custom: bool = False
    """True for CRD-like kinds: unknown fields are pruned by the structural schema, strategic merge is refused."""
    columns: tuple[Column, ...] = ()
    row: Row | None = None
    selectable: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field selectors beyond metadata.name and metadata.namespace: label → path into the object."""
    prepare: Prepare | None = None
    default: Default | None = None
    validate: Validate | None = None
    warn: Warn | None = None
    sign: Sign | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    """Rules of writes to subresources, by name; `status` may be missing, any other name here is served for GET, PUT and PATCH."""
    unconditional_update: bool = True
    """May PUT come without a resourceVersion (as the real server allows for this kind)?"""
    graceful: bool = False
    """Deletion is two-step with a grace period (pods)."""
    keeps_dependents: str = ""
    """Not empty for a kind whose deletion leaves what it owns unless the client says otherwise: the warning that tells so (Jobs)."""
    deprecation: str = ""
    """Not empty for a version that should no longer be used: the warning that every user of it gets."""
    storage: tuple[str, str] | None = None
    """(group, plural) under which objects are stored, when two groups share one kind (events)."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def gvk(self) -> GVK:
        return GVK(self.group, self.version, self.kind)

    @property
    def list_kind(self) -> str:
        return self.list_name or self.kind + "List"

    @property
    def identity(self) -> tuple[str, str, str]:
        return (self.group, self.version, self.plural)

    @property
    def bucket(self) -> str:
        """Where the store keeps objects of this kind, whichever version serves them: `<group or core>/<plural>`."""
        group, plural = self.storage or (self.group, self.plural)
        return f"{group or 'core'}/{plural}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of this resource, as every client builds it."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace and self.namespaced:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        parts.extend(p for p in (name, subresource) if p)
        return "/".join(parts)

    def __repr__(self) -> str:
        return f"<{self.plural}.{self.group or 'core'}/{self.version}>"

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resource) and other.identity == self.identity
