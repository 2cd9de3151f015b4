"""`lightship train`: training jobs and the runtimes they run on, in the words of this room.

Verbs: list, logs, suspend, resume, delete, runtimes. Submitting is the SDK's (`TrainerClient.train`) or `lightship apply`'s. Built on the
command line kit; a client of any cluster that serves Trainer.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from lightship.aio.clock import Clock, SystemClock
from lightship.cli.cluster import Cluster, add_cluster_options
from lightship.cli.cluster import run as on_cluster
from lightship.cli.command import add_format_option
from lightship.cli.errors import CliError
from lightship.cli.output import render, say, table
from lightship.kinds import PODS
from lightship.meta import objects, times
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import LogOptions

from .api import CLUSTER_TRAINING_RUNTIMES, FRAMEWORK_LABEL, NODE, TRAIN_JOBS, TRAINING_RUNTIMES
from .plugins import plan
from .status import is_finished, state

Verb: TypeAlias = Callable[[Cluster, argparse.Namespace], Awaitable[None]]

_STEP_LABELS = ("jobset.sigs.k8s.io/jobset-name", "jobset.sigs.k8s.io/replicatedjob-name", "batch.kubernetes.io/job-completion-index")
_POLL_SECONDS = 0.2


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="training jobs and how far they are")
    add_format_option(listing, ("json", "yaml", "name"))
    listing.set_defaults(do=list_jobs)
    logs = verbs.add_parser("logs", help="what a node of a job printed")
    logs.add_argument("job", metavar="JOB")
    logs.add_argument("--node", type=int, default=0, metavar="N", help="which node (default: 0)")
    logs.add_argument("--step", default=NODE, help="node, dataset-initializer or model-initializer (default: node)")
    logs.add_argument("-f", "--follow", action="store_true", help="wait for the node to start and go on until it ends")
    logs.set_defaults(do=print_logs)
    for name, help_, do in (
        ("suspend", "stop a job's pods and keep its place", suspend),
        ("resume", "let a suspended job go on", resume),
        ("delete", "delete jobs and everything they made", delete),
    ):
        verb = verbs.add_parser(name, help=help_)
        verb.add_argument("jobs", metavar="JOB", nargs="+")
        verb.set_defaults(do=do)
    runtimes = verbs.add_parser("runtimes", help="what jobs can run on")
    add_format_option(runtimes, ("json", "yaml", "name"))
    runtimes.set_defaults(do=list_runtimes)
    for verb in verbs.choices.values():
        add_cluster_options(verb, all_namespaces=verb is listing)


def run(args: argparse.Namespace) -> int:
    verb: Verb = args.do
    on_cluster(args, lambda cluster: verb(cluster, args))
    return 0


async def list_jobs(cluster: Cluster, args: argparse.Namespace) -> None:
    namespace = "" if args.all_namespaces else cluster.namespace
    jobs = await _listed(cluster, TRAIN_JOBS, namespace)
    if args.output:
        _print_objects(jobs, args.output)
        return
    if not jobs:
        say("No training jobs. The SDK's TrainerClient().train(...) starts one, `lightship demo` shows how.")
        return
    now = SystemClock().now()
    first = ["namespace"] if args.all_namespaces else []
    rows = [[*([objects.namespace(job)] if first else []), *_job_row(job, now)] for job in jobs]
    say(table([*first, "name", "runtime", "nodes", "state", "age"], rows))


async def list_runtimes(cluster: Cluster, args: argparse.Namespace) -> None:
    found = [*await _listed(cluster, TRAINING_RUNTIMES, cluster.namespace), *await _listed(cluster, CLUSTER_TRAINING_RUNTIMES, "")]
    if args.output:
        _print_objects(found, args.output)
        return
    if not found:
        say("No runtimes. `lightship up` ships some; `lightship apply -f` takes your own.")
        return
    say(table(["name", "framework", "scope", "image"], [_runtime_row(runtime) for runtime in found]))


async def print_logs(cluster: Cluster, args: argparse.Namespace, clock: Clock | None = None) -> None:
    pod = await _started_pod(cluster, args, clock or SystemClock())
    async for chunk in cluster.client.logs(cluster.namespace, objects.name(pod), LogOptions(container=args.step, follow=args.follow)):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


async def suspend(cluster: Cluster, args: argparse.Namespace) -> None:
    await _set_suspend(cluster, args.jobs, True)


async def resume(cluster: Cluster, args: argparse.Namespace) -> None:
    await _set_suspend(cluster, args.jobs, False)


async def delete(cluster: Cluster, args: argparse.Namespace) -> None:
    for name in args.jobs:
        await cluster.client.delete(TRAIN_JOBS, name, cluster.namespace)
        say(f"trainjob.{TRAIN_JOBS.group}/{name} deleted")


async def _set_suspend(cluster: Cluster, names: list[str], wanted: bool) -> None:
    for name in names:
        await cluster.client.patch(TRAIN_JOBS, name, {"spec": {"suspend": wanted}}, cluster.namespace)
        say(f"trainjob.{TRAIN_JOBS.group}/{name} {'suspended' if wanted else 'resumed'}")


async def _started_pod(cluster: Cluster, args: argparse.Namespace, clock: Clock) -> Obj:
    """The newest pod of a step that has something to say; with --follow, as soon as there is one."""
    while True:
        job = await cluster.client.get(TRAIN_JOBS, args.job, cluster.namespace)
        found = await _pod(cluster, args)
        if found is not None and objects.status(found).get("phase") != "Pending":
            return found
        if is_finished(job) or not args.follow:
            where = f"{args.step} {args.node}" if args.step == NODE else args.step
            why = f"has not started: the job is {state(job)}" if found else f"has no pod: the job is {state(job)}"
            hint = f"lightship describe trainjob/{args.job}" if is_finished(job) else f"lightship train logs -f {args.job} waits for it"
            raise CliError(f"{where} of {args.job} {why}", hint=hint)
        await clock.sleep(_POLL_SECONDS)


async def _pod(cluster: Cluster, args: argparse.Namespace) -> Obj | None:
    values = (args.job, args.step, str(args.node) if args.step == NODE else "0")
    selector = ",".join(f"{label}={value}" for label, value in zip(_STEP_LABELS, values, strict=True))
    pods = (await cluster.client.list(PODS, cluster.namespace, labels=selector)).items
    return max(pods, key=lambda pod: objects.meta(pod)["creationTimestamp"], default=None)


async def _listed(cluster: Cluster, resource: Resource, namespace: str) -> list[Obj]:
    """Objects that say what they are, which items of a list need not."""
    said = {"apiVersion": resource.api_version, "kind": resource.kind}
    return [said | obj for obj in (await cluster.client.list(resource, namespace)).items]


def _job_row(job: Obj, now: float) -> list[object]:
    age = times.age(now - times.parse(objects.meta(job)["creationTimestamp"]))
    trainer = objects.spec(job).get("trainer") or {}
    return [objects.name(job), objects.spec(job)["runtimeRef"]["name"], trainer.get("numNodes", "default"), state(job), age]


def _runtime_row(runtime: Obj) -> list[object]:
    pods = plan.make({"metadata": {"name": ""}, "spec": {}}, runtime).trainer
    container = pods.container(NODE) if pods else None
    scope = "namespace" if runtime["kind"] == TRAINING_RUNTIMES.kind else "cluster"
    return [objects.name(runtime), objects.labels(runtime).get(FRAMEWORK_LABEL), scope, (container or {}).get("image")]


def _print_objects(found: list[Obj], output: str) -> None:
    if output == "name":
        for obj in found:
            say(f"{obj['kind'].lower()}.{TRAIN_JOBS.group}/{objects.name(obj)}")
    else:
        say(render({"apiVersion": "v1", "kind": "List", "items": found}, output))
