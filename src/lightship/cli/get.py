"""`lightship get`: the server's own table of a kind, or the objects as JSON, YAML or names. The words are kubectl's."""

import argparse
from urllib.parse import urlencode

from lightship.meta import codec, objects
from lightship.meta.errors import StatusError, is_not_found
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import WatchOptions

from .apply import label
from .cluster import Cluster, add_cluster_options
from .cluster import run as on_cluster
from .command import add_format_option
from .errors import CliError
from .output import column_widths, render, say, server_table

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kinds", metavar="KIND[,KIND...]", help="what to list: pods, po, trainjobs, jobs.batch; or KIND/NAME")
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these")
    parser.add_argument("-l", "--selector", default="", help="label selector, like app=web,tier!=test")
    parser.add_argument("--field-selector", default="", help="field selector, like status.phase=Running")
    parser.add_argument("-w", "--watch", action="store_true", help="go on printing a line for every change, until Ctrl-C")
    add_cluster_options(parser, all_namespaces=True)
    add_format_option(parser)


def run(args: argparse.Namespace) -> int:
    if args.watch and ("," in args.kinds or len(args.names) > 1 or args.output not in ("", "wide")):
        raise CliError("--watch follows one kind, as a table", hint="lightship get pods --watch", code=2)
    on_cluster(args, lambda cluster: show(cluster, args))
    return 0


async def show(cluster: Cluster, args: argparse.Namespace) -> None:
    """Print each kind that was asked for, in order; for programs, all of them as one document."""
    asked = [(await cluster.resource(word), names) for word, names in _asked(args)]
    if args.output in ("json", "yaml", "name"):
        found = [(resource, obj) for resource, names in asked for obj in await _objects(cluster, resource, names, args)]
        _show_objects(found, args.output, single=len(asked) == 1 and len(asked[0][1]) == 1)
        return
    for resource, names in asked:
        await _show_table(cluster, resource, names, args, several=len(asked) > 1)


def _asked(args: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """Kinds with the names asked for (none: all of them): `pods,jobs`, `pod a b`, or `pod/a job/b`."""
    words = [args.kinds, *args.names]
    if not any("/" in word for word in words):
        return [(kind, list(args.names)) for kind in args.kinds.split(",")]
    pairs = [word.split("/") for word in (*args.kinds.split(","), *args.names)]
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise CliError(
                f'"{"/".join(pair)}" is no KIND/NAME', hint="lightship get pod/NAME job/NAME, or lightship get pods NAME", code=2
            )
    return [(kind, [name]) for kind, name in pairs]


def _show_objects(found: list[tuple[Resource, Obj]], output: str, *, single: bool) -> None:
    if output == "name":
        for resource, obj in found:
            say(label(resource, obj))
    elif single:
        say(render(found[0][1], output))
    else:
        say(render({"apiVersion": "v1", "kind": "List", "items": [obj for _, obj in found]}, output))


async def _objects(cluster: Cluster, resource: Resource, names: list[str], args: argparse.Namespace) -> list[Obj]:
    namespace = _namespace(cluster, resource, args)
    if names:
        return [await cluster.client.get(resource, name, namespace) for name in names]
    listing = await cluster.client.list(resource, namespace, labels=args.selector, fields=args.field_selector)
    return [{"apiVersion": resource.api_version, "kind": resource.kind, **obj} for obj in listing.items]


async def _show_table(cluster: Cluster, resource: Resource, names: list[str], args: argparse.Namespace, *, several: bool) -> None:
    namespace = _namespace(cluster, resource, args)
    selectors = {"labelSelector": args.selector, "fieldSelector": args.field_selector}
    query = urlencode({key: value for key, value in selectors.items() if value})
    targets = [resource.path(namespace, name) for name in names] or [resource.path(namespace) + (f"?{query}" if query else "")]
    table: Obj = {}
    for target in targets:
        page = codec.decode(await cluster.transport.fetch(target, accept=TABLE))
        table = {**page, "rows": [*(table.get("rows") or []), *(page.get("rows") or [])]}
    if args.watch:
        await _follow(cluster, resource, namespace, table, args)
        return
    if not table.get("rows"):
        where = f' in namespace "{namespace}"' if namespace else ""
        say(f"No {resource.plural} found{where}.")
        return
    if several:
        say(f"\n{resource.plural}:")
    say(server_table(table, wide=args.output == "wide", namespaces=resource.namespaced and args.all_namespaces))


async def _follow(cluster: Cluster, resource: Resource, namespace: str, table: Obj, args: argparse.Namespace) -> None:
    """The table, then a row for every change; widths are those of the first rows, so that lines stay where they are."""
    wide, namespaces = args.output == "wide", resource.namespaced and args.all_namespaces
    shown = server_table(table, wide=wide, namespaces=namespaces).splitlines()
    for line in shown:
        say(line)
    widths = column_widths(shown[0])
    names = [args.kinds.partition("/")[2], *args.names]
    fields = ",".join(f for f in (args.field_selector, *(f"metadata.name={name}" for name in names if name)) if f)
    since = (table.get("metadata") or {}).get("resourceVersion", "")
    options = WatchOptions(label_selector=args.selector, field_selector=fields, resource_version=since)
    async for event in cluster.client.watch(resource, namespace, options):
        if event.type not in ("ADDED", "MODIFIED"):
            continue
        target = resource.path(objects.namespace(event.object), objects.name(event.object))
        try:
            page = codec.decode(await cluster.transport.fetch(target, accept=TABLE))
        except StatusError as error:
            if is_not_found(error):
                continue  # it has gone meanwhile
            raise
        say(server_table(page, wide=wide, namespaces=namespaces, widths=widths).splitlines()[-1])


def _namespace(cluster: Cluster, resource: Resource, args: argparse.Namespace) -> str:
    return "" if args.all_namespaces or not resource.namespaced else cluster.namespace
