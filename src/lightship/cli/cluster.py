"""The cluster that a command talks to: the platform of `--name`, or whatever KUBECONFIG or `--kubeconfig` says.

Every verb on objects opens one of these. It knows how to find the kubeconfig, how to resolve a word to a resource, and how to turn a
refusal of the server into one line. Refuses to know any kind.
"""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lightship.client import Client
from lightship.client.discovery import discover, find, of_kind
from lightship.client.http import HttpTransport
from lightship.client.kubeconfig import KubeconfigError, load
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from .errors import CliError
from .places import data_directory

T = TypeVar("T")


def add_cluster_options(parser: argparse.ArgumentParser, *, all_namespaces: bool = False, platform: str = "--name") -> None:
    """`-n`, `--kubeconfig`, `--context`, `--name`: which cluster and namespace are meant. `platform` is said instead of `--name` where that
    names something else."""
    parser.add_argument("-n", "--namespace", default="", help="namespace (default: that of the kubeconfig)")
    if all_namespaces:
        parser.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")
    parser.add_argument("--kubeconfig", default="", help="kubeconfig file (default: $KUBECONFIG, else the platform's)")
    parser.add_argument("--context", default="", help="context of the kubeconfig")
    help = "platform on this machine, where no kubeconfig is named (default: default)"
    parser.add_argument(platform, dest="name", metavar="NAME", default="default", help=help)


def kubeconfig_of(args: argparse.Namespace) -> str | None:
    """The file to read: the one named, else $KUBECONFIG (None: let the loader follow it), else the platform's own."""
    if args.kubeconfig:
        return str(args.kubeconfig)
    if os.environ.get("KUBECONFIG") and args.name == "default":
        return None
    path = data_directory(args.name) / "kubeconfig"
    if not path.exists():
        raise CliError(f"no kubeconfig at {path}", hint="lightship up starts the platform, --kubeconfig names another cluster")
    return str(path)


class Cluster:
    """An open connection; `namespace` is the one to work in."""

    def __init__(self, transport: HttpTransport, namespace: str) -> None:
        self.transport = transport
        self.client = Client(transport, manager="lightship-cli", strict=True)  # as kubectl: people mistype
        self.namespace = namespace
        self._resources: list[Resource] = []

    async def resources(self) -> list[Resource]:
        """Everything that the cluster serves, asked once."""
        if not self._resources:
            self._resources = await discover(self.transport)
        return self._resources

    async def resource(self, word: str) -> Resource:
        """The resource that `word` means. Raises `CliError` when the cluster serves none by that name."""
        found = find(await self.resources(), word)
        if found is None:
            raise CliError(f'the server serves no "{word}"', hint="lightship get --help; the names are those of kubectl api-resources")
        return found

    async def resource_of(self, obj: Obj, where: str) -> Resource:
        """The resource that serves this object. Raises `CliError` naming the file it came from."""
        api_version, kind = obj.get("apiVersion") or "", obj.get("kind") or ""
        if not api_version or not kind:
            raise CliError(f"{where}: apiVersion or kind is missing", hint="every object starts with both, like `apiVersion: v1`")
        found = of_kind(await self.resources(), api_version, kind)
        if found is None:
            raise CliError(f'{where}: the server serves no kind "{kind}" in "{api_version}"', hint="is its capability installed there?")
        return found


def run(args: argparse.Namespace, work: Callable[[Cluster], Awaitable[T]]) -> T:
    """Open the cluster, do the work, close. A refusal of the server becomes a `CliError` with the server's own words."""

    path = kubeconfig_of(args)

    async def main() -> T:
        found = load(path, context=args.context)
        transport = found.transport(user_agent="lightship-cli")
        try:
            return await work(Cluster(transport, args.namespace or found.namespace or "default"))
        finally:
            await transport.close()

    try:
        return asyncio.run(main())
    except KubeconfigError as error:
        raise CliError(str(error)) from error
    except StatusError as error:
        hint = "is it running? lightship status" if error.code == 503 else ""
        raise CliError(f"{error.message} ({error.reason})" if error.reason else error.message, hint=hint) from error
