"""`lightship logs`: the log of a pod's container, all of it or as it grows."""

import argparse
import sys

from lightship.meta.rest import LogOptions

from .cluster import Cluster, add_cluster_options
from .cluster import run as on_cluster


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pod", metavar="POD", help="name of the pod")
    parser.add_argument("-c", "--container", default="", help="container, where there are several")
    parser.add_argument("-f", "--follow", action="store_true", help="go on printing until the container ends")
    parser.add_argument("-p", "--previous", action="store_true", help="the log of the container's previous run")
    parser.add_argument("--tail", type=int, default=None, metavar="LINES", help="only the last lines")
    parser.add_argument("--since", type=int, default=None, metavar="SECONDS", help="only lines younger than this")
    parser.add_argument("--timestamps", action="store_true", help="each line with its time")
    add_cluster_options(parser)


def run(args: argparse.Namespace) -> int:
    options = LogOptions(
        container=args.container,
        follow=args.follow,
        previous=args.previous,
        tail_lines=args.tail,
        since_seconds=args.since,
        timestamps=args.timestamps,
    )
    on_cluster(args, lambda cluster: stream(cluster, args.pod.removeprefix("pod/"), options))
    return 0


async def stream(cluster: Cluster, pod: str, options: LogOptions) -> None:
    """Copy the log to standard output, chunk by chunk."""
    async for chunk in cluster.client.logs(cluster.namespace, pod, options):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
