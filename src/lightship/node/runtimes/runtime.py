"""The seam between the node agent and whatever runs its pods: plain values in, addresses and exits out.

The agent (`node.agent`) calls a `Runtime`; `runtimes.sandbox` implements it with Linux namespaces, `runtimes.process` with ordinary child
processes, `runtimes.engine` with containers of podman or Docker. Values here know nothing of pods as API objects: the agent has already
resolved images, environment, volumes and names. All runtimes pass the same contract suite (`tests/node/contract.py`).
"""

import socket
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec

Files: TypeAlias = tuple[int, int, int]
"""Descriptors of stdin, stdout and stderr."""


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to show inside a container: a host file or directory, or a fresh tmpfs when `source` is empty."""

    target: str
    """Absolute path inside the container."""
    source: str = ""
    """Absolute path on the host; empty for a tmpfs."""
    sub_path: str = ""
    """What to show of `source`, a path below it that is followed when the container starts and never out of `source`; made, as a
    directory, when it is missing."""
    name: str = ""
    """What the pod calls it, for messages."""
    read_only: bool = False
    of_image: bool = False
    """It is part of the image's tree: the container may change what it sees of it, where it has layers of its own."""
    size: int | None = None
    """Bytes that a tmpfs may hold; None: half of the machine's memory, the kernel's default."""


class Tmpfs(msgspec.Struct, frozen=True, kw_only=True):
    """A volume in memory, made with a sandbox and gone with it, which its containers may mount by its path."""

    path: str
    """An empty directory on the host, over which the sandbox, and nobody else, sees the volume."""
    size: int | None = None
    """Bytes that it may hold; None: half of the machine's memory, the kernel's default."""
    gid: int | None = None
    """The group that it belongs to."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a container may use, and what it is promised. None: as much as there is."""

    cpu_request: float = 0.0
    """Processors promised: its weight when there are too few."""
    cpu: float | None = None
    """Processors at most."""
    memory: int | None = None
    """Bytes at most; what takes more is killed."""
    pids: int | None = None
    """Processes and threads at most. None for a pod: what one pod may have on this machine; for a container: no more than its pod."""
    oom_score_adj: int = 500
    """How readily the kernel takes a container's processes when the machine runs out of memory, from -1000 to 1000."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a container, or a pod as a whole, uses and has used. Bytes; -1 where this machine does not count it."""

    cpu: int
    """Nanoseconds of processors, since its start."""
    memory: int
    working_set: int
    """Memory that cannot be taken from it: without cached files that nobody has used for a while."""
    rss: int
    processes: int
    """Threads count."""
    page_faults: int = 0
    major_page_faults: int = 0


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """Who a container is and what the kernel lets it do. Contract: core/v1 SecurityContext, of container and pod merged."""

    uid: int | None = None
    gid: int | None = None
    groups: list[int] = []
    """Supplementary groups, the pod's `fsGroup` among them."""
    privileged: bool = False
    add_capabilities: list[str] = []
    """Without `CAP_`; `ALL` means all."""
    drop_capabilities: list[str] = []
    read_only_root: bool = False
    allow_escalation: bool = True
    seccomp: str = "RuntimeDefault"
    """`RuntimeDefault`, `Unconfined`, or the path of a profile on the host."""
    unmasked_proc: bool = False
    """Show the parts of /proc that tell about the machine; what would change it stays closed."""


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What the containers of one pod share: address, hostname, process tree."""

    id: str
    """The pod's uid."""
    name: str
    namespace: str
    directory: str
    """The pod's private directory on the host; the runtime writes nowhere else. Created when missing."""
    hostname: str = ""
    """Empty: the pod's name."""
    domain: str = ""
    """Where the pod has a name of its own in DNS; empty when it has none."""
    hosts: str = ""
    """Lines for /etc/hosts besides those for localhost and the pod itself."""
    node: str = ""
    """Name of the node that the pod runs on."""
    host_network: bool = False
    """No network of its own: that of its node."""
    host_processes: bool = False
    """Its containers see, but cannot signal, all processes of the cluster on this machine."""
    host_ipc: bool = False
    """Message queues and semaphores are those of the cluster on this machine."""
    share_processes: bool = False
    """Its containers see and may signal each other's processes; otherwise each has its own, its program being number 1."""
    sysctls: dict[str, str] = {}
    limits: Limits = Limits()
    """For all its containers together."""
    memory: list[Tmpfs] = []
    """Volumes in memory. Host mode has none: they stay the directories that they are."""
    qos: str = "Burstable"
    """Quality of service, as in a pod's status."""
    resolv_conf: str = ""
    """The whole /etc/resolv.conf; empty: name servers and search domains of the cluster for the pod's namespace."""


class Warm(msgspec.Struct, frozen=True, kw_only=True):
    """An environment whose interpreter may be kept ready, with libraries loaded, to fork containers from."""

    environment: str
    python: str
    """Absolute path of its interpreter, as its containers see it."""
    libraries: list[str] = []
    """Modules worth loading besides the standard library's."""


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One process to start inside a sandbox, with everything resolved."""

    id: str
    """Unique among all containers and restarts of this runtime; `Exit` carries it back."""
    sandbox_id: str
    name: str
    argv: list[str]
    env: dict[str, str]
    """The whole environment: nothing is inherited. A PATH is added when there is none."""
    log_path: str
    """Host file that stdout and stderr are appended to, in CRI format. Its directory is created when missing."""
    cwd: str = ""
    """Empty: a private writable directory, which is also HOME when `env` names none."""
    mounts: list[Mount] = []
    read_only_paths: list[str] = []
    """Host directories of the environment (interpreter, packages) to show at their own paths."""
    termination_message_path: str = ""
    """Path inside the container; the agent mounts a file there, the runtime only makes sure that it can be written."""
    image: str = ""
    """What an engine of containers calls the image that it runs; others know no such thing."""
    root: str = ""
    """Host directory with the file tree of an unpacked image; empty: the host's system directories, read-only."""
    security: Security = Security()
    limits: Limits = Limits()
    target: str = ""
    """Id of a container of the same pod whose processes it shares; empty: none in particular."""
    stdin: bool = False
    """Whether its standard input is kept open for those who attach; otherwise it is empty."""
    stdin_once: bool = False
    tty: bool = False
    warm: Warm | None = None
    """What its program may be forked from in place of a fresh interpreter; None: nothing."""


class Exit(NamedTuple):
    """A container has ended and its log is complete. A death by signal has `code` 128 + `signal`."""

    container_id: str
    code: int
    signal: int
    finished: float
    """Seconds since the epoch."""
    reason: str = ""
    """`OOMKilled` when it wanted more memory than it may have; empty: what the code says."""


class Attached(Protocol):
    """A client's hold on the streams of a container that runs: what it says from now on, and its input."""

    async def read(self) -> tuple[bytes, bool] | None:
        """The next that the container said, and whether on stderr; None when it has ended, or this client was too slow for it."""
        ...

    async def write(self, data: bytes) -> None:
        """Its input. What it cannot read is dropped."""
        ...

    def end_input(self) -> bool:
        """This client has no more input: False when that ends the whole visit, since the container's own input stays open."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """The window of its terminal, if it has one."""
        ...

    def close(self) -> None:
        """Let go; the container runs on. Idempotent."""
        ...


class Program(Protocol):
    """A program that runs beside a container."""

    terminal: int
    """Descriptor of the terminal that was made for it inside the pod, for the caller to close; -1 for none."""

    def __await__(self) -> Generator[Any, None, int]:
        """Its exit code, once it has ended; more than one may wait."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """The window of its terminal, while that is open. Raises `OSError` when it has none."""
        ...

    def kill(self) -> None:
        """End it, and what it has started in its process group. Nothing happens when it has ended."""
        ...


class Left(NamedTuple):
    """A sandbox that outlived the process which made it."""

    address: str
    containers: dict[str, ContainerSpec]
    """Those that run, by name."""
    exits: list[Exit]
    """The last ends of others; they may have been told before."""


class RuntimeUnavailableError(Exception):
    """The runtime itself could not do what was asked (no namespaces left, helper process gone): worth a retry."""


class ContainerError(Exception):
    """A container that never started: `reason` as in a container's status, `exit_code` as a shell would report it.

    Reasons: `StartError` (code 127 not found, 126 not executable, 128 anything else), `CreateContainerError` (a mount or directory
    could not be prepared, 128), `CreateContainerConfigError` (a sub path leaves its volume, 128), `SandboxGone` (the
    pod's sandbox is not there any more, 128).
    """

    def __init__(self, reason: str, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.exit_code = exit_code


class Runtime(Protocol):
    """Runs pods on this machine. All methods are called from one event loop, the one that `start` ran in."""

    @property
    def kind(self) -> str:
        """`sandbox` (Linux namespaces), `process` (host mode), or the engine of containers: `podman`, `docker`."""
        ...

    @property
    def serves(self) -> bool:
        """Whether `listen` gives sockets at addresses of the cluster, which pods can reach. Known once it is started."""
        ...

    @property
    def limits(self) -> tuple[str, str]:
        """Who keeps limits, once started: `cgroup v1`, `cgroup v2`, an engine or `watchdog`; of the last also why, and what to do."""
        ...

    async def start(self) -> None:
        """Make the pod network ready. Raises `RuntimeUnavailableError` when this machine cannot."""
        ...

    async def close(self) -> None:
        """End every container and give back everything; idempotent."""
        ...

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        """Make the pod's surroundings; returns its IP address, the same one for the same id. Raises `RuntimeUnavailableError`."""
        ...

    def claim(self, sandbox_id: str) -> Left | None:
        """Take over a sandbox that was there before this process; its containers end, and are told of, as if they were made here.

        None when there is none. Only the first claim has an answer.
        """
        ...

    async def remove_unclaimed(self) -> None:
        """End the sandboxes that nobody has claimed: their pods are gone."""
        ...

    async def start_container(self, spec: ContainerSpec) -> int:
        """Start a process; returns its pid on the host once the program really runs. Raises `ContainerError`."""
        ...

    async def execute(self, container_id: str, argv: list[str], files: Files | None) -> Program:
        """Start one more program beside a running container, as it sees the world; awaiting the result gives its exit code.

        `files` are its stdin, stdout and stderr; the caller closes its own copies when this has returned. None: a terminal is made
        for it, whose other end is the result's. Raises `ContainerError`; of a container that does not run with `SandboxGone`.
        """
        ...

    def attach(self, container_id: str) -> Attached:
        """Join the streams of a running container. Raises `ContainerError` with `SandboxGone` when it does not run."""
        ...

    async def signal(self, container_id: str, signum: int) -> None:
        """Send a signal to the container's process (SIGKILL: to all that it started). A container that has ended is left alone."""
        ...

    async def update(self, container_id: str, limits: Limits) -> None:
        """Change what a running container may use. One that has ended is left alone. Raises `ContainerError` when it cannot be done."""
        ...

    async def update_sandbox(self, sandbox_id: str, limits: Limits) -> None:
        """Change what a pod may use as a whole; as `update`."""
        ...

    async def usage(self) -> dict[str, Usage]:
        """What everything uses now, by the ids of sandboxes and of containers that run."""
        ...

    async def wait_lost(self) -> str:
        """Returns, with the reason, when this runtime cannot run pods any more: its owner makes a new one."""
        ...

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        """Call `callback` on the event loop once for each container that `start_container` returned for, also when its sandbox dies."""
        ...

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs, give back address and surroundings. The directory stays: it is the agent's. Idempotent."""
        ...

    async def node_address(self, node: str) -> str:
        """Where the node of that name is found by pods: always the same, and every node has another one. Raises `OSError`."""
        ...

    async def netfilter(self, node: str = "") -> socket.socket:
        """A non-blocking netlink socket to the packet rules of the pod network, or of a node in it. Raises `OSError`."""
        ...

    async def listen(self, address: str, port: int, *, datagram: bool = False, transparent: bool = False) -> socket.socket:
        """A non-blocking bound (and, for streams, listening) socket as pods see the network. Raises `OSError`.

        A `transparent` one may be handed connections that are meant for others.
        """
        ...

    async def open_socket(self, *, datagram: bool = False, sandbox_id: str = "") -> socket.socket:
        """A non-blocking socket, not yet connected, that reaches pods at their addresses: for probes, forwarding, services.

        With `sandbox_id` it is as one of that pod's own, and reaches what that reaches; without networks of their own, all are.
        """
        ...
