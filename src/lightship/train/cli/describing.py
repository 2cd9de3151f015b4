"""`lightship train describe`: one job as people want to know it: how it fares, its nodes, what happened lately, and why it failed."""

import argparse
import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightship.builtin.api import JOB_SETS
from lightship.cli import describe
from lightship.cli.cluster import Cluster
from lightship.cli.output import say, table
from lightship.kinds import EVENTS, JOBS, PODS
from lightship.meta import objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import LogOptions
from lightship.train import parts
from lightship.train.api import TRAIN_JOBS
from lightship.train.missing import explain
from lightship.train.shipping import adoption

from . import causes
from .following import ending, title
from .verbs import verb

if TYPE_CHECKING:
    from .verbs import Verbs

_MOST_NODES = 32
_MOST_EVENTS = 12
_TAIL_LINES = 200


def add(verbs: "Verbs") -> None:
    verb(verbs, "describe", "one job: its nodes, what happened lately, why it failed", describe_job).add_argument("job", metavar="JOB")


async def describe_job(cluster: Cluster, args: argparse.Namespace) -> None:
    job = await cluster.client.get(TRAIN_JOBS, args.job, cluster.namespace)
    labels = parts.selector(args.job)
    pods, jobs, jobset = await asyncio.gather(
        cluster.client.list(PODS, cluster.namespace, labels=labels),
        cluster.client.list(JOBS, cluster.namespace, labels=labels),
        cluster.client.get_or_none(JOB_SETS, args.job, cluster.namespace),
    )
    listed = sorted(pods.items, key=title)
    say(f"{args.job} on {objects.spec(job)['runtimeRef']['name']}: {ending(job)}")
    if files := adoption.named(job):
        say(f"Its files: {', '.join(files)}")
    if listed:
        say()
        say(table(("node", "pod", "phase", "on", "restarts", "said last"), [_row(pod) for pod in listed[:_MOST_NODES]]))
        if len(listed) > _MOST_NODES:
            say(f"and {len(listed) - _MOST_NODES} more")
    about = {objects.uid(obj) for obj in (job, *([jobset] if jobset else ()), *jobs.items, *listed)}
    events = [e for e in (await cluster.client.list(EVENTS, cluster.namespace)).items if e["involvedObject"].get("uid") in about]
    say(describe.event_table(sorted(events, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")[-_MOST_EVENTS:]))
    if why := await _why(cluster, listed):
        say(f"\nWhy: {why}")


async def _why(cluster: Cluster, pods: Sequence[Obj]) -> str:
    """What the log of the first node that failed explains."""
    for pod in pods:
        if objects.status(pod).get("phase") == "Failed":
            container = objects.spec(pod)["containers"][0]["name"]
            try:
                found = [
                    chunk async for chunk in cluster.client.logs(*_place(pod), LogOptions(container=container, tail_lines=_TAIL_LINES))
                ]
            except StatusError:
                continue  # its node, or its log, is gone
            log = b"".join(found).decode(errors="replace")
            return explain(log) or causes.first(log, title(pod))
    return ""


def _place(pod: Obj) -> tuple[str, str]:
    return objects.namespace(pod), objects.name(pod)


def _row(pod: Obj) -> tuple[object, ...]:
    status = objects.status(pod)
    containers = status.get("containerStatuses") or ()
    restarts = sum(container.get("restartCount", 0) for container in containers)
    return title(pod), objects.name(pod), status.get("phase"), objects.spec(pod).get("nodeName"), restarts, _said(status, containers)


def _said(status: Obj, containers: Sequence[Obj]) -> str:
    for container in containers:
        state = container.get("state") or {}
        if ended := state.get("terminated"):
            return f"exit code {ended.get('exitCode')}" + (f", {ended['reason']}" if ended.get("reason") else "")
        if waits := state.get("waiting"):
            return str(waits.get("message") or waits.get("reason") or "")
    unscheduled: Obj = next((c for c in status.get("conditions") or () if c["type"] == "PodScheduled" and c["status"] == "False"), {})
    return str(status.get("message") or unscheduled.get("message") or "")
