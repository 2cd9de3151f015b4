"""`lightship status`: does the platform run, is it ready, how is it reached. `-o json` is for scripts and keeps its field names."""

import argparse
import http.client
import ssl
import urllib.parse
from pathlib import Path
from typing import Any

from lightship.cli.command import add_format_option, add_instance_options
from lightship.cli.output import render, say

from .instance import Instance, Running


def arguments(parser: argparse.ArgumentParser) -> None:
    add_instance_options(parser)
    add_format_option(parser, ("json", "yaml"))


def run(args: argparse.Namespace) -> int:
    """Exit status 0 when ready, 1 when not: `lightship status && ...` works in scripts."""
    found = inspect(Instance(args.name, args.data_dir))
    if args.output:
        say(render(found, args.output))
    else:
        say(sentence(found))
    return 0 if found["ready"] else 1


def inspect(instance: Instance) -> dict[str, Any]:
    """The fields of `status -o json`: name, ready, api, kubeconfig, pid, dataDir, notes; api and pid are null when nothing runs."""
    running = instance.running()
    return {
        "name": instance.name,
        "ready": running is not None and is_ready(running, instance.pki / "ca.crt"),
        "api": running.api if running else None,
        "kubeconfig": str(instance.kubeconfig),
        "pid": running.pid if running else None,
        "dataDir": str(instance.data_dir),
        "notes": list(running.notes) if running else [],
    }


def is_ready(running: Running, ca: Path) -> bool:
    """Ask the API server itself (`/readyz`), over TLS that the platform's own CA vouches for."""
    address = urllib.parse.urlsplit(running.api)
    try:
        context = ssl.create_default_context(cafile=str(ca))
        connection = http.client.HTTPSConnection(address.hostname or "", address.port, timeout=5, context=context)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def sentence(found: dict[str, Any]) -> str:
    if found["pid"] is None:
        return f'"{found["name"]}" is not running\n  hint: lightship up{_option(found["name"])}'
    state = "ready" if found["ready"] else "starting or unwell"
    notes = "".join(f"\n  note        {note}" for note in found["notes"])
    where = f"  API server  {found['api']}\n  kubeconfig  {found['kubeconfig']}\n  process     {found['pid']}"
    return f'"{found["name"]}" is {state}\n{where}{notes}'


def _option(name: str) -> str:
    return "" if name == "default" else f" --name {name}"
