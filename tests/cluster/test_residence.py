"""Trainer's controllers and status server on a cluster that is not ours: what is deployed, and that it works with what it may.

On a real kube-apiserver the program acts as its own ServiceAccount, under the role that it was given; pods are played, with real tokens.
"""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lightship.cli.errors import CliError
from lightship.client import Client, kubeconfig
from lightship.client.credentials import Token
from lightship.client.http import HttpTransport
from lightship.kinds import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, JOBS, SECRETS, SERVICE_ACCOUNTS
from lightship.main import residence, resident
from lightship.main.install import MANAGED_BY, install
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.train.api import TRAIN_JOBS, progress
from tests import oracle
from tests.cluster import make
from tests.cluster.site import BACKENDS, Backend, Real, Site

IMAGE = "registry.example/lightship:1"
TRAIN_JOB_DEFINITION = "trainjobs.trainer.kubeflow.org"
LISTED = [(resource, objects.name(obj), objects.namespace(obj)) for resource, obj in residence.objects(IMAGE)]
NOW = "2026-06-12T03:00:00Z"


@contextlib.asynccontextmanager
async def deployed(here: Site) -> AsyncIterator[list[Obj]]:
    """What `install` deploys, as the cluster has it, for as long as the block lasts."""
    await install(here.client, clock=here.clock, image=IMAGE)
    try:
        yield [await here.client.get(*which) for which in LISTED]
    finally:
        for which in [*LISTED, (SECRETS, residence.CERTIFICATE, residence.NAMESPACE)]:
            await here.client.delete(*which, missing_ok=True)


@pytest.mark.parametrize("elsewhere", BACKENDS[1:])
def test_what_is_deployed_hangs_together_and_stays(elsewhere: Backend) -> None:
    """Not on a platform of ours, where all of it is there already."""

    async def scenario(here: Site) -> None:
        async with deployed(here) as found:
            account, role, binding, service, deployment = found
            pod = deployment["spec"]["template"]
            assert binding["subjects"] == [{"kind": "ServiceAccount", "name": objects.name(account), "namespace": "kubeflow-system"}]
            assert binding["roleRef"]["name"] == objects.name(role)
            assert pod["spec"]["serviceAccountName"] == objects.name(account)
            assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
            assert f"{objects.name(service)}.{objects.namespace(service)}.svc" == progress.HOST
            assert [port["port"] for port in service["spec"]["ports"]] == [progress.PORT]
            await install(here.client, clock=here.clock, image=IMAGE)
            assert [await here.client.get(*which) for which in LISTED] == found, "nothing is written again"

    elsewhere.run(scenario)


def test_the_controllers_of_others_are_left_alone(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        def labelled(value: str | None) -> Obj:
            return {"metadata": {"labels": {MANAGED_BY: value}}}

        await here.client.patch(CUSTOM_RESOURCE_DEFINITIONS, TRAIN_JOB_DEFINITION, labelled("helm"))
        try:
            await install(here.client, clock=here.clock, image=IMAGE)
            assert [await here.client.get_or_none(*which) for which in LISTED] == [None] * len(LISTED)
            with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(CliError, match="was not installed by Lightship"):
                async with resident.living(here.client, here.clock, sock):
                    pass
        finally:
            await here.client.patch(CUSTOM_RESOURCE_DEFINITIONS, TRAIN_JOB_DEFINITION, labelled("lightship"))

    backend.run(scenario)


async def token(here: Site, account: str, namespace: str, *audiences: str) -> str:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}}
    spec = {"audiences": list(audiences), "expirationSeconds": 3600}
    answer = await here.client.create_subresource(SERVICE_ACCOUNTS, account, namespace, "token", {**request, "spec": spec})
    return str(answer["status"]["token"])


@contextlib.asynccontextmanager
async def program(here: Site) -> AsyncIterator[int]:
    """The program as its own ServiceAccount, for as long as the block lasts: the port that it takes reports on."""
    admin = here.client.transport
    assert isinstance(admin, HttpTransport)
    bearer = await token(here, residence.NAME, residence.NAMESPACE, "https://kubernetes.default.svc")
    server, context = oracle.running().server, ssl.create_default_context(cadata=oracle.running().ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    client = Client(HttpTransport(server, tls=context, credentials=Token(bearer)))
    sock = socket.create_server(("127.0.0.1", 0))
    try:
        async with resident.living(client, here.clock, sock):
            yield sock.getsockname()[1]
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def process(here: Site, path: Path) -> AsyncIterator[int]:
    """The same as a process of its own, started as the Deployment does and ended as a node would."""
    bearer = await token(here, residence.NAME, residence.NAMESPACE, "https://kubernetes.default.svc")
    config = kubeconfig.render(oracle.running().server, "", bearer)
    config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    kubeconfig.save(config, path)
    (container,) = residence.objects(IMAGE)[-1][1]["spec"]["template"]["spec"]["containers"]
    command = [sys.executable, *container["command"][1:], "--status-server-port=0", f"--kubeconfig={path}"]
    started = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert started.stderr is not None
    try:
        said = b""
        while b"reports are taken on port" not in said:
            said = await started.stderr.readline()
            assert said, "it ended"
        yield int(said.split()[-1])
        started.terminate()
        assert await started.wait() == 0
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def report(port: int, url: str, authority: str, bearer: str, status: Obj) -> int:
    """The code that the answer has, over TLS to the name that pods are told."""
    context = ssl.create_default_context(cadata=authority)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=progress.HOST)
    body = json.dumps({"trainerStatus": status})
    path = url.removeprefix(f"https://{progress.HOST}:{progress.PORT}")
    head = f"POST {path} HTTP/1.1\r\nHost: {progress.HOST}\r\nAuthorization: Bearer {bearer}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    code = int((await reader.readline()).split()[1])
    writer.close()
    return code


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.skipif(not oracle.AVAILABLE, reason="KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver")
def test_a_pod_of_a_real_cluster_reports_to_it(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.WARNING)

    async def scenario(here: Site) -> None:
        await here.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "trainer", "namespace": here.namespace}})
        async with deployed(here), program(here) as port:
            await here.client.create(TRAIN_JOBS, make.train_job(here))
            (job,) = await here.until_some(JOBS, 1)
            container = job["spec"]["template"]["spec"]["containers"][0]
            variables = {entry["name"]: entry.get("value") for entry in container["env"]}
            trusted = (await here.get(CONFIG_MAPS, "mnist-tls-config"))["data"]["ca.crt"]
            url = str(variables["KUBEFLOW_TRAINER_SERVER_URL"])
            own = await token(here, "trainer", here.namespace, progress.audience(here.namespace, "mnist"))
            strange = await token(here, "trainer", here.namespace, progress.audience(here.namespace, "other"))
            status = {"progressPercentage": 30, "lastUpdatedTime": NOW}
            assert await report(port, url, trusted, own, status) == 200
            assert await report(port, url, trusted, strange, {"lastUpdatedTime": NOW}) == 403
            assert objects.status(await here.get(TRAIN_JOBS, "mnist"))["trainerStatus"] == status
            kept = await here.client.get(SECRETS, residence.CERTIFICATE, residence.NAMESPACE)
            assert kept["type"] == "kubernetes.io/tls"
            async with process(here, tmp_path / "kubeconfig") as another:
                assert await report(another, url, trusted, own, status) == 200, "who trusted the one before trusts the next one"
            assert await here.client.get(SECRETS, residence.CERTIFICATE, residence.NAMESPACE) == kept

    Real().run(scenario)
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if "forbidden" in line and residence.NAME in line] == [], "the role is enough"
