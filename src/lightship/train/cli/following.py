"""A job as it runs: what its nodes print, live and line by line, what it waits for while nothing is printed, and how it ended.

Called by `run`. Looks a few times in a second and follows the log of each pod that has started. Ending it leaves the job alone.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Sequence

from lightship.aio.clock import Clock
from lightship.builtin.api import JOB_SETS, RESTART_ATTEMPT_LABEL
from lightship.cli.cluster import Cluster
from lightship.cli.output import say
from lightship.kinds import EVENTS, JOBS, PODS
from lightship.meta import conditions, objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import LogOptions
from lightship.train import parts
from lightship.train.api import COMPLETE, FAILED, NODE, SUSPENDED, TRAIN_JOBS
from lightship.train.status import is_finished, state

from .causes import Causes

MOST = 16
"""Pods whose logs are shown, those with the lowest numbers."""
_LOOK_SECONDS = 0.2
_QUIET_SECONDS = 2.0
"""After so long without a pod that runs it is said why."""
_STEADY_SECONDS = 2.0
"""Between looks while all nodes run and are listened to: looking takes from the processor that trains."""
_TAIL_LINES = 200
_DRAIN_SECONDS = 10.0


class Follower:
    """Follows one job to its end. `prefixed`: each line says which node printed it."""

    def __init__(self, cluster: Cluster, name: str, clock: Clock, *, prefixed: bool, write: Callable[[str], None] | None = None) -> None:
        self._cluster = cluster
        self._name = name
        self._clock = clock
        self._prefixed = prefixed
        self._write = write or _to_standard_output
        self._streams: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._tails: dict[str, deque[str]] = {}
        self._causes: dict[str, Causes] = {}
        """By attempt: what an earlier one ended of is past."""
        self._told: set[str] = set()
        self._asked = clock.monotonic()
        self._since = clock.monotonic()

    @property
    def cause(self) -> str:
        """The exception that some node had before others in the last attempt, as `node-1: ValueError: ...`; empty where none was seen."""
        return self._causes[max(self._causes, key=int)].first if self._causes else ""

    async def follow(self) -> tuple[Obj, list[Obj], str]:
        """The job at its end, its pods, and the end of what they printed. Raises `StatusError` when the job is gone."""
        try:
            while True:
                job = await self._cluster.client.get(TRAIN_JOBS, self._name, self._cluster.namespace)
                pods = await self._pods()
                self._open(pods)
                if is_finished(job):
                    await self._drain()
                    return job, pods, "\n".join(line for tail in self._tails.values() for line in tail)
                await self._tell(job, pods)
                await self._pause(pods)
        finally:
            for stream in self._streams.values():
                stream.cancel()
            await asyncio.gather(*self._streams.values(), return_exceptions=True)

    async def _pause(self, pods: Sequence[Obj]) -> None:
        """Until it is time for another look; a log that ends is reason enough."""
        listening = [stream for stream in self._streams.values() if not stream.done()]
        if pods and len(listening) == min(len(pods), MOST):
            await asyncio.wait(listening, timeout=_STEADY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        else:
            await self._clock.sleep(_LOOK_SECONDS)

    async def _pods(self) -> list[Obj]:
        listed = await self._cluster.client.list(PODS, self._cluster.namespace, labels=parts.selector(self._name))
        return sorted(listed.items, key=lambda pod: (parts.index(pod), title(pod)))

    def _open(self, pods: Sequence[Obj]) -> None:
        """Follow what has started since the last look; a container that was started again has a log of its own."""
        for pod in pods[:MOST]:
            for container in objects.status(pod).get("containerStatuses") or ():
                key = (objects.uid(pod), container.get("restartCount", 0))
                begun = set(container.get("state") or {}) & {"running", "terminated"}
                if begun and container["name"] == _container(pod) and key not in self._streams:
                    self._streams[key] = asyncio.create_task(self._copy(pod, container["name"]))
                    if len(pods) > MOST and len(self._streams) == 1:
                        say(
                            f"(the logs of {MOST} of {len(pods)} pods; lightship train logs {self._name} --node N shows others)",
                            to=sys.stderr,
                        )

    async def _copy(self, pod: Obj, container: str) -> None:
        prefix = f"{title(pod)} | " if self._prefixed else ""
        tail = self._tails.setdefault(objects.uid(pod), deque(maxlen=_TAIL_LINES))
        causes = self._causes.setdefault(_attempt(pod), Causes())

        def show(line: bytes) -> None:
            text = line.decode(errors="replace")
            tail.append(text)
            causes.hear(title(pod), text)
            self._write(prefix + text + "\n")

        rest = b""
        try:
            async for chunk in self._cluster.client.logs(
                objects.namespace(pod), objects.name(pod), LogOptions(container=container, follow=True)
            ):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    show(line)
        except StatusError as error:
            say(f"{prefix}its log cannot be followed: {error.message}", to=sys.stderr)
        if rest:
            show(rest)

    async def _drain(self) -> None:
        """What has been printed is shown to its end; a node that does not answer any more is not waited for long."""
        if self._streams:
            await asyncio.wait(self._streams.values(), timeout=_DRAIN_SECONDS)

    async def _tell(self, job: Obj, pods: Sequence[Obj]) -> None:
        """Say what a job that prints nothing, or not all of it, waits for: once for each thing."""
        if self._clock.monotonic() - self._asked >= _QUIET_SECONDS:
            self._asked = self._clock.monotonic()
            for said in await self._short():
                self._say(said)
        waiting = [pod for pod in pods if objects.status(pod).get("phase") == "Pending"]
        if pods and not waiting:
            self._since = self._clock.monotonic()
        if self._clock.monotonic() - self._since < _QUIET_SECONDS:
            return
        if state(job) == SUSPENDED:
            said = f"{self._name} is suspended; lightship train resume {self._name} lets it go on"
        else:
            about = waiting[0] if waiting else job
            said = await self._newest_event(about)
            said = f"{title(about) if waiting else self._name}: {said}" if said else ""
        if said:
            self._say(said)

    def _say(self, said: str) -> None:
        if said not in self._told:
            self._told.add(said)
            say(said, to=sys.stderr)

    async def _short(self) -> list[str]:
        """Why Jobs have fewer pods than they should, or are not there: quotas, classes that are missing. Nobody else would say it."""
        found = (await self._cluster.client.list(JOBS, self._cluster.namespace, labels=parts.selector(self._name))).items
        reasons = [(job, await self._newest_event(job, "FailedCreate")) for job in found if _has_fewer(job)]
        jobset = None if found else await self._cluster.client.get_or_none(JOB_SETS, self._name, self._cluster.namespace)
        if jobset is not None:
            reasons.append((jobset, await self._newest_event(jobset, "JobCreationFailed")))
        return [f"{objects.name(one)}: {reason}" for one, reason in reasons if reason]

    async def _newest_event(self, obj: Obj, reason: str = "") -> str:
        fields = f"involvedObject.uid={objects.uid(obj)}" + (f",reason={reason}" if reason else "")
        events = (await self._cluster.client.list(EVENTS, self._cluster.namespace, fields=fields)).items
        newest = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "", default=None)
        return newest.get("message") or "" if newest else ""


def exit_status(job: Obj, pods: Sequence[Obj]) -> int:
    """0 for a job that is complete, else the exit code of the container that failed first, else 1."""
    if conditions.is_true(job, COMPLETE):
        return 0
    _, code, _ = _first_failure(pods)
    return code or 1


def failure(pods: Sequence[Obj]) -> str:
    """Which node failed first, and how it ended, like `node-1: exit code 137, OOMKilled`; empty where no pod says."""
    who, code, reason = _first_failure(pods)
    return f"{who}: exit code {code}{f', {reason}' if reason not in ('', 'Error') else ''}" if code else ""


def _first_failure(pods: Sequence[Obj]) -> tuple[str, int, str]:
    ends = [
        (ended.get("finishedAt") or "", int(ended["exitCode"]), title(pod), ended.get("reason") or "")
        for pod in pods
        for container in objects.status(pod).get("containerStatuses") or ()
        if (ended := (container.get("state") or {}).get("terminated")) and ended.get("exitCode")
    ]
    _, code, who, reason = min(ends, default=("", 0, "", ""))
    return who, code, reason


def ending(job: Obj) -> str:
    """How it ended, in a line."""
    failed = conditions.get(job, FAILED)
    if failed is None or failed.get("status") != "True":
        return state(job)
    return f"{FAILED}: {failed.get('message') or failed.get('reason')}"


def title(pod: Obj) -> str:
    """`node-0`, as the SDK calls steps; initializers have no number."""
    step = parts.step(pod)
    return step if step.endswith("-initializer") else f"{step}-{parts.index(pod)}"


def _container(pod: Obj) -> str:
    """The container that the step runs in: `node` for the trainer's, the step's own name for initializers."""
    step = parts.step(pod)
    return step if step.endswith("-initializer") else NODE


def _attempt(pod: Obj) -> str:
    said = objects.labels(pod).get(RESTART_ATTEMPT_LABEL, "0")
    return said if said.isdecimal() else "0"


def _has_fewer(job: Obj) -> bool:
    spec, status = objects.spec(job), objects.status(job)
    here = status.get("active", 0) + status.get("succeeded", 0) + status.get("failed", 0)
    return not spec.get("suspend") and not status.get("conditions") and here < (spec.get("parallelism") or 1)


def _to_standard_output(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
