"""The status server: upstream's tables (unit and integration tests of pkg/statusserver and of the plugin), and what they leave out.

The tables are in `tables/statusserver.json`. Reports go to `StatusServer.answer` on our API server, tokens are those that it issues.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lightship.aio.clock import LoopClock
from lightship.apiserver.access.tokens import Tokens
from lightship.apiserver.requests import TokenSubject
from lightship.kinds import CONFIG_MAPS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.train.api import TRAIN_JOBS, TRAINER, progress
from lightship.train.plugins import Framework
from lightship.train.plugins.jobset import JobSet
from lightship.train.plugins.plainml import PlainML
from lightship.train.plugins.trainjobstatus import TrainJobStatus
from lightship.train.statusserver import BURST, PER_SECOND, Answer, StatusServer
from tests.train import make, site
from tests.train.site import Site

TABLES: Any = json.loads((Path(__file__).parent / "tables" / "statusserver.json").read_text())
NOW = "2026-06-12T03:00:00Z"
KEY = ec.generate_private_key(ec.SECP256R1())


class Pod:
    """A pod that reports, with a token of its own unless it is given another."""

    def __init__(self, here: Site, tokens: Tokens) -> None:
        self.site = here
        self.tokens = tokens
        self.server = StatusServer(here.acting, here.clock)

    def token(self, job: str = "test-job", *, namespace: str = "default", audience: str = "") -> str:
        meant = audience or progress.audience("default", job)
        return self.tokens.issue(TokenSubject(namespace, "default", "u1"), [meant], 3600)[0]

    async def post(self, body: bytes, job: str = "test-job", *, token: str | None = None) -> Answer:
        bearer = self.token(job) if token is None else token
        return await self.server.answer("POST", progress.path("default", job), f"Bearer {bearer}", body)

    async def report(self, status: Obj | None, job: str = "test-job") -> Answer:
        """As the SDK does it; None is a report of nothing."""
        update = {} if status is None else {"trainerStatus": {"lastUpdatedTime": NOW, **status}}
        return await self.post(json.dumps(update).encode(), job)

    async def told(self) -> Obj | None:
        found: Obj | None = objects.status(await self.site.job("test-job")).get("trainerStatus")
        return found


def play(scenario: Callable[[Pod], Awaitable[None]]) -> None:
    """With a TrainJob `test-job` that nothing carries out."""
    tokens = Tokens(KEY, LoopClock(), lambda: "id")

    async def main(here: Site) -> None:
        await here.runtime()
        await here.submit("test-job")
        await scenario(Pod(here, tokens))

    site.run(main, authenticator=tokens)


@pytest.mark.parametrize("case", TABLES["bearer"], ids=lambda case: case["case"])
def test_what_a_header_carries(case: Any) -> None:
    assert progress.bearer(case["header"]) == case["want"]


@pytest.mark.parametrize("what", ["audience", "path"])
def test_names_of_an_endpoint(what: str) -> None:
    for case in TABLES[what]:
        found = getattr(progress, what)(case["namespace"], case["name"])
        assert found == case["want"]
        if what == "path":
            assert progress.split_path(found) == (case["namespace"], case["name"])
    for stranger in ("/", "/apis", found + "/", found.replace("/test-job/", "//"), found.replace("trainjobs", "jobs")):
        assert progress.split_path(stranger) is None


@pytest.mark.parametrize("case", TABLES["refused"], ids=lambda case: case["case"])
def test_refusals(case: Any) -> None:
    async def scenario(pod: Pod) -> None:
        head, middle, times, tail = case.get("repeat", [case.get("body"), "", 0, ""])
        answer = await pod.post((head + middle * times + tail).encode(), token=None if case["authorized"] else "")
        assert json.loads(answer.body) == {"metadata": {}, "status": "Failure", **case["want"]}
        assert answer.code == case["want"]["code"]
        assert await pod.told() is None

    play(scenario)


@pytest.mark.parametrize("case", TABLES["written"], ids=lambda case: case["case"])
def test_what_is_written(case: Any) -> None:
    async def scenario(pod: Pod) -> None:
        for post in case["posts"]:
            answer = await pod.report(post, case.get("job", "test-job"))
        assert answer.code == case.get("code", 200)
        if "says" in case:
            said = json.loads(answer.body)
            assert case["says"] in said["message"]
            assert said["code"] == case["code"]
        want = case["want"]
        assert await pod.told() == (None if want is None else {**want, "lastUpdatedTime": NOW})

    play(scenario)


@pytest.mark.parametrize("case", TABLES["injected"], ids=lambda case: case["case"])
def test_what_pods_are_told(case: Any) -> None:
    containers = [{"name": name, "image": "i"} for name in case["containers"]]
    runtime = make.runtime(policy={}, jobs=[make.replicated_job("node", step=case["ancestor"], containers=containers)])
    job = make.stored(make.job("test-job", trainer={"numNodes": case["nodes"]}))
    framework = Framework((PlainML(), TrainJobStatus("test-ca-cert-data"), JobSet()))
    authority, jobset = (component.obj for component in framework.build(job, runtime))
    assert authority["metadata"]["name"] == "test-job-tls-config"
    assert objects.is_controlled_by(authority, job)
    assert authority["data"] == {"ca.crt": "test-ca-cert-data"}
    pod = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    told = {c["name"]: c for c in pod["containers"] if c.get("env")}
    assert sorted(told) == sorted(case["want"])
    host = "https://kubeflow-trainer-controller-manager.kubeflow-system.svc:10443"
    for container in told.values():
        assert {e["name"]: e["value"] for e in container["env"]} == {
            "KUBEFLOW_TRAINER_SERVER_URL": f"{host}/apis/trainer.kubeflow.org/v1alpha1/namespaces/default/trainjobs/test-job/status",
            "KUBEFLOW_TRAINER_SERVER_CA_CERT": "/var/run/secrets/kubeflow/trainer/ca.crt",
            "KUBEFLOW_TRAINER_SERVER_TOKEN": "/var/run/secrets/kubeflow/trainer/token",
        }
        mount = {"name": "kubeflow-trainer-token", "mountPath": "/var/run/secrets/kubeflow/trainer", "readOnly": True}
        assert container["volumeMounts"] == [mount]
    audience = "trainer.kubeflow.org/v1alpha1/namespaces/default/trainjobs/test-job/status"
    token = {"audience": audience, "expirationSeconds": 3600, "path": "token"}
    config = {"name": "test-job-tls-config", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    volume = {"name": "kubeflow-trainer-token", "projected": {"sources": [{"serviceAccountToken": token}, {"configMap": config}]}}
    assert pod.get("volumes", []) == ([volume] if case["ancestor"] == TRAINER else [])


def test_a_report_is_sent_back_as_it_was_understood() -> None:
    async def scenario(pod: Pod) -> None:
        status = {"metrics": [{"name": "loss", "value": "0.1"}], "lastUpdatedTime": "2026-06-12T05:00:00.25+02:00", "unknown": 1}
        answer = await pod.report(status)
        want = {"metrics": [{"name": "loss", "value": "0.1"}], "lastUpdatedTime": NOW}
        assert answer == Answer(200, json.dumps({"trainerStatus": want}, separators=(",", ":")).encode() + b"\n")
        assert await pod.told() == want
        job = await pod.site.job("test-job")
        assert [m["manager"] for m in job["metadata"]["managedFields"] if m.get("subresource") == "status"] == ["trainer-status"]

    play(scenario)


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", '{"trainerStatus": 1}', '{"trainerStatus": {"progressPercentage": 1.5}}'),
        '{"trainerStatus": {"progressPercentage": 4294967296}}',
        *('{"trainerStatus": {"lastUpdatedTime": "now"}}', '{"trainerStatus": {"lastUpdatedTime": "2026-06-12"}}'),
    ],
)
def test_what_is_no_report(body: str) -> None:
    async def scenario(pod: Pod) -> None:
        answer = await pod.post(body.encode())
        assert (answer.code, json.loads(answer.body)["message"]) == (422, "Invalid payload")

    play(scenario)


def test_a_report_without_a_time_is_refused_by_the_api_server() -> None:
    async def scenario(pod: Pod) -> None:
        answer = await pod.post(b'{"trainerStatus": {"progressPercentage": 1}}')
        assert answer.code == 422
        assert "lastUpdatedTime is required when trainerStatus is present" in json.loads(answer.body)["message"]

    play(scenario)


def test_whose_tokens_count() -> None:
    async def scenario(pod: Pod) -> None:
        for stranger in (
            pod.token("another-job"),
            pod.token(namespace="elsewhere"),
            pod.token(audience=pod.tokens.issuer),
            pod.token()[:-3],
            "none",
        ):
            answer = await pod.post(b"{}", token=stranger)
            assert (answer.code, json.loads(answer.body)["message"]) == (403, "Forbidden")
        token = pod.token()
        assert (await pod.post(b"{}", token=token)).code == 200
        await pod.site.settle(3600 + 61)
        assert (await pod.post(b"{}", token=token)).code == 403

    play(scenario)


def test_other_paths_and_methods_are_not_found() -> None:
    async def scenario(pod: Pod) -> None:
        path = progress.path("default", "test-job")
        for method, where in (("GET", path), ("POST", "/"), ("POST", path + "/x")):
            answer = await pod.server.answer(method, where, "", b"{}")
            assert (answer.code, json.loads(answer.body)["message"]) == (404, "Not found")

    play(scenario)


def test_an_api_server_that_fails_is_an_internal_error() -> None:
    async def scenario(pod: Pod) -> None:
        pod.server._client = pod.site.client.__class__(None)  # type: ignore[arg-type]  # nobody is at the other end
        answer = await pod.report({"progressPercentage": 1})
        assert (answer.code, json.loads(answer.body)["message"]) == (500, "Internal error")

    play(scenario)


def test_who_reports_too_often_is_slowed_down_and_the_newest_report_counts() -> None:
    async def scenario(pod: Pod) -> None:
        begun, first = pod.site.clock.now(), objects.revision(await pod.site.job("test-job"))
        answers = await asyncio.gather(*(pod.report({"progressPercentage": i}) for i in range(100)))
        assert [a.code for a in answers] == [200] * 100
        assert await pod.told() == {"progressPercentage": 99, "lastUpdatedTime": NOW}
        for i in range(20):
            await pod.report({"progressPercentage": i})
        took = pod.site.clock.now() - begun
        assert took == pytest.approx(22 / PER_SECOND, abs=0.3), "two more of the hundred than may be written at once, and the twenty"
        written = objects.revision(await pod.site.client.get(TRAIN_JOBS, "test-job", "default")) - first
        assert written <= BURST + 22

    play(scenario)


def test_the_controller_makes_the_authority_before_the_jobset() -> None:
    async def scenario(here: Site) -> None:
        await here.runtime()
        job = await here.submit()
        async with here.controllers(ca_pem="authority"):
            jobset = await here.until(here.jobset)
            found = await here.client.get(CONFIG_MAPS, "mnist-tls-config", "default")
            assert objects.is_controlled_by(found, job)
            assert objects.revision(found) < objects.revision(jobset)

    site.run(scenario)
