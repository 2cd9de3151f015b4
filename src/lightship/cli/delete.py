"""`lightship delete`: by kind and name, by selector, or what a file names. Waits for nothing; says what it asked for."""

import argparse

from lightship.meta import objects
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions

from .apply import label
from .cluster import Cluster, add_cluster_options
from .cluster import run as on_cluster
from .errors import CliError
from .manifests import read
from .output import say


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", default="", metavar="KIND", help="what to delete: pod, trainjobs; or KIND/NAME")
    parser.add_argument("names", metavar="NAME", nargs="*", help="which ones")
    parser.add_argument("-f", "--filename", action="append", default=[], metavar="FILE", help="delete what these files name")
    parser.add_argument("-l", "--selector", default="", help="delete all of the kind with these labels")
    parser.add_argument("--all", action="store_true", help="delete all of the kind in the namespace")
    parser.add_argument(
        "--cascade", choices=("background", "foreground", "orphan"), default="background", help="what becomes of dependents"
    )
    parser.add_argument("--grace-period", type=int, default=None, metavar="SECONDS", help="how long pods may take to end")
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> int:
    if not args.filename and not (args.kind and ("/" in args.kind or args.names or args.selector or args.all)):
        raise CliError("say what to delete", hint="lightship delete pod NAME, or -f FILE, or pods --all", code=2)
    on_cluster(args, lambda cluster: _delete(cluster, args))
    return 0


async def _delete(cluster: Cluster, args: argparse.Namespace) -> None:
    options = DeleteOptions(propagation_policy=args.cascade.capitalize(), grace_period_seconds=args.grace_period)
    for manifest in read(args.filename):
        resource = await cluster.resource_of(manifest.obj, manifest.source)
        namespace = objects.namespace(manifest.obj) or cluster.namespace
        await _delete_one(cluster, resource, objects.name(manifest.obj), namespace, options)
    if not args.kind:
        return
    word, _, name = args.kind.partition("/")
    resource = await cluster.resource(word)
    for wanted in [*([name] if name else []), *args.names, *await _selected(cluster, resource, args)]:
        await _delete_one(cluster, resource, wanted, cluster.namespace, options)


async def _selected(cluster: Cluster, resource: Resource, args: argparse.Namespace) -> list[str]:
    if not args.selector and not args.all:
        return []
    listing = await cluster.client.list(resource, cluster.namespace if resource.namespaced else "", labels=args.selector)
    return [objects.name(obj) for obj in listing.items]


async def _delete_one(cluster: Cluster, resource: Resource, name: str, namespace: str, options: DeleteOptions) -> None:
    await cluster.client.delete(resource, name, namespace if resource.namespaced else "", options)
    say(f"{label(resource, {'metadata': {'name': name}})} deleted")
