"""`lightship plan FILE`: what would become of a manifest, without applying it: what is made, whether and where it fits, what it costs.

Reads the cluster, asks it for dry runs, and plays the rest in memory. Exit status: 0 when all of it would start now, 3 when it would wait,
1 when it would be refused.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from lightship.aio.clock import SystemClock
from lightship.cli.cluster import Cluster, add_cluster_options
from lightship.cli.cluster import run as on_cluster
from lightship.cli.command import add_format_option
from lightship.cli.manifests import Manifest, read
from lightship.cli.output import render, say
from lightship.cli.places import data_directory
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.train.api import TRAIN_JOBS

from . import costs, fitting, live, page, trial, waits

_TOLD = ("exceeded quota", "failed quota")
"""What is asked of all pods together."""
STARTS, REFUSED, WAITS = 0, 1, 3


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="manifests: files, folders, or - for standard input")
    add_format_option(parser, ("json", "yaml"))
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> int:
    manifests = read(args.files)
    asked = on_cluster(args, lambda cluster: ask(cluster, manifests))
    report = plan(asked, data=_data(args))
    samples = trial_pods(report.trial)
    if samples and not asked.refusals:
        said = on_cluster(args, lambda cluster: ask_pods(cluster, samples))
        report = report._replace(refusals=said, waits=[*said, *report.waits])
    say(render(page.summary(report), args.output) if args.output else page.text(report))
    if report.asked.refusals:
        return REFUSED
    return STARTS if page.starts(report) else WAITS


async def ask(cluster: Cluster, manifests: Sequence[Manifest]) -> live.Asked:
    """Read the cluster, and have the server judge each object in a dry run."""
    wanted: list[tuple[Resource, Obj]] = []
    for manifest in manifests:
        resource = await cluster.resource_of(manifest.obj, manifest.source)
        obj = manifest.obj
        if resource.namespaced and not objects.namespace(obj):
            obj = {**obj, "metadata": {**objects.meta(obj), "namespace": cluster.namespace}}
        wanted.append((resource, obj))
    namespace = next((objects.namespace(obj) for resource, obj in wanted if resource.namespaced), cluster.namespace)
    found = await live.read(cluster, namespace)
    objs = [obj for _, obj in wanted]
    said = [(obj, await live.admit(cluster, resource, obj)) for resource, obj in wanted]
    return live.Asked(found, objs, [f"{_label(obj)}: {why}" for obj, why in said if why and not _comes_first(why, obj, objs)])


async def ask_pods(cluster: Cluster, samples: Sequence[Obj]) -> list[str]:
    """What the server would say to pods, one of each sort: pod security, webhooks, service accounts."""
    resource = await cluster.resource("pods")
    said = [(_label(pod), await live.admit(cluster, resource, pod)) for pod in samples]
    return [f"{label} would be refused: {why}" for label, why in said if why and not any(told in why for told in _TOLD)]


def plan(asked: live.Asked, *, data: Path | None = None) -> page.Report:
    """Everything that follows from what was read. Not for use inside an event loop."""
    played = trial.play([waits.resumed(obj) for obj in asked.wanted], asked.live)
    fit = fitting.fit(played, asked.live)
    keeping = [
        *waits.held(asked.wanted),
        *waits.over_quota(played, asked.live, SystemClock().now()),
        *waits.absent(played, asked.live),
        *waits.unmapped(played, asked.live, data),
        *played.complaints,
    ]
    cost = costs.cost(fit, played.roots, asked.live.of(TRAIN_JOBS))
    return page.Report(asked, played, fit, keeping, cost, [])


def trial_pods(played: trial.Trial) -> list[Obj]:
    """One pod of each controller of the trial, as it would come to the cluster."""
    found: dict[str, Obj] = {}
    for made in played.pods():
        owner = (objects.controller_of(made.obj) or {}).get("uid", objects.uid(made.obj))
        if owner not in found:
            pod = fitting.waiting_pod(made.obj)
            kept = {key: objects.meta(pod).get(key) or {} for key in ("labels", "annotations")}
            found[owner] = {**pod, "metadata": {**kept, "name": objects.name(pod), "namespace": objects.namespace(pod)}}
    return list(found.values())


def _comes_first(why: str, obj: Obj, wanted: Sequence[Obj]) -> bool:
    """Whether an object is refused for want of one that is made before it; a dry run does not see that one, the trial does."""
    earlier = (objects.name(other) for other in wanted[: next(i for i, other in enumerate(wanted) if other is obj)])
    return any(f'"{name}" not found' in why for name in earlier)


def _label(obj: Obj) -> str:
    return f"{obj.get('kind')} {objects.name(obj) or objects.meta(obj).get('generateName', '')}"


def _data(args: argparse.Namespace) -> Path | None:
    """The data directory of the platform that is asked; None where the cluster is another's."""
    mine = data_directory(args.name)
    chosen = args.kubeconfig or (os.environ.get("KUBECONFIG") if args.name == "default" else "")
    return mine if not chosen or Path(chosen) == mine / "kubeconfig" else None
