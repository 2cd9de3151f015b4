"""`lightship train get JOB` and `watch JOB`: one job with its progress, times and metrics; live until it ends.

`watch` writes a line for every change that can be seen, as `kubectl get -w` does, and ends with the job.
"""

import argparse
from typing import TYPE_CHECKING

from lightship.aio.clock import SystemClock
from lightship.cli import progress as bars
from lightship.cli.cluster import Cluster
from lightship.cli.command import add_format_option
from lightship.cli.output import render, say
from lightship.kinds import PODS
from lightship.meta import objects, times
from lightship.meta.objects import Obj
from lightship.meta.rest import WatchOptions
from lightship.train import history, parts
from lightship.train.api import FAILED, TRAIN_JOBS
from lightship.train.status import is_finished, state

from . import terms
from .verbs import verb

if TYPE_CHECKING:
    from .verbs import Verbs

_SHOWN_METRICS = 4
"""On a line of `watch`; `get` shows all."""


def add(verbs: "Verbs") -> None:
    get = verb(verbs, "get", "one job: how far it is, since when, and its metrics", get_job)
    get.add_argument("job", metavar="JOB")
    add_format_option(get, ("json", "yaml"))
    verb(verbs, "watch", "how far a job is, a line for every change, until it ends", watch_job).add_argument("job", metavar="JOB")


async def get_job(cluster: Cluster, args: argparse.Namespace) -> None:
    job = await cluster.client.get(TRAIN_JOBS, args.job, cluster.namespace)
    if args.output:
        say(render({"apiVersion": TRAIN_JOBS.api_version, "kind": TRAIN_JOBS.kind} | job, args.output))
        return
    pods = (await cluster.client.list(PODS, cluster.namespace, labels=parts.selector(args.job))).items
    facts = [(name, value) for name, value in _facts(job, list(pods), SystemClock().now()) if value is not None]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say(f"{name:{width}}  {value}")


async def watch_job(cluster: Cluster, args: argparse.Namespace) -> int:
    """Ends with 1 when the job has failed."""
    job = await cluster.client.get(TRAIN_JOBS, args.job, cluster.namespace)
    said = ""
    while True:
        options = WatchOptions(field_selector=f"metadata.name={args.job}", resource_version=str(objects.revision(job)))
        if (text := line(job)) != said:
            said = text
            say(text)
        if is_finished(job):
            return 1 if state(job) == FAILED else 0
        async for event in cluster.client.watch(TRAIN_JOBS, cluster.namespace, options):
            if event.type == "DELETED":
                say(f"{args.job} was deleted")
                return 1
            if event.type in ("ADDED", "MODIFIED"):
                job = event.object
                break
        else:
            job = await cluster.client.get(TRAIN_JOBS, args.job, cluster.namespace)  # a watch ends now and then


def line(job: Obj) -> str:
    """A job on one line: state, bar, time that is left, metrics."""
    found = terms.trainer_status(job).get("progressPercentage")
    words = [f"{objects.name(job)}  {state(job)}"]
    if found is not None:
        words.append(f"{bars.bar(found / 100)} {found:3d}%")
    left = terms.trainer_status(job).get("estimatedRemainingSeconds")
    if left is not None and not is_finished(job):
        words.append(f"{times.age(left)} left")
    words += [f"{name} {value}" for name, value in terms.metrics(job)[:_SHOWN_METRICS]]
    return "  ".join(words)


def _facts(job: Obj, pods: list[Obj], now: float) -> list[tuple[str, object]]:
    spec, begun, ended = objects.spec(job), terms.started(pods), terms.completed(job)
    end = history.ended(job) or {}
    reported = terms.trainer_status(job).get("lastUpdatedTime")
    facts: list[tuple[str, object]] = [
        ("name", objects.name(job)),
        ("runtime", spec["runtimeRef"]["name"]),
        ("state", state(job)),
        ("reason", f"{end['reason']}: {end.get('message', '')}" if end else None),
        ("created", objects.meta(job).get("creationTimestamp")),
        ("started", None if begun is None else times.rfc3339(begun)),
        ("completed", None if ended is None else times.rfc3339(ended)),
        ("took", None if begun is None else times.age((now if ended is None else ended) - begun)),
        ("progress", terms.percentage(job)),
        ("left", terms.remaining(job, now)),
        ("reported", None if reported is None else f"{times.age(now - times.parse(reported))} ago"),
    ]
    for found in objects.status(job).get("jobsStatus") or ():
        counts = ", ".join(f"{found[what]} {what}" for what in ("active", "ready", "succeeded", "failed", "suspended") if found.get(what))
        facts.append((f"step {found['name']}", counts or "waits"))
    return facts + [(f"metric {name}", value) for name, value in terms.metrics(job)]
