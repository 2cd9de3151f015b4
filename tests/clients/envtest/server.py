"""Our API server in the place of kube-apiserver, for suites that start one by envtest: no controllers, no disk, the kinds of Kubernetes.

`kube-apiserver` beside it runs this module with the flags that envtest gives. Of these it goes by where to listen, by the certificates
that are in `--cert-dir`, by whose clients to believe, and by `--disable-admission-plugins ServiceAccount`; others are taken and not minded.
"""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver import admission, http
from lightship.apiserver.access import pki
from lightship.apiserver.access.client_certificates import ClientCertificates
from lightship.apiserver.access.tokens import Tokens
from lightship.apiserver.bootstrap import kubernetes_service
from lightship.apiserver.server import Server
from lightship.apiserver.transport import tls
from lightship.main.loops import new_event_loop
from lightship.meta.admission import Admission
from lightship.meta.rest import User


def flags(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kube-apiserver", description="Lightship's API server for envtest")
    parser.add_argument("--bind-address", default="127.0.0.1")
    parser.add_argument("--secure-port", type=int, default=6443)
    parser.add_argument("--cert-dir", type=Path)
    parser.add_argument("--client-ca-file", type=Path)
    parser.add_argument("--disable-admission-plugins", default="")
    return parser.parse_known_args(arguments)[0]


async def serve(chosen: argparse.Namespace, directory: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    clock = SystemClock()
    _certificates(chosen, directory, clock.now())
    tokens = Tokens(pki.signing_key(directory / "sa.key"), clock, lambda: str(uuid.uuid4()))
    if "ServiceAccount" in chosen.disable_admission_plugins.split(","):
        admission.service_accounts.admission = _nothing
    opened = store.memory(clock=clock)
    proxy = (directory / tls.PROXY_CERTIFICATE, directory / tls.PROXY_KEY)
    server = Server(opened, kinds.BUILTIN, clock=clock, random=random.SystemRandom(), tokens=tokens, proxy_certificate=proxy)
    users, proxies = ((directory / name).read_bytes() for name in (tls.CA, tls.PROXY_CA))
    listener = await http.serve(
        server,
        host=chosen.bind_address,
        port=chosen.secure_port,
        tls=tls.server_context(directory),
        authenticator=tokens,
        certificates=ClientCertificates(clock, users, proxies, [tls.PROXY_NAME]),
        keys=tokens,
        clock=clock,
    )
    master = server.local(User("system:apiserver", ("system:masters",)))
    await kubernetes_service.announce(master, chosen.bind_address, listener.port)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    aggregating = asyncio.create_task(server.aggregation.run())
    await ended.wait()
    aggregating.cancel()
    await asyncio.gather(aggregating, return_exceptions=True)
    await listener.close()
    server.close()
    await opened.close()


def _nothing(core: object) -> list[Admission]:
    return []


def _certificates(chosen: argparse.Namespace, directory: Path, now: float) -> None:
    """Our own, with the server's certificate and the users' authority of envtest in their places."""
    pki.issue(directory, now)
    theirs = {tls.CERTIFICATE: "apiserver.crt", tls.KEY: "apiserver.key"}
    for ours, name in theirs.items():
        if chosen.cert_dir is not None and (chosen.cert_dir / name).is_file():
            shutil.copyfile(chosen.cert_dir / name, directory / ours)
    if chosen.client_ca_file is not None:
        shutil.copyfile(chosen.client_ca_file, directory / tls.CA)


def main(arguments: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="lightship-envtest-") as name, asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(flags(arguments), Path(name)))


if __name__ == "__main__":
    main(sys.argv[1:])
