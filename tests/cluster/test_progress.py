"""The status server as a client of a real kube-apiserver: its tokens, its server-side apply, its refusals; asked over HTTP."""

import asyncio
import contextlib
import json
import socket
import urllib.error
import urllib.request

from lightship.kinds import SERVICE_ACCOUNTS
from lightship.main.progress import listen
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.train.api import TRAIN_JOBS, progress
from tests import oracle
from tests.cluster import make
from tests.cluster.site import Real, Site

pytestmark = oracle.marks
NOW = "2026-06-12T03:00:00Z"


class Pod:
    """Something with a ServiceAccount's token that reports to a status server."""

    def __init__(self, here: Site, port: int) -> None:
        self.here = here
        self.port = port

    async def token(self, audience: str) -> str:
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        spec = {"audiences": [audience], "expirationSeconds": 3600}
        answer = await self.here.client.create_subresource(
            SERVICE_ACCOUNTS, "trainer", self.here.namespace, "token", {**request, "metadata": {}, "spec": spec}
        )
        return str(answer["status"]["token"])

    async def report(self, status: Obj, *, job: str = "mnist", token: str = "") -> tuple[int, Obj]:
        bearer = token or await self.token(progress.audience(self.here.namespace, job))
        body = json.dumps({"trainerStatus": status}).encode()
        url = f"http://127.0.0.1:{self.port}{progress.path(self.here.namespace, job)}"
        request = urllib.request.Request(url, body, {"Authorization": f"Bearer {bearer}"})
        return await asyncio.to_thread(_ask, request)


def _ask(request: urllib.request.Request) -> tuple[int, Obj]:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_real_cluster_is_told_how_far_a_job_is() -> None:
    async def scenario(here: Site) -> None:
        await here.client.create(TRAIN_JOBS, make.train_job(here))
        await here.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "trainer", "namespace": here.namespace}})
        sock = socket.create_server(("127.0.0.1", 0))
        listener = await listen(here.client, here.clock, sock, None)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(listener.close)
            pod = Pod(here, listener.port)
            code, said = await pod.report({"progressPercentage": 30, "estimatedRemainingSeconds": 5, "lastUpdatedTime": NOW})
            assert (code, said["trainerStatus"]["progressPercentage"]) == (200, 30)
            code, _ = await pod.report({"metrics": [{"name": "loss", "value": "0.5"}], "lastUpdatedTime": NOW})
            found = await here.get(TRAIN_JOBS, "mnist")
            assert code == 200
            assert objects.status(found)["trainerStatus"] == {"metrics": [{"name": "loss", "value": "0.5"}], "lastUpdatedTime": NOW}
            managers = {(m["manager"], m.get("subresource")) for m in found["metadata"]["managedFields"]}
            assert ("trainer-status", "status") in managers
            code, said = await pod.report({"progressPercentage": 150, "lastUpdatedTime": NOW})
            assert (code, said["reason"]) == (422, "Invalid")
            assert "mnist" in said["message"]
            code, said = await pod.report({"progressPercentage": 1})
            assert (code, said["reason"]) == (422, "Invalid")
            code, said = await pod.report({"lastUpdatedTime": NOW}, job="nobody")
            assert (code, said["message"]) == (404, "Train job not found")
            for stranger in (
                "none",
                await pod.token("https://kubernetes.default.svc"),
                await pod.token(progress.audience("other", "mnist")),
            ):
                assert (await pod.report({"lastUpdatedTime": NOW}, token=stranger))[0] == 403

    Real().run(scenario)
