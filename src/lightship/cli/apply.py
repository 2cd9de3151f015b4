"""`lightship apply -f`: create what is not there, change what differs, say which was which."""

import argparse

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from .cluster import Cluster, add_cluster_options
from .cluster import run as on_cluster
from .manifests import Manifest, read
from .output import say


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--filename", action="append", required=True, metavar="FILE", help="file, folder, or - for standard input")
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> int:
    manifests = read(args.filename)
    on_cluster(args, lambda cluster: apply_all(cluster, manifests))
    return 0


async def apply_all(cluster: Cluster, manifests: list[Manifest]) -> None:
    """In the files' order; the first refusal ends it, and what was applied before stays and has been said."""
    for manifest in manifests:
        resource = await cluster.resource_of(manifest.obj, manifest.source)
        say(f"{label(resource, manifest.obj)} {await _apply(cluster, resource, manifest.obj)}")


async def _apply(cluster: Cluster, resource: Resource, obj: Obj) -> str:
    if resource.namespaced and not objects.namespace(obj):
        obj = {**obj, "metadata": {**objects.meta(obj), "namespace": cluster.namespace}}
    if not objects.name(obj) and objects.meta(obj).get("generateName"):
        created = await cluster.client.create(resource, obj)
        return f"created as {objects.name(created)}"
    before = await cluster.client.get_or_none(resource, objects.name(obj), objects.namespace(obj))
    after = await cluster.client.apply(resource, obj, live=before)
    if before is None:
        return "created"
    return "unchanged" if objects.revision(after) == objects.revision(before) else "configured"


def label(resource: Resource, obj: Obj) -> str:
    """`trainjob.trainer.kubeflow.org/name`, as kubectl names objects."""
    group = f".{resource.group}" if resource.group else ""
    return f"{resource.singular or resource.kind.lower()}{group}/{objects.name(obj) or objects.meta(obj).get('generateName', '')}"
