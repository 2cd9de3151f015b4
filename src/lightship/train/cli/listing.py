"""`lightship train list` and `runtimes`: which jobs there are and how far they are, and what they can run on."""

import argparse
from typing import TYPE_CHECKING

from lightship.aio.clock import SystemClock
from lightship.cli.cluster import Cluster
from lightship.cli.command import add_format_option
from lightship.cli.output import say, table
from lightship.meta import objects, times
from lightship.meta.objects import Obj
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, FRAMEWORK_LABEL, NODE, TRAIN_JOBS, TRAINING_RUNTIMES
from lightship.train.plugins import plan
from lightship.train.status import state

from . import terms
from .verbs import listed, print_objects, verb

if TYPE_CHECKING:
    from .verbs import Verbs


def add(verbs: "Verbs") -> None:
    add_format_option(verb(verbs, "list", "training jobs and how far they are", list_jobs, all_namespaces=True), ("json", "yaml", "name"))
    add_format_option(verb(verbs, "runtimes", "what jobs can run on", list_runtimes), ("json", "yaml", "name"))


async def list_jobs(cluster: Cluster, args: argparse.Namespace) -> None:
    namespace = "" if args.all_namespaces else cluster.namespace
    jobs = await listed(cluster, TRAIN_JOBS, namespace)
    if args.output:
        print_objects(jobs, args.output)
        return
    if not jobs:
        say("No training jobs. `lightship train SCRIPT` starts one, and so does the SDK's TrainerClient().train(...).")
        return
    now = SystemClock().now()
    first = ["namespace"] if args.all_namespaces else []
    rows = [[*([objects.namespace(job)] if first else []), *_job_row(job, now)] for job in jobs]
    say(table([*first, "name", "runtime", "nodes", "state", "progress", "left", "age"], rows))


async def list_runtimes(cluster: Cluster, args: argparse.Namespace) -> None:
    found = [*await listed(cluster, TRAINING_RUNTIMES, cluster.namespace), *await listed(cluster, CLUSTER_TRAINING_RUNTIMES, "")]
    if args.output:
        print_objects(found, args.output)
        return
    if not found:
        say("No runtimes. `lightship up` ships some; `lightship apply -f` takes your own.")
        return
    say(table(["name", "framework", "scope", "image"], [_runtime_row(runtime) for runtime in found]))


def _job_row(job: Obj, now: float) -> list[object]:
    age = times.age(now - times.parse(objects.meta(job)["creationTimestamp"]))
    trainer = objects.spec(job).get("trainer") or {}
    words = [objects.name(job), objects.spec(job)["runtimeRef"]["name"], trainer.get("numNodes", "default"), state(job)]
    return [*words, terms.percentage(job), terms.remaining(job, now), age]


def _runtime_row(runtime: Obj) -> list[object]:
    pods = plan.make({"metadata": {"name": ""}, "spec": {}}, runtime).trainer
    container = pods.container(NODE) if pods else None
    scope = "namespace" if runtime["kind"] == TRAINING_RUNTIMES.kind else "cluster"
    return [objects.name(runtime), objects.labels(runtime).get(FRAMEWORK_LABEL), scope, (container or {}).get("image")]
