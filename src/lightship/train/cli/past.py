"""`lightship train history`: jobs that have finished, also those that are gone; and what they printed, for `lightship train logs`."""

import argparse
from typing import TYPE_CHECKING

from lightship.aio.clock import SystemClock
from lightship.cli.cluster import Cluster
from lightship.cli.command import add_format_option
from lightship.cli.output import render, say, table
from lightship.kinds import CONFIG_MAPS
from lightship.meta import objects, times
from lightship.meta.errors import StatusError, is_not_found
from lightship.meta.objects import Obj
from lightship.train.api.runs import JOB_LABEL, LOGS_SUFFIX, TRAIN_JOB_RUNS

from . import terms
from .verbs import listed, verb

if TYPE_CHECKING:
    from .verbs import Verbs


def add(verbs: "Verbs") -> None:
    found = verb(verbs, "history", "jobs that have finished, also those that were deleted", list_runs, all_namespaces=True)
    found.add_argument("job", metavar="JOB", nargs="?", default="", help="only runs of this job")
    add_format_option(found, ("json", "yaml"))


async def list_runs(cluster: Cluster, args: argparse.Namespace) -> None:
    runs = await listed(cluster, TRAIN_JOB_RUNS, "" if args.all_namespaces else cluster.namespace)
    runs = sorted((run for run in runs if args.job in ("", _job(run))), key=_end, reverse=True)
    if args.output:
        say(render({"apiVersion": "v1", "kind": "List", "items": runs}, args.output))
        return
    if not runs:
        say(f"No run of {args.job} is kept." if args.job else "No training job has finished yet.")
        return
    now = SystemClock().now()
    first = ["namespace"] if args.all_namespaces else []
    rows = [[*([objects.namespace(run)] if first else []), *_row(run, now)] for run in runs]
    say(table([*first, "job", "run", "state", "reason", "progress", "took", "ended"], rows))


async def newest(cluster: Cluster, job: str) -> Obj | None:
    """The last run of a job of this name; None where none is kept, or the cluster has no such kind."""
    try:
        found = (await cluster.client.list(TRAIN_JOB_RUNS, cluster.namespace, labels=f"{JOB_LABEL}={job}")).items
    except StatusError as error:
        if is_not_found(error):
            return None
        raise
    return max(found, key=_end, default=None)


async def printed(cluster: Cluster, run: Obj, step: str, node: int) -> str | None:
    """The end of what a node of a run printed; None where nothing is kept."""
    entries = objects.status(run).get("logs") or ()
    key = next((log.get("key") for log in entries if (log["step"], log["node"]) == (step, node)), None)
    if key is None:
        return None
    kept = await cluster.client.get_or_none(CONFIG_MAPS, objects.name(run) + LOGS_SUFFIX, objects.namespace(run))
    text: str | None = ((kept or {}).get("data") or {}).get(key)
    return text


def _job(run: Obj) -> str:
    return str(objects.spec(run)["trainJob"]["name"])


def _end(run: Obj) -> str:
    return str(objects.status(run).get("completionTime") or objects.meta(run)["creationTimestamp"])


def _row(run: Obj, now: float) -> list[object]:
    status = objects.status(run)
    begun, end = status.get("startTime") or status.get("creationTime"), _end(run)
    took = times.age(times.parse(end) - times.parse(begun)) if begun else None
    ended = times.age(now - times.parse(end))
    return [_job(run), objects.name(run), status.get("state"), status.get("reason"), terms.percentage(run), took, f"{ended} ago"]
