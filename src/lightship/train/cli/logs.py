"""`lightship train logs`: what a node of a job, or one of its initializers, printed."""

import argparse
import sys
from typing import TYPE_CHECKING

from lightship.aio.clock import Clock, SystemClock
from lightship.builtin.api import JOB_SETS
from lightship.cli.cluster import Cluster
from lightship.cli.errors import CliError
from lightship.cli.output import say
from lightship.kinds import JOBS, PODS
from lightship.meta import objects
from lightship.meta.errors import StatusError, is_not_found
from lightship.meta.objects import Obj
from lightship.meta.rest import LogOptions
from lightship.train import parts
from lightship.train.api import FAILED, LAUNCHER, NODE, TRAIN_JOBS, names
from lightship.train.missing import explain
from lightship.train.status import is_finished, state

from . import past
from .verbs import verb

if TYPE_CHECKING:
    from .verbs import Verbs

_STEPS = (NODE, LAUNCHER, "dataset-initializer", "model-initializer")
_POLL_SECONDS = 0.2
_TAIL_BYTES = 1 << 16


def add(verbs: "Verbs") -> None:
    logs = verb(verbs, "logs", "what a node of a job printed", print_logs)
    logs.add_argument("job", metavar="JOB")
    logs.add_argument("--node", type=int, default=0, metavar="N", help="which node (default: 0)")
    logs.add_argument(
        "--step", default=NODE, choices=_STEPS, metavar="STEP", help="node, dataset-initializer or model-initializer (default: node)"
    )
    logs.add_argument("-f", "--follow", action="store_true", help="wait for the node to start and go on until it ends")


async def print_logs(cluster: Cluster, args: argparse.Namespace, clock: Clock | None = None) -> None:
    try:
        pod = await _started_pod(cluster, args, clock or SystemClock())
    except (CliError, StatusError) as error:
        # Its pods are gone, or it is itself: what is kept of it may still say what it printed.
        if (isinstance(error, StatusError) and not is_not_found(error)) or not await _print_kept(cluster, args):
            raise
        return
    options = LogOptions(container=_container(args.step), follow=args.follow)
    tail = b""
    async for chunk in cluster.client.logs(cluster.namespace, objects.name(pod), options):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        tail = (tail + chunk)[-_TAIL_BYTES:]
    ended = await cluster.client.get_or_none(PODS, objects.name(pod), cluster.namespace)
    if objects.status(ended or {}).get("phase") == "Failed" and (why := explain(tail.decode(errors="replace"))):
        say(f"lightship: {why}", to=sys.stderr)


async def _print_kept(cluster: Cluster, args: argparse.Namespace) -> bool:
    """Print the log that was kept of the last run of that name, if there is one."""
    run = await past.newest(cluster, args.job)
    text = await past.printed(cluster, run, args.step, args.node) if run is not None else None
    if text is None:
        return False
    sys.stdout.write(text)
    sys.stdout.flush()
    if objects.status(run or {}).get("state") == FAILED and (why := explain(text)):
        say(f"lightship: {why}", to=sys.stderr)
    return True


async def _started_pod(cluster: Cluster, args: argparse.Namespace, clock: Clock) -> Obj:
    """The newest pod of a step that has something to say; with --follow, as soon as there is one."""
    while True:
        job = await cluster.client.get(TRAIN_JOBS, args.job, cluster.namespace)
        found = await _pod(cluster, args)
        if found is not None and objects.status(found).get("phase") != "Pending":
            return found
        if found is None and args.step == NODE and (most := await _nodes(cluster, job)) and args.node not in range(most):
            raise CliError(
                f"{args.job} has no node {args.node}", hint=f"its nodes are 0 to {most - 1}" if most > 1 else "its only node is 0"
            )
        if is_finished(job) or not args.follow:
            where = f"{args.step} {args.node}" if args.step == NODE else args.step
            why = f"has not started: the job is {state(job)}" if found else f"has no pod: the job is {state(job)}"
            hint = f"lightship train describe {args.job}" if is_finished(job) else f"lightship train logs -f {args.job} waits for it"
            raise CliError(f"{where} of {args.job} {why}", hint=hint)
        await clock.sleep(_POLL_SECONDS)


async def _nodes(cluster: Cluster, job: Obj) -> int:
    """How many nodes a job has, the launcher of an MPI job included; 0 while nobody knows, or where their number may change."""
    if names.MAX_NODES in objects.annotations(job):
        return 0
    jobs = (await cluster.client.list(JOBS, cluster.namespace, labels=parts.selector(objects.name(job)))).items
    return sum(objects.spec(one).get("completions") or 0 for one in jobs if parts.step(one) in (NODE, LAUNCHER))


async def _pod(cluster: Cluster, args: argparse.Namespace) -> Obj | None:
    step, number = await _place(cluster, args)
    selector = f"{parts.selector(args.job)},{parts.STEP_LABEL}={step},{parts.INDEX_LABEL}={number}"
    pods = (await cluster.client.list(PODS, cluster.namespace, labels=selector)).items
    return max(pods, key=lambda pod: objects.meta(pod)["creationTimestamp"], default=None)


async def _place(cluster: Cluster, args: argparse.Namespace) -> tuple[str, int]:
    """Which replicated job a step is, and which pod of it. The launcher of an MPI job is its node 0, as for the SDK."""
    if args.step != NODE:
        return args.step, 0
    jobset = await cluster.client.get_or_none(JOB_SETS, args.job, cluster.namespace)
    jobs = objects.spec(jobset or {}).get("replicatedJobs") or ()
    if not any(job["name"] == LAUNCHER for job in jobs):
        return NODE, args.node
    return (NODE, args.node - 1) if args.node else (LAUNCHER, 0)


def _container(step: str) -> str:
    return NODE if step == LAUNCHER else step
