"""`lightship train suspend`, `resume` and `delete`."""

import argparse
from typing import TYPE_CHECKING

from lightship.cli.cluster import Cluster
from lightship.cli.errors import CliError
from lightship.cli.output import say
from lightship.train.api import TRAIN_JOBS
from lightship.train.status import is_finished, state

from .verbs import verb

if TYPE_CHECKING:
    from .verbs import Verbs


def add(verbs: "Verbs") -> None:
    for name, help_, do in (
        ("suspend", "stop a job's pods and keep its place", suspend),
        ("resume", "let a suspended job go on", resume),
        ("delete", "delete jobs and everything they made", delete),
    ):
        verb(verbs, name, help_, do).add_argument("jobs", metavar="JOB", nargs="+")


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
        job = await cluster.client.get(TRAIN_JOBS, name, cluster.namespace)
        if is_finished(job):
            what = "suspended" if wanted else "resumed"
            raise CliError(
                f"{name} is {state(job)} and cannot be {what} any more", hint=f"lightship train delete {name} makes room for its name"
            )
        await cluster.client.patch(TRAIN_JOBS, name, {"spec": {"suspend": wanted}}, cluster.namespace)
        say(f"trainjob.{TRAIN_JOBS.group}/{name} {'suspended' if wanted else 'resumed'}")
