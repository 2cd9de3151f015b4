"""Our controllers, scheduler and emulation as a program of its own, on whatever API server a kubeconfig names.

`python -m tests.pairings.ours --controllers LIST [--scheduler] KUBECONFIG`; it says "ready" when it is.
"""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Sequence
from random import Random

from lightship import kinds
from lightship.aio.clock import SystemClock
from lightship.builtin import controllers as builtin
from lightship.builtin.api import JOB_SETS
from lightship.client import Client, kubeconfig
from lightship.control import Manager
from lightship.emulation import controller as emulation
from lightship.main import selection
from lightship.scheduler import controller as scheduler


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kubeconfig")
    parser.add_argument("--controllers", default=selection.NONE)
    parser.add_argument("--scheduler", action="store_true")
    asyncio.run(run(parser.parse_args(arguments)))


async def run(args: argparse.Namespace) -> None:
    cluster = kubeconfig.load(args.kubeconfig)
    manager = Manager(Client(cluster.transport()), clock=SystemClock(), random=Random(), component="lightship")
    chosen = selection.words(args.controllers)
    served = (*kinds.BUILTIN, JOB_SETS)
    for controller in (*builtin.controllers(manager, resources=served, ca_pem=cluster.ca), *emulation.controllers(manager)):
        if selection.selected(controller.name, chosen):
            manager.add(controller)
    if args.scheduler:
        manager.add(scheduler.controller(manager))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with manager.running():
        print("ready", flush=True)
        await stop.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
