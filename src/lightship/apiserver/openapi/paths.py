"""The operations of resources as OpenAPI tells them, in a form that is neither version 2 nor 3: paths, parameters, bodies, answers.

`openapi` asks for the places of each resource and writes them in the one or the other version. Pure functions of resources; the facts are
the real server's, whose documents these are compared with.
Contract: apiserver pkg/endpoints/installer.go (built-in kinds), apiextensions-apiserver pkg/controller/openapi/builder (custom ones).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from lightship.apiserver import discovery, traits
from lightship.apiserver.media.negotiation import ALL, JSON, PROTOBUF, YAML
from lightship.meta.objects import GVK
from lightship.meta.resources import Resource
from lightship.meta.rest import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
TEXT = "string"
"""In the place of a schema: plain text."""
_LIST = (
    *("allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "resourceVersionMatch"),
    *("sendInitialEvents", "shardSelector", "timeoutSeconds", "watch"),
)
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = ("dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "orphanDependents", "propagationPolicy")
_SELECT = tuple(name for name in _LIST if name not in ("allowWatchBookmarks", "watch"))
_LOG = (
    *("container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "previous", "sinceSeconds", "stream", "tailLines"),
    "timestamps",
)
_CONNECT: Mapping[str, tuple[str, ...]] = {
    "attach": ("container", "stderr", "stdin", "stdout", "tty"),
    "exec": ("command", "container", "stderr", "stdin", "stdout", "tty"),
    "portforward": ("ports",),
    "proxy": ("path",),
}
_CONNECT_METHODS = {"proxy": ("get", "put", "post", "delete", "options", "head", "patch")}
_STREAMS = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
IN_PATH = ("{name}", "{namespace}", "{path}")
"""Parameters that are parts of paths; in their braces, so that they are none of queries that are called the same."""
_TYPES = {
    **dict.fromkeys(("limit", "timeoutSeconds", "gracePeriodSeconds", "limitBytes", "sinceSeconds", "tailLines", "ports"), "integer"),
    **dict.fromkeys(("allowWatchBookmarks", "sendInitialEvents", "watch", "orphanDependents", "force", "follow", "previous"), "boolean"),
    **dict.fromkeys(("timestamps", "insecureSkipTLSVerifyBackend", "stderr", "stdin", "stdout", "tty"), "boolean"),
    "ignoreStoreReadErrorWithClusterBreakingPotential": "boolean",
}
_VIEWS = {"get": "get", "put": "update", "patch": "patch"}


class Operation(NamedTuple):
    """`answers` maps codes to names of schemas; `body` is one, or empty."""

    id: str
    action: str
    gvk: GVK
    parameters: tuple[str, ...] = ()
    body: str = ""
    required: bool = True
    consumes: tuple[str, ...] = ("*/*",)
    produces: tuple[str, ...] = ALL
    answers: Mapping[int, str] = {}


class Place(NamedTuple):
    """A path with its operations by method. `shared` are the parameters of all of them."""

    path: str
    shared: tuple[str, ...]
    operations: Mapping[str, Operation]


def type_of(parameter: str) -> str:
    return _TYPES.get(parameter, "string")


def tag(group: str, version: str) -> str:
    """`rbacAuthorization_v1`."""
    return f"{_camel(group) or 'core'}_{version}"


def identifier(verb: str, group: str, version: str, rest: str) -> str:
    """`listRbacAuthorizationV1Role`."""
    name = _camel(group) or "core"
    return f"{verb}{name[0].upper()}{name[1:]}{version[0].upper()}{version[1:]}{rest}"


def places(resource: Resource, name: str) -> Iterator[Place]:
    """All paths of a resource whose objects' schema is called `name`."""
    writer = _Writer(resource, name)
    collection, item = resource.path("{namespace}"), resource.path("{namespace}", "{name}")
    yield writer.place(collection, writer.of_collection())
    if "get" in resource.verbs:
        yield writer.place(
            item, writer.of_item("", name, resource.gvk, {"get": "get", "put": "update", "delete": "delete", "patch": "patch"})
        )
    if resource.namespaced and "list" in resource.verbs:
        yield writer.place(resource.path(), {"get": writer.listing(everywhere=True)})
    for subresource, spoken in writer.subresources():
        yield from writer.of_subresource(f"{item}/{subresource}", subresource, spoken)
    if "watch" in resource.verbs and not resource.custom:
        yield from writer.watches()


class _Writer:
    """One resource being described."""

    def __init__(self, resource: Resource, name: str) -> None:
        self.resource = resource
        self.name = name
        self.custom = resource.custom
        self._scope = "Namespaced" if resource.namespaced else ""
        self._consumes = (JSON, YAML) if self.custom else ("*/*",)
        self._produces = (JSON, YAML) if self.custom else ALL

    def place(self, path: str, operations: Mapping[str, Operation]) -> Place:
        """A path; what all its operations take is said once."""
        named = tuple(p for p in IN_PATH if p in path)
        pretty = () if any(o.action == "connect" for o in operations.values()) else ("pretty",)
        common = frozenset.intersection(*(frozenset(o.parameters) for o in operations.values())) if operations else frozenset()
        left = {method: o._replace(parameters=tuple(p for p in o.parameters if p not in common)) for method, o in operations.items()}
        return Place(path, tuple(sorted((*named, *common, *pretty), key=lambda p: p.strip("{}"))), left)

    def of_collection(self) -> dict[str, Operation]:
        found: dict[str, Operation] = {}
        if "list" in self.resource.verbs:
            found["get"] = self.listing()
        if "create" in self.resource.verbs:
            found["post"] = self.write("create", "post", self.name, self.resource.gvk, "", (200, 201, 202))
        if "deletecollection" in self.resource.verbs:
            parameters = _LIST if self.custom else tuple(sorted({*_SELECT, *_DELETE}))
            found["delete"] = self._make(
                "delete",
                "deletecollection",
                f"Collection{self._scope}{self.resource.kind}",
                self.resource.gvk,
                parameters,
                {200: f"{META}.Status"},
            )._replace(body="" if self.custom else f"{META}.DeleteOptions", required=False)
        return found

    def of_item(self, suffix: str, name: str, gvk: GVK, methods: Mapping[str, str]) -> dict[str, Operation]:
        found: dict[str, Operation] = {}
        for method, verb in methods.items():
            if verb not in self.resource.verbs and not suffix:
                continue
            if verb == "get":
                parameters = ("resourceVersion",) if self.custom else ()
                found[method] = self._make("read", "get", f"{self._scope}{self.resource.kind}{suffix}", gvk, parameters, {200: name})
            elif verb == "delete":
                found[method] = self._deletion()
            elif verb == "update":
                found[method] = self.write("replace", "put", name, gvk, suffix, (200, 201))
            else:
                found[method] = self._patch(suffix, name, gvk)
        return found

    def listing(self, *, everywhere: bool = False) -> Operation:
        suffix = "ForAllNamespaces" if everywhere else ""
        scope = "" if everywhere else self._scope
        found = self._make("list", "list", f"{scope}{self.resource.kind}{suffix}", self.resource.gvk, _LIST, {200: f"{self.name}List"})
        streams = () if self.custom else _STREAMS
        return found._replace(produces=(*self._produces, *streams))

    def write(self, verb: str, action: str, name: str, gvk: GVK, suffix: str, codes: Iterable[int]) -> Operation:
        rest = f"{self._scope}{self.resource.kind}{suffix}"
        return self._make(verb, action, rest, gvk, _WRITE, dict.fromkeys(codes, name))._replace(body=name)

    def subresources(self) -> list[tuple[str, GVK]]:
        resource = self.resource
        names = [*(("status",) if resource.status else ()), *(("scale",) if resource.scale else ()), *resource.subresources]
        return [(name, discovery.spoken(resource, name)) for name in sorted(set(names))]

    def of_subresource(self, path: str, name: str, gvk: GVK) -> Iterator[Place]:
        suffix = name[0].upper() + name[1:]
        # Custom kinds call even their scale by their own name.
        told = self.resource.gvk if self.custom else gvk
        if name in _CONNECT:
            yield self.place(path, self._connections(name, gvk, ""))
            if name == "proxy":
                yield self.place(f"{path}/{{path}}", self._connections(name, gvk, "WithPath"))
        elif name == "log":
            made = self._make("read", "get", f"{self._scope}{self.resource.kind}Log", self.resource.gvk, _LOG, {200: TEXT})
            yield self.place(path, {"get": made._replace(produces=("text/plain", *ALL))})
        elif name in ("binding", "eviction", "token"):
            yield self.place(path, {"post": self.write("create", "post", component(gvk), gvk, suffix, (200, 201, 202))})
        elif name == "finalize":
            yield self.place(path, {"put": self.write("replace", "put", self.name, gvk, suffix, (200, 201))})
        else:
            schema = self.name if gvk == self.resource.gvk else component(gvk)
            yield self.place(path, self.of_item(suffix, schema, told, _VIEWS))

    def watches(self) -> Iterator[Place]:
        """The old way to watch, which is still told."""
        resource = self.resource
        root = resource.path().removesuffix(f"/{resource.plural}")
        kind = resource.kind
        if resource.namespaced:
            yield self._watch(f"{root}/watch/{resource.plural}", "watchlist", f"{kind}ListForAllNamespaces")
            root += "/watch/namespaces/{namespace}"
        else:
            root += "/watch"
        yield self._watch(f"{root}/{resource.plural}", "watchlist", f"{self._scope}{kind}List")
        yield self._watch(f"{root}/{resource.plural}/{{name}}", "watch", f"{self._scope}{kind}")

    def _watch(self, path: str, action: str, rest: str) -> Place:
        made = self._make("watch", action, rest, self.resource.gvk, _LIST, {200: f"{META}.WatchEvent"})
        return self.place(path, {"get": made._replace(produces=(*ALL, *_STREAMS))})

    def _deletion(self) -> Operation:
        resource = self.resource
        # A namespace is returned, too, but the document does not say so.
        answer = self.name if traits.returns_deleted(resource) and resource.kind != "Namespace" else f"{META}.Status"
        made = self._make("delete", "delete", f"{self._scope}{resource.kind}", resource.gvk, _DELETE, {200: answer, 202: answer})
        return made._replace(body=f"{META}.DeleteOptions", required=False)

    def _patch(self, suffix: str, name: str, gvk: GVK) -> Operation:
        rest, parameters = f"{self._scope}{self.resource.kind}{suffix}", (*_WRITE, "force")
        strategic = () if self.custom else (STRATEGIC_MERGE_PATCH,)
        made = self._make("patch", "patch", rest, gvk, parameters, dict.fromkeys((200,) if self.custom else (200, 201), name))
        return made._replace(body=f"{META}.Patch", consumes=(JSON_PATCH, MERGE_PATCH, *strategic, APPLY_PATCH))

    def _connections(self, name: str, gvk: GVK, suffix: str) -> dict[str, Operation]:
        found = {}
        for method in _CONNECT_METHODS.get(name, ("get", "post")):
            rest = f"{method[0].upper()}{method[1:]}{self._scope}{self.resource.kind}{name[0].upper()}{name[1:]}{suffix}"
            found[method] = self._make("connect", "connect", rest, gvk, _CONNECT[name], {200: TEXT})._replace(produces=("*/*",))
        return found

    def _make(self, verb: str, action: str, rest: str, gvk: GVK, parameters: tuple[str, ...], answers: Mapping[int, str]) -> Operation:
        resource = self.resource
        id = identifier(verb, resource.group, resource.version, rest)
        return Operation(id, action, gvk, parameters, "", True, self._consumes, self._produces, answers)


def component(gvk: GVK) -> str:
    """The name of the schema of a built-in kind that is spoken by a subresource."""
    return f"io.k8s.api.{gvk.group.partition('.')[0] or 'core'}.{gvk.version}.{gvk.kind}"


def _camel(group: str) -> str:
    first, *rest = group.removesuffix(".k8s.io").replace("-", ".").split(".")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
