"""`lightship down`: end the platform of this machine; its data stays where it is."""

import argparse
import asyncio
import os
import signal

from lightship.cli.command import add_instance_options
from lightship.cli.errors import CliError
from lightship.cli.output import say
from lightship.node.runtimes import adoption

from .daemon import wait_for_end
from .instance import Instance


def arguments(parser: argparse.ArgumentParser) -> None:
    add_instance_options(parser)
    parser.add_argument("--timeout", type=float, default=40.0, metavar="SECONDS", help="how long to wait for it to end (default: 40)")


def run(args: argparse.Namespace) -> int:
    instance = Instance(args.name, args.data_dir)
    running = instance.running()
    if running is None:
        left = asyncio.run(adoption.end(instance.door))
        say(f'"{instance.name}" is not running{"; the pods that it left behind have ended" if left else ""}')
        return 0
    os.kill(running.pid, signal.SIGTERM)
    if not wait_for_end(instance, seconds=args.timeout):
        raise CliError(f"process {running.pid} has not ended after {args.timeout:g} s", hint=f"kill -9 {running.pid} loses no data")
    say(f'stopped "{instance.name}"; its data is kept in {instance.data_dir}')
    return 0
