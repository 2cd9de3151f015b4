"""`lightship train SCRIPT` on our API server: what it submits, what it says, how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from lightship.builtin.api import JOB_SETS, NAME_LABEL
from lightship.cli.cluster import Cluster
from lightship.cli.errors import CliError
from lightship.kinds import CONFIG_MAPS, EVENTS, JOBS, PODS
from lightship.main.commands import main
from lightship.meta import objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import LogOptions
from lightship.train import cli
from lightship.train.api import TRAIN_JOBS
from lightship.train.cli.following import Follower, ending, exit_status, failure
from tests.train.make import condition
from tests.train.site import Site
from tests.train.test_cli import do, parse, pod, run


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text("import torch\nimport helper\n")
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "data.csv").write_text("1,2")
    return path


async def files(s: Site) -> list[Obj]:
    return [m for m in (await s.client.list(CONFIG_MAPS, "default")).items if "-workspace-" in objects.name(m)]


def test_a_script_is_submitted_with_its_modules(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        assert await do(s, "run", str(script), "--nodes", "2", "--name", "mine", "--detach", "--", "--epochs", "3") == 0
        job = await s.job("mine")
        assert job["spec"]["runtimeRef"]["name"] == "torch-distributed"
        assert job["spec"]["trainer"]["command"][-4:] == ["torchrun", "train.py", "--epochs", "3"]
        (made,) = await files(s)
        assert made["immutable"] is True
        assert [ref["uid"] for ref in objects.owners(made)] == [objects.uid(job)]

    run(scenario)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "trainjob.trainer.kubeflow.org/mine created on torch-distributed with 2 files"
    assert "`lightship train logs -f mine` follows it" in said[1]


def test_a_workspace_travels_whole(script: Path) -> None:
    async def scenario(s: Site) -> None:
        await do(s, "run", "train.py", "--workspace", str(script.parent), "--exclude", "helper.py", "--framework", "jax", "-d")
        (job,) = (await s.client.list(TRAIN_JOBS, "default")).items
        assert objects.name(job).startswith("train-")
        assert job["spec"]["runtimeRef"]["name"] == "jax-distributed"
        assert job["spec"]["trainer"]["command"][-2:] == ["python", "train.py"]

    run(scenario)


def test_a_program_of_mpi_finds_a_runtime_that_has_mpirun(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script.write_text("from mpi4py import MPI\n")
    run(lambda s: do(s, "run", str(script), "--dry-run"))
    *_, job = yaml.safe_load(capsys.readouterr().out)["items"]
    assert job["spec"]["runtimeRef"]["name"] == "deepspeed-distributed"
    assert job["spec"]["trainer"]["command"][0] == "mpirun"


def test_a_dry_run_writes_nothing(script: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        before = (await s.client.list(CONFIG_MAPS, "default")).resource_version
        await do(s, "run", str(script), "--dry-run")
        assert (await s.client.list(CONFIG_MAPS, "default")).resource_version == before

    run(scenario)
    shown = yaml.safe_load(capsys.readouterr().out)
    assert [item["kind"] for item in shown["items"]] == ["ConfigMap", "TrainJob"]


def test_a_module_of_the_environment_takes_nothing_along(capsys: pytest.CaptureFixture[str]) -> None:
    run(lambda s: do(s, "run", "-m", "torch.utils.collect_env", "-o", "json"))
    shown = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["spec"]["trainer"]["command"]) == ("TrainJob", ["torchrun", "-m", "torch.utils.collect_env"])


def test_files_of_an_earlier_job_of_the_name_make_way(script: Path) -> None:
    async def scenario(s: Site) -> None:
        words = ("run", str(script), "--name", "mine", "--detach")
        await do(s, *words)
        with pytest.raises(CliError, match='there is a job "mine" already'):
            await do(s, *words)
        await s.client.delete(TRAIN_JOBS, "mine", "default")  # nobody collects garbage here
        await do(s, *words)
        (made,) = await files(s)
        assert [ref["uid"] for ref in objects.owners(made)] == [objects.uid(await s.job("mine"))]

    run(scenario)


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (("gone.py",), "there is no file gone.py"),
        (("{dir}/broken.py",), r"broken\.py, line 1 is not Python"),
        (("{dir}/train.py", "--workspace", "{dir}/sub"), "so it would not travel"),
        (("{dir}/train.py", "--framework", "x"), 'no runtime is for the framework "x"'),
        (("{dir}/train.py", "--name", "My_Job"), "--name My_Job: a job is called by small letters"),
        (("{dir}/train.py", "--memory", "1Xi"), "^--memory 1Xi is no amount$"),
        (
            ("{dir}/train.py", "--annotation", "lightship.dev/ttl=3"),
            "lightship.dev/ttl: there is no such annotation",
        ),
        (("{dir}/train.py", "--annotation", "lightship.dev/max-restarts=x"), "max-restarts"),  # refused by the server, behind the files
    ],
)
def test_mistakes_change_nothing(words: tuple[str, ...], want: str, script: Path) -> None:
    (script.parent / "broken.py").write_text("import\n")
    (script.parent / "sub").mkdir()

    async def scenario(s: Site) -> None:
        with pytest.raises((CliError, StatusError), match=want):
            await do(s, "run", *(word.format(dir=script.parent) for word in words))
        assert (await s.client.list(TRAIN_JOBS, "default")).items == []
        assert await files(s) == []

    run(scenario)


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ("--nodes 0", "argument --nodes: with 0 of them nothing would run"),
        ("--ttl soon", "argument --ttl: soon is no number"),
        ("--lr 3", "unrecognized arguments: --lr 3"),
    ],
)
def test_words_that_make_no_sense(words: str, want: str) -> None:
    with pytest.raises(CliError, match=want) as refused:
        parse("run", "train.py", *words.split())
    assert (refused.value.code, refused.value.hint) == (2, "what is meant for the script goes behind --")


def test_a_workspace_above(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = script.parent / "src"
    inside.mkdir()
    (inside / "other.py").write_text("")
    monkeypatch.chdir(inside)

    async def scenario(s: Site) -> None:
        await do(s, "run", "other.py", "--workspace", "..", "--name", "mine", "-d")
        assert (await s.job("mine"))["spec"]["trainer"]["command"][-2:] == ["torchrun", "src/other.py"]

    run(scenario)


def test_run_may_be_left_out(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cli.meant(["train.py", "--nodes", "2"]) == ["run", "train.py", "--nodes", "2"]
    assert cli.meant(["-m", "pkg"]) == ["run", "-m", "pkg"]
    assert [cli.meant(words) for words in (["list"], ["--help"], [])] == [["list"], ["--help"], []]
    monkeypatch.setenv("LIGHTSHIP_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(CliError) as refused:
        main(["train", "train.py"])
    assert "lightship up starts the platform" in refused.value.hint


class Logs:
    """The server's transport, with logs of its own."""

    def __init__(self, transport: Any, logs: dict[str, list[bytes]]) -> None:
        self._transport, self._logs = transport, logs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        assert options.container == "node"
        if pod not in self._logs:
            raise StatusError(400, "BadRequest", "no log")
        for chunk in self._logs[pod]:
            await asyncio.sleep(0)
            yield chunk


def status(phase: str, **state: Obj) -> Obj:
    container = {"name": "node", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return {"phase": phase, "containerStatuses": [container]}


def test_a_job_is_followed_to_its_end() -> None:
    written: list[str] = []

    async def scenario(s: Site) -> None:
        job = await s.submit()
        logs = {"a": [b"on", b"e\ntwo\n"], "b": [b"three\nModuleNotFoundError: No module named 'x'"]}
        cluster = Cluster(cast(Any, Logs(s.client.transport, logs)), "default")
        following = asyncio.create_task(Follower(cluster, "mnist", s.clock, prefixed=True, write=written.append).follow())
        await s.clock.sleep(1)
        pods = [await s.client.create(PODS, pod(name, index)) for index, name in enumerate("ab")]
        await s.clock.sleep(5)
        for made, code in zip(pods, (0, 3), strict=True):
            await s.client.patch_status(PODS, made, status("Failed", terminated={"exitCode": code, "finishedAt": "2026-01-01T00:00:00Z"}))
        await s.clock.sleep(1)
        await s.client.patch_status(TRAIN_JOBS, job, {"conditions": [condition("Failed", "FailedJobs", "jobset failed")]})
        ended, left, tail = await following
        assert (exit_status(ended, left), ending(ended)) == (3, "Failed: jobset failed")
        assert failure(left) == "node-1: exit code 3"
        assert "ModuleNotFoundError" in tail

    run(scenario)
    assert sorted(written, key=lambda line: line[:6]) == [
        "node-0 | one\n",
        "node-0 | two\n",
        "node-1 | three\n",
        "node-1 | ModuleNotFoundError: No module named 'x'\n",
    ]


def test_pods_that_cannot_be_made_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    """A quota that has room for some of the nodes: they run, print nothing, and wait for the others."""

    async def scenario(s: Site) -> None:
        await s.submit()
        labels = {NAME_LABEL: "mnist"}
        template = {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [{"name": "node", "image": "x"}]}}
        job = {
            "metadata": {"name": "mnist-node-0", "namespace": "default", "labels": labels},
            "spec": {"parallelism": 2, "template": template},
        }
        made = await s.client.create(JOBS, job)
        await s.client.patch_status(JOBS, made, {"active": 1})
        about = {"kind": "Job", "name": "mnist-node-0", "namespace": "default", "uid": objects.uid(made)}
        event: Obj = {"metadata": {"name": "e", "namespace": "default"}, "involvedObject": about, "reason": "FailedCreate"}
        await s.client.create(EVENTS, event | {"message": "Error creating: exceeded quota: q", "type": "Warning"})
        await s.client.patch_status(PODS, await s.client.create(PODS, pod("a", 0)), status("Running", running={}))
        cluster = Cluster(cast(Any, Logs(s.client.transport, {"a": []})), "default")
        following = asyncio.create_task(Follower(cluster, "mnist", s.clock, prefixed=True, write=lambda text: None).follow())
        await s.clock.sleep(9)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    run(scenario)
    assert capsys.readouterr().err == "mnist-node-0: Error creating: exceeded quota: q\n"


@pytest.mark.parametrize("verb", ["suspend", "resume", "get", "describe", "logs", "watch", "delete"])
def test_a_job_that_is_not_there_may_be_looked_for(verb: str) -> None:
    async def scenario(s: Site) -> None:
        with pytest.raises(CliError, match='there is no job "gone" in namespace default') as refused:
            await cli._do(Cluster(cast(Any, s.client.transport), "default"), parse(verb, "gone"))
        assert "lightship train history" in refused.value.hint

    run(scenario)


def test_jobs_that_cannot_be_made_are_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        await s.submit()
        template = {"spec": {"template": {"spec": {"containers": [{"name": "node", "image": "x"}]}}}}
        spec = {"replicatedJobs": [{"name": "node", "template": template}]}
        made = await s.client.create(JOB_SETS, {"metadata": {"name": "mnist", "namespace": "default"}, "spec": spec})
        about = {"kind": "JobSet", "name": "mnist", "namespace": "default", "uid": objects.uid(made)}
        event: Obj = {"metadata": {"name": "e", "namespace": "default"}, "involvedObject": about, "reason": "JobCreationFailed"}
        await s.client.create(EVENTS, event | {"message": 'job "mnist-node-0" creation failed', "type": "Warning"})
        following = asyncio.create_task(
            Follower(Cluster(cast(Any, s.client.transport), "default"), "mnist", s.clock, prefixed=False).follow()
        )
        await s.clock.sleep(5)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    run(scenario)
    assert capsys.readouterr().err == 'mnist: job "mnist-node-0" creation failed\n'


def test_a_node_that_will_never_be_is_not_waited_for() -> None:
    async def scenario(s: Site) -> None:
        await s.submit()
        metadata = {"name": "mnist-node-0", "namespace": "default", "labels": {NAME_LABEL: "mnist"}}
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "node", "image": "x"}]}}
        spec = {"completions": 2, "parallelism": 2, "template": template}
        await s.client.create(JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
        with pytest.raises(CliError, match="mnist has no node 2") as refused:
            await do(s, "logs", "mnist", "--node", "2", "-f")
        assert refused.value.hint == "its nodes are 0 to 1"

    run(scenario)


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_a_job_that_has_ended_stays_so(verb: str) -> None:
    async def scenario(s: Site) -> None:
        await failed(s)
        with pytest.raises(CliError, match=f"mnist is Failed and cannot be {verb}e*d any more"):
            await do(s, verb, "mnist")

    run(scenario)


def test_a_suspended_job_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        await s.submit(suspend=True)
        cluster = Cluster(cast(Any, s.client.transport), "default")
        following = asyncio.create_task(Follower(cluster, "mnist", s.clock, prefixed=False).follow())
        await s.clock.sleep(5)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    run(scenario)
    assert capsys.readouterr().err == "mnist is suspended; lightship train resume mnist lets it go on\n"


@pytest.mark.parametrize(
    ("conditions", "want"), [(("Complete", "AllJobsCompleted"), 0), (("Failed", "DeadlineExceeded"), 1)], ids=["complete", "deadline"]
)
def test_the_exit_status_is_the_jobs(conditions: tuple[str, str], want: int) -> None:
    assert exit_status({"status": {"conditions": [condition(*conditions)]}}, []) == want


async def failed(s: Site) -> Cluster:
    """A job whose only pod could not import something."""
    job = await s.submit()
    made = await s.client.create(PODS, pod("a", 0))
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z"}
    await s.client.patch_status(PODS, made, status("Failed", terminated=ended))
    await s.client.patch_status(TRAIN_JOBS, job, {"conditions": [condition("Failed", "FailedJobs", "jobset failed")]})
    logs = {"a": [b"Traceback\nModuleNotFoundError: No module named 'mine'\n"]}
    return Cluster(cast(Any, Logs(s.client.transport, logs)), "default")


@pytest.mark.parametrize("verb", ["logs", "describe"])
def test_a_missing_module_is_explained_later_too(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        cluster, args = await failed(s), parse(verb, "mnist")
        await args.do(cluster, args)

    run(scenario)
    said = capsys.readouterr()
    assert "mine is not in the pod's environment. If it is a package, --packages mine" in (said.err if verb == "logs" else said.out)
    if verb == "describe":
        assert said.out.startswith("mnist on torch-distributed: Failed: jobset failed\n")
        assert ["node-0", "a", "Failed", "<none>", "0", "exit", "code", "1,", "Error"] in [line.split() for line in said.out.splitlines()]


def test_wishes_become_annotations(script: Path) -> None:
    async def scenario(s: Site) -> None:
        words = "--checkpoint true --min-nodes 1 --max-nodes 3 --max-restarts 2 --ttl 60 --priority high --name mine -d"
        await do(s, "run", str(script), *words.split())
        found = objects.annotations(await s.job("mine"))
        assert {name.partition("/")[2]: value for name, value in found.items() if "workspace" not in name} == {
            "checkpoint": "true",
            "min-nodes": "1",
            "max-nodes": "3",
            "max-restarts": "2",
            "ttl-seconds-after-finished": "60",
            "priority-class": "high",
        }

    run(scenario)
