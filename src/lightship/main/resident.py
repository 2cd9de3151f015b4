"""Trainer's controllers and status server as a program on somebody else's cluster: `python -m lightship.main.resident`.

What `residence` deploys; it may as well run beside a cluster, with a kubeconfig. A client of the cluster and nothing more: its certificate
is in a Secret, which it makes and renews itself. Works on kinds that `install` brought, and leaves those of others to whoever brought them.
"""

import argparse
import asyncio
import base64
import contextlib
import logging
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

from lightship.aio.clock import Clock, SystemClock
from lightship.apiserver.access import pki
from lightship.apiserver.definitions.objects import definition_name
from lightship.builtin.api import JOB_SETS
from lightship.builtin.jobset import controller as jobset
from lightship.builtin.jobset import gates
from lightship.cli.errors import CliError
from lightship.client import Client
from lightship.client.kubeconfig import KubeconfigError, in_cluster, load
from lightship.control import Manager
from lightship.kinds import SECRETS
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.train import controller as train
from lightship.train import plugins
from lightship.train.api import TRAIN_JOBS
from lightship.train.api import progress as contract

from . import install, progress, residence
from .loops import new_event_loop

log = logging.getLogger("lightship.main.resident")
LOOK_SECONDS = 86_400.0
"""How often the certificate is looked at."""
_NAMES = (contract.HOST, f"{contract.HOST}.cluster.local", f"{contract.SERVICE}.{contract.SYSTEM_NAMESPACE}")


class Certificate:
    """The status server's, in a Secret of the cluster. Whoever trusts its authority need not be told when it is renewed."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self.authority = ""
        """Who signed it (PEM), once it is loaded."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])

    async def load(self) -> None:
        """Take what there is, made anew where it ends soon. Raises `StatusError`."""
        secret = await self._client.get_or_none(SECRETS, residence.CERTIFICATE, residence.NAMESPACE)
        known = {name: base64.b64decode(text) for name, text in ((secret or {}).get("data") or {}).items()}
        wanted = pki.serving(residence.NAME, _NAMES, self._clock.now(), known)
        if wanted != known:
            await self._client.apply(SECRETS, _secret(wanted), live=secret)
        with tempfile.TemporaryDirectory(prefix="lightship-") as folder:  # the only way into a context leads over files
            for name in ("tls.crt", "tls.key"):
                pki.write_private(Path(folder, name), wanted[name], durable=False)
            self.context.load_cert_chain(Path(folder, "tls.crt"), Path(folder, "tls.key"))
        self.authority = wanted["ca.crt"].decode()


def _secret(files: dict[str, bytes]) -> Obj:
    metadata = {"name": residence.CERTIFICATE, "namespace": residence.NAMESPACE, "labels": residence.LABELS}
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}


@contextlib.asynccontextmanager
async def living(client: Client, clock: Clock, sock: socket.socket) -> AsyncIterator[Certificate]:
    """Controllers work and reports are taken on `sock`, which is bound already, while the block lasts.

    Raises `CliError` where the TrainJobs of this cluster are not ours, and `StatusError` where it does not let us.
    """
    if not await install.is_ours(client, TRAIN_JOBS):
        name = definition_name(TRAIN_JOBS)
        raise CliError(f"{name} was not installed by Lightship: its controllers would meet those of whoever brought it")
    certificate = Certificate(client, clock)
    await certificate.load()
    manager = Manager(client, clock=clock, random=Random(), component=residence.NAME)
    for found in train.controllers(manager, plugins.reporting(certificate.authority)):
        manager.add(found)
    if await install.is_ours(client, JOB_SETS):
        manager.add(jobset.controller(manager, gates.NONE))
    listener = await progress.listen(manager.client, clock, sock, certificate.context)
    try:
        async with manager.running():
            log.info("reports are taken on port %d", listener.port)
            yield certificate
    finally:
        await listener.close()


async def _live(client: Client, clock: Clock, sock: socket.socket) -> None:
    """Until SIGTERM or SIGINT, or until the authority had to be replaced: who starts us again tells pods of the new one."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with living(client, clock, sock) as certificate:
        authority = certificate.authority
        while certificate.authority == authority:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()
                    return
            await certificate.load()


def arguments(parser: argparse.ArgumentParser) -> None:
    """The program's own."""
    parser.add_argument("--kubeconfig", default="", help="kubeconfig file (default: the ServiceAccount of the pod that this is)")
    help = "where reports are taken (default: %(default)s)"
    parser.add_argument("--status-server-port", type=int, default=contract.PORT, metavar="PORT", help=help)


def main(argv: Sequence[str]) -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="lightship.main.resident", description="Trainer's controllers and its status server.")
    arguments(parser)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    async def work() -> None:
        cluster = load(args.kubeconfig) if args.kubeconfig else in_cluster()
        client = Client(cluster.transport(user_agent=residence.NAME))
        try:
            await _live(client, SystemClock(), socket.create_server(("", args.status_server_port)))
        finally:
            await client.close()

    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(work())
    except (CliError, KubeconfigError, StatusError, OSError) as error:
        print(f"lightship: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
