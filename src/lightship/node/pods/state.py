"""What the agent has observed of one pod: plain facts, recorded by events, read by the pure core (`sync`) and by `status`.

The agent holds one `PodState` per pod and calls the recording methods below as things happen; nothing here decides anything.
After a restart of the agent, `recovery` makes the facts of what the API and the runtime still know.
All times are seconds since the epoch.
"""

from dataclasses import dataclass, field

from lightship.meta.objects import Obj

BACKOFF_START = 10.0
BACKOFF_LIMIT = 300.0
"""Restart and image back-off in seconds, doubling; forgotten after twice the limit without an event. Contract: kubelet defaults."""

RETRY_START = 0.5
RETRY_LIMIT = 122.0
"""Seconds between tries to set up volumes or configuration. Contract: kubelet's volume manager."""


@dataclass(slots=True)
class Finished:
    """How one run of a container ended."""

    id: str
    code: int
    signal: int
    reason: str
    message: str
    started: float
    finished: float


@dataclass(slots=True)
class Problem:
    """Why something cannot be done for now, and when to try again."""

    reason: str
    message: str
    since: float
    retry_at: float
    failures: int = 1
    reported: bool = False


@dataclass(slots=True)
class ImageState:
    pulling: bool = False
    progress: str = ""
    """What the environment's builder said last, for people who wait."""
    ready: bool = False
    id: str = ""
    problem: Problem | None = None


@dataclass(slots=True)
class ContainerState:
    """`finished` is the latest end, `previous` the one before; `starts` counts runs, failed starts included."""

    name: str
    starts: int = 0
    id: str = ""
    running: bool = False
    started: float = 0.0
    finished: Finished | None = None
    skew: float = 0.0
    """By how many seconds the machine's clock was set since it has ended."""
    previous: Finished | None = None
    done: bool = False
    """An init container that succeeded in this sandbox; a new sandbox runs it again."""
    problem: Problem | None = None
    backoff: float = 0.0
    backoff_at: float = 0.0
    backoff_reported: str = ""
    stop_at: float | None = None
    """When its end began; the signal may have to wait for its hook, or for its turn."""
    hooking: bool = False
    """Its preStop hook runs."""
    term_at: float | None = None
    """When it was asked to end."""
    killed: bool = False
    anew: bool = False
    """It shall run again, however its last run ended and whatever the policy."""
    starting: bool = False
    """Its postStart hook runs: nobody is told yet that it runs."""
    initialized: bool = True
    """The startup probe has succeeded, or there is none."""
    ready: bool = True
    """The readiness probe's verdict; true when there is none."""
    user: Obj | None = None
    """Who it runs as, for its status."""
    resources: Obj | None = None
    """The amounts that it has, if it runs."""
    devices: list[Obj] = field(default_factory=list)
    """Its claimed devices and whether they are well, for its status."""
    unhealthy: str = ""
    """What wants this run ended: `liveness` or `startup` (probes), `postStart` (a hook that failed), `resize`."""

    @property
    def is_ready(self) -> bool:
        return self.has_started and self.ready

    @property
    def has_started(self) -> bool:
        return self.running and self.initialized and not self.starting

    def backing_off_until(self, now: float) -> float | None:
        """When the next restart may happen, or None when it may happen now. Contract: flowcontrol.Backoff as the kubelet uses it."""
        if self.finished is None or not self.backoff:
            return None
        ended = self.finished.finished + self.skew
        if ended - self.backoff_at > 2 * BACKOFF_LIMIT:
            return None
        until = ended + self.backoff
        return until if until > now else None


@dataclass(slots=True)
class PodState:
    """Facts about one pod on this node."""

    uid: str
    containers: dict[str, ContainerState] = field(default_factory=dict)
    images: dict[str, ImageState] = field(default_factory=dict)
    start_time: float | None = None
    skew: float = 0.0
    """By how many seconds the machine's clock was set since then, as far as this agent has seen it."""
    volumes_ready: bool = False
    volumes_problem: Problem | None = None
    devices_ready: bool = False
    """The pod's claims were made ready."""
    devices_held: bool = False
    """Something was begun for a claim of the pod, and must be given back."""
    devices_problem: Problem | None = None
    release_problem: Problem | None = None
    sandbox: bool = False
    sandbox_problem: Problem | None = None
    ip: str = ""
    failure: tuple[str, str] | None = None
    """Reason and message of a failure of the pod as a whole (deadline, eviction, node restart)."""
    failure_grace: float | None = None
    """Seconds that its containers get then, when it is not what the pod says."""
    disruption: str = ""
    """Why this node ended the pod although it could have gone on; empty: it did not."""
    admitted: bool = False
    """It was let in; until then nothing of it is touched."""
    allocated: dict[str, Obj] = field(default_factory=dict)
    """The amounts that its containers were given, by their names; they may ask for others since."""
    resize_pending: Problem | None = None
    """Why it was not given what it asks for (`Deferred`, `Infeasible`)."""
    resize_problem: Problem | None = None
    """Why its containers do not have what they were given."""
    restarting_since: float | None = None
    """A container's rule wants all of them to run anew."""
    removed: bool = False
    """The API object is gone: everything must stop."""
    rejected: bool = False
    """The pod was terminal before this agent saw it: nothing is ever started."""
    stopping_since: float | None = None

    def container(self, name: str) -> ContainerState:
        if name not in self.containers:
            self.containers[name] = ContainerState(name)
        return self.containers[name]

    def image(self, image: str) -> ImageState:
        if image not in self.images:
            self.images[image] = ImageState()
        return self.images[image]

    @property
    def any_running(self) -> bool:
        return any(c.running for c in self.containers.values())

    # events -------------------------------------------------------------------------------------------------------------------------

    def sandbox_created(self, ip: str) -> None:
        self.sandbox, self.ip, self.sandbox_problem = True, ip, None

    def sandbox_removed(self) -> None:
        self.sandbox = False
        for container in self.containers.values():
            container.done, container.started = False, 0.0

    def image_pulled(self, image: str, image_id: str) -> None:
        self.images[image] = ImageState(ready=True, id=image_id)

    def image_failed(self, image: str, reason: str, message: str, now: float) -> None:
        """Retried after 10 s, 20 s, ... 300 s."""
        state = self.image(image)
        failures = state.problem.failures + 1 if state.problem else 1
        delay = min(BACKOFF_LIMIT, BACKOFF_START * 2 ** min(failures - 1, 10))
        self.images[image] = ImageState(problem=Problem(reason, message, now, now + delay, failures))

    def container_started(
        self, name: str, container_id: str, now: float, *, initialized: bool = True, ready: bool = True, starting: bool = False
    ) -> None:
        """`initialized` and `ready` are false where a probe has yet to say so, `starting` is true where a hook has."""
        container = self.container(name)
        container.initialized, container.ready, container.starting, container.unhealthy = initialized, ready, starting, ""
        self._count_start(container, now)
        container.id, container.running, container.started = container_id, True, now
        container.stop_at, container.hooking, container.term_at, container.killed = None, False, None, False

    def rejected_as(self, reason: str, message: str) -> None:
        """This node does not let the pod in."""
        self.failure, self.admitted = (reason, f"Pod was rejected: {message}"), True

    def container_hooked(self, name: str, success: bool) -> None:
        """The postStart hook has ended."""
        container = self.container(name)
        container.starting = False
        if not success:
            container.unhealthy = "postStart"

    def restarted_all(self) -> None:
        """Everything begins anew in this sandbox."""
        self.restarting_since = None
        for container in self.containers.values():
            container.done, container.started, container.anew = False, 0.0, container.finished is not None

    def container_probed(self, name: str, kind: str, success: bool) -> None:
        """A probe has reached a verdict."""
        container = self.container(name)
        if kind == "readiness":
            container.ready = success
        elif not success:
            container.unhealthy = kind
        elif kind == "startup":
            container.initialized = True

    def container_failed_to_start(self, name: str, container_id: str, code: int, reason: str, message: str, now: float) -> None:
        """The program could not be run at all: counts as a run that ended at once, as with a real container runtime."""
        container = self.container(name)
        self._count_start(container, now)
        container.id = container_id
        # 0 means the epoch: the kubelet reports it for a container that never started.
        self._finish(container, Finished(container_id, code, 0, reason, message, 0.0, now))

    def container_exited(self, container_id: str, code: int, signal: int, reason: str, message: str, finished: float) -> None:
        """Unknown ids are ignored: an exit can arrive after its pod was given up."""
        for container in self.containers.values():
            if container.id == container_id and container.running:
                self._finish(container, Finished(container_id, code, signal, reason, message, container.started, finished))

    def container_problem(self, name: str, reason: str, message: str, now: float) -> None:
        container = self.container(name)
        container.problem = again(container.problem, reason, message, now)

    def _count_start(self, container: ContainerState, now: float) -> None:
        if container.finished is not None:
            expired = container.finished.finished + container.skew - container.backoff_at > 2 * BACKOFF_LIMIT
            container.backoff = BACKOFF_START if expired or not container.backoff else min(BACKOFF_LIMIT, container.backoff * 2)
            container.backoff_at = now
        container.starts += 1
        container.problem, container.anew = None, False

    def _finish(self, container: ContainerState, end: Finished) -> None:
        container.previous, container.finished, container.skew = container.finished, end, 0.0
        container.running = container.starting = container.hooking = False
        container.done = end.code == 0


def again(problem: Problem | None, reason: str, message: str, now: float) -> Problem:
    """The same problem once more (later retry), or a first one."""
    failures = problem.failures + 1 if problem else 1
    delay = min(RETRY_LIMIT, RETRY_START * 2 ** min(failures - 1, 10))
    reported = problem is not None and problem.message == message and problem.reported
    return Problem(reason, message, now, now + delay, failures, reported)


def exit_reason(code: int) -> str:
    return "Completed" if code == 0 else "Error"
