"""`lightship describe`: one object as people read it: what it is, its spec and status as YAML, its conditions and events as tables."""

import argparse
from collections.abc import Sequence

from lightship.meta import objects, times
from lightship.meta.objects import Obj

from .cluster import Cluster, add_cluster_options
from .cluster import run as on_cluster
from .output import render, say, table

HIDDEN = ("managedFields", "uid", "resourceVersion", "generation", "creationTimestamp", "name", "namespace")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", help="kind of the object, or KIND/NAME")
    parser.add_argument("object", metavar="NAME", nargs="?", default="", help="its name")
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> int:
    on_cluster(args, lambda cluster: describe(cluster, args.kind, args.object))
    return 0


async def describe(cluster: Cluster, word: str, name: str) -> None:
    kind, _, rest = word.partition("/")
    resource = await cluster.resource(kind)
    obj = await cluster.client.get(resource, name or rest, cluster.namespace if resource.namespaced else "")
    say(text(obj))
    events = await cluster.resource("events")
    where = objects.namespace(obj) or "default"
    about = f"involvedObject.uid={objects.uid(obj)}"
    say(event_table((await cluster.client.list(events, where, fields=about)).items))


def text(obj: Obj) -> str:
    """Everything about the object but its events."""
    meta = objects.meta(obj)
    lines = [f"{obj.get('kind')}: {objects.key(obj)}", f"Created: {meta.get('creationTimestamp')}"]
    others = {key: value for key, value in meta.items() if key not in HIDDEN and value}
    rest = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    if obj.get("kind") == "Secret":
        rest["data"] = {key: f"{len(value) * 3 // 4} bytes" for key, value in (obj.get("data") or {}).items()}
    lines.append(render({**others, **rest}, "yaml"))
    status = objects.status(obj)
    shown = {key: value for key, value in status.items() if key != "conditions" and value not in (None, [], {})}
    if shown:
        lines.append(render({"status": shown}, "yaml"))
    if status.get("conditions"):
        rows = [(c.get("type"), c.get("status"), c.get("reason", ""), c.get("message", "")) for c in status["conditions"]]
        lines += ["", table(("Condition", "Status", "Reason", "Message"), rows)]
    return "\n".join(lines)


def event_table(events: Sequence[Obj]) -> str:
    """Events in the order they last happened, or a line that says there are none."""
    if not events:
        return "\nNo events."
    ordered = sorted(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    newest = times.parse(ordered[-1].get("lastTimestamp") or ordered[-1].get("eventTime") or "1970-01-01T00:00:00Z")
    rows = [_row(event, newest) for event in ordered]
    return "\n" + table(("Before the last", "Type", "Reason", "Count", "Message"), rows)


def _row(event: Obj, newest: float) -> tuple[str, str, str, int, str]:
    at = event.get("lastTimestamp") or event.get("eventTime")
    ago = times.age(newest - times.parse(at)) if at else ""
    return ago, event.get("type", ""), event.get("reason", ""), event.get("count") or 1, event.get("message", "")
