"""`lightship up`: start the platform in the background and say how to reach it; `--foreground` for service managers."""

import argparse
import ipaddress
import os
from collections.abc import Callable
from typing import Any

from lightship.aio.clock import SystemClock
from lightship.builtin.jobset import gates
from lightship.cli.command import add_format_option, add_instance_options
from lightship.cli.errors import CliError
from lightship.cli.output import render, say, table
from lightship.cli.progress import seconds
from lightship.node.machine import devices

from . import daemon, emulated, selection
from .instance import Instance, Running

OURS_OR_NONE = ("lightship", selection.NONE)
MAX_AGENTS = 16
"""More would only share the same machine in smaller parts; emulated nodes are another matter."""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_instance_options(parser)
    add_format_option(parser, ("json", "yaml"))
    parser.add_argument("--port", type=port_number, default=0, help="port of the API server (default: last time's, else any free one)")
    parser.add_argument(
        "--bind-address",
        type=ip_address,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address that the API server listens on; 0.0.0.0 for all (default: 127.0.0.1, this machine only)",
    )
    parser.add_argument("--foreground", action="store_true", help="stay in this terminal; end with Ctrl-C")
    parser.add_argument("--no-node", action="store_true", help="API server and controllers only: pods stay Pending")
    parser.add_argument(
        "--agents",
        type=agent_count,
        metavar="N",
        help="how many nodes run pods, all on this machine (default: 1; none with emulated nodes, or where there were none but those)",
    )
    emulated.arguments(parser)
    parser.add_argument(
        "--gpus", type=gpu_count, default=-1, metavar="N", help="how many GPUs pods may use; those that are not there are pretended"
    )
    parser.add_argument("--devices-file", default="", metavar="FILE", help="devices to pretend, besides the machine's own (docs/pods.md)")
    parser.add_argument("--allow-host-path", action="store_true", help="pods may mount folders of this machine (default: refused)")
    parser.add_argument("--audit-policy-file", default="", metavar="FILE", help="write an audit log, as this audit.k8s.io/v1 Policy says")
    parser.add_argument("--audit-log-path", default="", metavar="FILE", help="where to (default: audit.log in the data directory)")
    parser.add_argument("--scheduler", choices=OURS_OR_NONE, default=OURS_OR_NONE[0], help="none: pods wait for another scheduler")
    parser.add_argument("--no-scheduler", action="store_const", const=selection.NONE, dest="scheduler", help="the same as --scheduler=none")
    parser.add_argument(
        "--scheduler-config",
        default="",
        metavar="FILE",
        help="a KubeSchedulerConfiguration: profiles, scorers and their weights",
    )
    parser.add_argument(
        "--controllers",
        default=selection.ALL,
        metavar="LIST",
        help="which controllers run: '*' for all, 'job,endpoints' for these, '-job' for all but this one, 'none'; "
        "kube-controller-manager's names will do; 'help' lists them (default: *)",
    )
    parser.add_argument(
        "--feature-gates",
        type=feature_gates,
        default="",
        metavar="LIST",
        help="what of JobSet is off by default: RestartJob=true,InPlaceRestart=true,ElasticJobSet=true",
    )
    parser.add_argument(
        "--runtime",
        choices=("auto", "sandbox", "process", "podman", "docker"),
        default="auto",
        help="how pods run: in Linux namespaces, as plain processes, in containers of an engine (default: what this machine allows)",
    )


def port_number(text: str) -> int:
    """A TCP port, 0 for any free one. Raises `ArgumentTypeError`, which argparse turns into one line."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is no port: it must be a number from 0 to 65535')
    return int(text)


def feature_gates(text: str) -> str:
    """A list of gates. Raises `ArgumentTypeError`."""
    try:
        gates.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def agent_count(text: str) -> int:
    """How many nodes. Raises `ArgumentTypeError`."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_AGENTS:
        raise argparse.ArgumentTypeError(f'"{text}": must be a number from 1 to {MAX_AGENTS}')
    return int(text)


def gpu_count(text: str) -> int:
    """How many GPUs. Raises `ArgumentTypeError`."""
    if not text.isascii() or not text.isdigit() or int(text) > devices.MOST:
        raise argparse.ArgumentTypeError(f'"{text}": must be a number from 0 to {devices.MOST}')
    return int(text)


def _devices(args: argparse.Namespace) -> dict[str, Any]:
    """What the environment says is the default."""
    told = {devices.FILE: os.path.abspath(args.devices_file)} if args.devices_file else {}
    told |= {devices.COUNT: str(args.gpus)} if args.gpus >= 0 else {}
    return {"devices": told} if told else {}


def ip_address(text: str) -> str:
    """An IP address of version 4. Raises `ArgumentTypeError`."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'"{text}" is no address: {error}') from error


def run(args: argparse.Namespace) -> int:
    if args.controllers == selection.HELP:
        say(_controllers())
        return 0
    instance = Instance(args.name, args.data_dir)
    clock = SystemClock()
    begun = clock.monotonic()

    def say_ready(running: Running) -> None:
        if args.output:
            say(render(description(instance, running), args.output))
            return
        say(f'Lightship "{instance.name}" is ready ({seconds(clock.monotonic() - begun)})')
        say(f"  API server  {running.api}")
        say(f"  kubeconfig  {running.kubeconfig}")
        for note in running.notes:
            say(f"  note        {note}")
        say(f"  try         export KUBECONFIG={running.kubeconfig} && kubectl get nodes")

    options = {
        "bind_address": args.bind_address,
        "port": args.port,
        "node": runs_pods(args),
        "agents": args.agents or 1,
        **emulated.options(args),
        "runtime": args.runtime,
        "controllers": args.controllers,
        "feature_gates": args.feature_gates,
        "audit_policy": os.path.abspath(args.audit_policy_file) if args.audit_policy_file else "",
        "audit_log": os.path.abspath(args.audit_log_path) if args.audit_log_path else "",
        "scheduler": args.scheduler != selection.NONE,
        "scheduler_config": os.path.abspath(args.scheduler_config) if args.scheduler_config else "",
        "allow_host_path": args.allow_host_path,
        **_devices(args),
    }
    if args.foreground:
        instance.prepare()
        serve(instance, say_ready, **options)
        return 0
    existing = instance.running()
    if existing is not None:
        raise CliError(
            f'"{instance.name}" is running already (process {existing.pid}, {existing.api})',
            hint="`lightship up --name OTHER` starts a second one",
        )
    say_ready(daemon.start(instance, lambda ready: serve(instance, ready, **options)))
    return 0


def runs_pods(args: argparse.Namespace) -> bool | None:
    """Are there to be nodes that run pods? None: as it was, where nobody says a word about nodes."""
    if args.no_node or args.agents is not None:
        return not args.no_node
    if emulated.asked(args):
        return False
    return None if args.nodes is None else True


def _controllers() -> str:
    """The table of `--controllers help`; it brings the whole house along."""
    from . import brought

    return table(("name", "in place of kube-controller-manager's"), selection.described(brought.names()))


def description(instance: Instance, running: Running) -> dict[str, Any]:
    """The fields of `up -o json`: those of `status -o json`."""
    return {
        "name": instance.name,
        "ready": True,
        "api": running.api,
        "kubeconfig": running.kubeconfig,
        "pid": running.pid,
        "dataDir": running.data_dir,
        "notes": list(running.notes),
    }


def ensure(instance: Instance) -> tuple[Running, bool]:
    """The running platform, started if need be; the second value tells whether it was started now."""
    existing = instance.running()
    if existing is not None:
        return existing, False
    return daemon.start(instance, lambda ready: serve(instance, ready)), True


def serve(instance: Instance, ready: Callable[[Running], None], **options: Any) -> None:
    """Run the platform in this process: `serving.serve`, which brings the whole house along and is imported only now."""
    from . import serving

    serving.serve(instance, ready, **options)
