"""The verbs of a Kubernetes API as one Protocol, so that controllers cannot tell an in-process server from a cluster.

`apiserver.local` and `client.http` implement `Transport`; `client.Client` wraps either. Everything here is values and signatures.
Contract: Kubernetes API concepts; metav1.ListOptions, DeleteOptions, PodLogOptions.
"""

from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import msgspec

from .objects import Obj
from .resources import Resource
from .stored import Stored

EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
PatchType: TypeAlias = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]
JSON_PATCH: PatchType = "application/json-patch+json"
MERGE_PATCH: PatchType = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: PatchType = "application/strategic-merge-patch+json"
APPLY_PATCH: PatchType = "application/apply-patch+yaml"


class User(msgspec.Struct, frozen=True):
    """Who asks: an authenticated identity."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = {}


class ListOptions(msgspec.Struct, frozen=True, kw_only=True):
    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    resource_version_match: str = ""


class WatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`timeout` in seconds, 0 for the server's own choice."""

    label_selector: str = ""
    field_selector: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    allow_bookmarks: bool = True
    send_initial_events: bool = False
    timeout: int = 0


class WriteOptions(msgspec.Struct, frozen=True, kw_only=True):
    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = ""
    """Strict, Warn, Ignore, or empty for the server's default."""
    force: bool = False


class DeleteOptions(msgspec.Struct, frozen=True, kw_only=True):
    grace_period_seconds: int | None = None
    propagation_policy: str = ""
    """Background, Foreground, Orphan, or empty for the kind's default."""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    container: str = ""
    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: str = ""
    timestamps: bool = False
    limit_bytes: int | None = None


class CommandOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to run in a container (`exec`), or with no command: attach to what runs there."""

    container: str = ""
    command: tuple[str, ...] = ()
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class CommandIO(Protocol):
    """The streams of a command, as the node that runs it sees them."""

    async def read(self) -> bytes:
        """Input; empty at its end."""
        ...

    async def write(self, data: bytes, *, error: bool = False) -> None:
        """Output, or errors. Raises `ConnectionError` when nobody listens any more."""
        ...

    async def resized(self) -> tuple[int, int]:
        """The next size of the window, (columns, rows)."""
        ...


class Listing(NamedTuple):
    """One page of a list; items are shared, never mutate them."""

    items: Sequence[Obj]
    resource_version: str
    continue_: str = ""
    remaining: int | None = None


class WatchEvent(NamedTuple):
    """One line of a watch; the object is shared, never mutate it. `stored` is where it can be had again, if somebody keeps it."""

    type: EventType
    object: Obj
    stored: Stored | None = None


class Transport(Protocol):
    """The API of a cluster for one user. Every method raises `meta.errors.StatusError` when the server refuses."""

    async def get(self, resource: Resource, namespace: str, name: str, *, subresource: str = "") -> Obj: ...

    async def list(self, resource: Resource, namespace: str, options: ListOptions) -> Listing:
        """All namespaces when `namespace` is empty."""
        ...

    def watch(self, resource: Resource, namespace: str, options: WatchOptions) -> AsyncIterator[WatchEvent]:
        """Ends when the server ends it; an ERROR event is raised as `StatusError` (410 Expired: list again)."""
        ...

    async def create(
        self,
        resource: Resource,
        namespace: str,
        obj: Obj,
        *,
        name: str = "",
        subresource: str = "",
        options: WriteOptions = ...,
    ) -> Obj:
        """`name` and `subresource` only for subresources that are created (`binding`, `token`, `eviction`)."""
        ...

    async def update(
        self, resource: Resource, namespace: str, name: str, obj: Obj, *, subresource: str = "", options: WriteOptions = ...
    ) -> Obj: ...

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Any,
        *,
        type: PatchType,
        subresource: str = "",
        options: WriteOptions = ...,
    ) -> Obj: ...

    async def delete(self, resource: Resource, namespace: str, name: str, options: DeleteOptions = ...) -> Obj:
        """The deleted object, or a `Status`."""
        ...

    async def delete_collection(self, resource: Resource, namespace: str, selection: ListOptions, options: DeleteOptions = ...) -> None: ...

    def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Chunks of a container's log as they come."""
        ...

    async def close(self) -> None: ...


class Measured(NamedTuple):
    """What something uses: billionths of a processor, and bytes that cannot be taken from it."""

    cpu: int
    memory: int


class Measurement(NamedTuple):
    """What a node and its pods use. Processors are averages over `window` seconds that ended at `time`, seconds since the epoch."""

    time: float
    window: float
    node: Measured
    pods: dict[str, dict[str, Measured]]
    """Running containers by name, by the pod's uid; one that has just started may be missing."""


class NodeAnswer(NamedTuple):
    """What a node's web server answers: a body, or a stream of one without an end in sight."""

    code: int
    content_type: str
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None


class NodeConnection(Protocol):
    """What an API server asks of the node that runs a pod; `node` implements it, `main` wires it, the server calls it."""

    def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Raises `StatusError` (400 while the container has not started, as the kubelet says it)."""
        ...

    async def run_command(self, namespace: str, pod: str, uid: str, options: CommandOptions, io: CommandIO) -> int:
        """Run a command in a container, or attach to it, to its end: the exit code. Cancelled when the client has gone.

        Raises `StatusError` when it cannot be started (400 for a container that does not run).
        """
        ...

    async def answer(self, method: str, path: str, query: str) -> NodeAnswer:
        """What the kubelet's own web server would answer to a request for a path, which begins with a slash. Refusals are answers."""
        ...

    async def connect(self, namespace: str, pod: str, uid: str, port: int, *, inside: bool = False) -> tuple[StreamReader, StreamWriter]:
        """A TCP connection to a port of the pod; `inside`: as one of its own processes would make it, to its loopback.

        Raises `OSError`, or `StatusError` when the pod does not run.
        """
        ...


@runtime_checkable
class Measurable(Protocol):
    """A `NodeConnection` that can also tell what is used."""

    async def measure(self) -> Measurement:
        """What the node and its pods use now. May take a second when nobody has asked lately."""
        ...
