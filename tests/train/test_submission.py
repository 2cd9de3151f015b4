"""From the words of `lightship train SCRIPT` to a TrainJob, and what is said of programs that miss a module."""

from typing import Any

import pytest

from lightship.cli.errors import CliError
from lightship.meta.objects import Obj
from lightship.train.cli import submission
from lightship.train.cli.causes import Causes, first
from lightship.train.missing import explain
from lightship.train.shipping.parcel import inside, parcel
from tests.train import make
from tests.train.test_cli import parse

MPI = {"numNodes": 2, "mpi": {"mpiImplementation": "OpenMPI"}}


def runtime(name: str = "torch-distributed", framework: str = "torch", *, kind: str = "ClusterTrainingRuntime", **given: Any) -> Obj:
    labels = {"trainer.kubeflow.org/framework": framework, **given.pop("labels", {})}
    return {**make.runtime(name, labels=labels, **given), "kind": kind}


@pytest.mark.parametrize(
    ("imports", "want"),
    [
        ({"os", "torch"}, "torch"),
        ({"jax", "flax"}, "jax"),
        ({"xgboost", "sklearn"}, "xgboost"),
        ({"torch", "deepspeed"}, "deepspeed"),
        ({"keras"}, "tensorflow"),
        ({"transformers"}, "torch"),
        ({"mpi4py"}, "mpi"),
        ({"os"}, "torch"),
    ],
)
def test_the_framework_is_guessed(imports: set[str], want: str) -> None:
    assert submission.guess_framework(imports) == want


def test_the_runtime_is_the_frameworks_first_choice() -> None:
    deprecated = {"trainer.kubeflow.org/support": "deprecated"}
    all_of_them = [
        runtime("a-torch"),
        runtime("torch-distributed"),
        runtime("a-old", labels=deprecated),
        runtime("jax-distributed", "jax"),
        runtime("tuned", "torchtune"),
    ]
    assert submission.choose_runtime(all_of_them, name="", framework="torch")["metadata"]["name"] == "torch-distributed"
    assert submission.choose_runtime(all_of_them[:1], name="", framework="torch")["metadata"]["name"] == "a-torch"
    own, other = runtime("torch-distributed", kind="TrainingRuntime"), runtime("a-gang", kind="TrainingRuntime")
    assert submission.choose_runtime([*all_of_them, other], name="", framework="torch")["kind"] == "ClusterTrainingRuntime"
    assert submission.choose_runtime([*all_of_them, other, own], name="", framework="torch") is own
    assert submission.choose_runtime([all_of_them[0], other], name="", framework="torch") is other
    assert submission.choose_runtime(all_of_them, name="a-old", framework="")["metadata"]["name"] == "a-old"
    with pytest.raises(CliError, match='no runtime is for the framework "tf"') as refused:
        submission.choose_runtime(all_of_them, name="", framework="tf")
    assert "jax-distributed (jax)" in refused.value.hint
    with pytest.raises(CliError, match='there is no runtime "gone"'):
        submission.choose_runtime(all_of_them, name="gone", framework="")
    with pytest.raises(CliError, match="runtime tuned brings its own program"):
        submission.choose_runtime(all_of_them, name="tuned", framework="")


@pytest.mark.parametrize(
    ("policy", "script", "module", "want"),
    [
        ({"torch": {}}, "a/train.py", False, ["torchrun", "a/train.py", "--lr", "1"]),
        ({"torch": {}}, "pkg.train", True, ["torchrun", "-m", "pkg.train", "--lr", "1"]),
        ({"jax": {}}, "train.py", False, ["python", "train.py", "--lr", "1"]),
        ({}, "pkg", True, ["python", "-m", "pkg", "--lr", "1"]),
        ({"torch": {}}, "run.sh", False, ["sh", "run.sh", "--lr", "1"]),
    ],
)
def test_programs(policy: Obj, script: str, module: bool, want: list[str]) -> None:
    found = runtime(policy={"numNodes": 1, **policy})
    assert submission.program(found, script, module=module, args=["--lr", "1"], shipped=False) == want
    assert submission.program(found, script, module=module, args=["--lr", "1"], shipped=True) == inside(want)


def test_mpi_starts_the_shell_that_unpacks_on_every_rank() -> None:
    jobs = [
        make.replicated_job("launcher", step="trainer", containers=[{"name": "node", "image": "a"}]),
        make.replicated_job("node", containers=[{"name": "node", "image": "a"}]),
        make.replicated_job("other"),
    ]
    found = runtime("deepspeed-distributed", "deepspeed", policy=MPI, jobs=jobs)
    assert submission.step_jobs(found) == ["launcher", "node"]
    want = ["mpirun", "--hostfile", "/etc/mpi/hostfile", *inside(["python", "t.py"], spelled_out=True)]
    assert submission.program(found, "t.py", module=False, args=[], shipped=True) == want


@pytest.mark.parametrize(
    ("script", "want"),
    [("train.py", "train"), ("a/My_Run 2.py", "my-run-2"), ("7.py", "job-7"), ("_.py", "job"), ("x" * 60 + ".py", "x" * 32)],
)
def test_names_of_jobs(script: str, want: str) -> None:
    assert submission.job_name(script) == want


def test_all_that_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    words = "run train.py --nodes 2 --procs 4 --cpu 500m --memory 1Gi --gpus 1 --image mine:1 --env A=1=2 --env TOKEN --annotation team=ml"
    args = parse(*words.split(), "--packages", "rich, httpx>=0.27, <1", "--", "--nodes", "7")
    assert args.script_args == ["--nodes", "7"]
    sent = parcel(b"archive", "train-x", "ml")
    job = submission.trainjob(args, runtime(), "train-x", "ml", ["torchrun"], sent)
    assert job["metadata"] == {"name": "train-x", "namespace": "ml", "annotations": {**sent.annotations, "team": "ml"}}
    trainer = job["spec"]["trainer"]
    amounts = {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}
    assert trainer["resourcesPerNode"] == {"requests": amounts, "limits": amounts}
    assert (trainer["numNodes"], trainer["numProcPerNode"], trainer["image"]) == (2, 4, "mine:1")
    env = {e["name"]: e["value"] for e in trainer["env"]}
    assert env["LIGHTSHIP_PACKAGES"] == "rich httpx>=0.27,<1"
    assert (env["A"], env["TOKEN"], env["PYTHONUNBUFFERED"], env["LIGHTSHIP_PARTS"]) == ("1=2", "s3cret", "1", "/lightship/parts")
    assert [patch["manager"] for patch in job["spec"]["runtimePatches"]] == ["lightship.dev/workspace", "lightship.dev/requirements"]


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (("--env", "=1"), "--env =1: expected KEY=VALUE"),
        (("--env", "NO_SUCH_VARIABLE"), "there is no variable NO_SUCH_VARIABLE here"),
        (("--annotation", "a"), "--annotation a: expected KEY=VALUE"),
    ],
)
def test_words_that_make_no_sense(words: tuple[str, ...], want: str) -> None:
    with pytest.raises(CliError, match=want):
        submission.trainjob(parse("run", "t.py", *words), runtime(), "t", "default", [], None)


@pytest.mark.parametrize("words", [("run", "t.py", "--epochs", "3"), ("run", "t.py", "data"), ("run", "t.py", "--nodes", "-1")])
def test_what_is_the_scripts_goes_behind_the_dashes(words: tuple[str, ...]) -> None:
    with pytest.raises((CliError, SystemExit)):
        parse(*words)


def test_a_missing_module_is_explained() -> None:
    log = "Traceback (most recent call last):\n  File \"train.py\", line 1\nModuleNotFoundError: No module named '{}'\n"
    assert explain("all is well") == ""
    mine = explain(log.format("helper"), {"helper"})
    assert mine.startswith("helper is a module of yours, which is here but not in the pod: ship it with")
    assert "\n" not in mine
    theirs = explain(log.format("sklearn.metrics"), {"helper"})
    assert theirs.startswith("sklearn.metrics is not in the pod's environment. If it is a package, --packages scikit-learn")
    relative = "ImportError: attempted relative import with no known parent package\n"
    assert "lightship train -m PACKAGE.MODULE" in explain(relative)
    assert explain("/usr/bin/python3.11: No module named mine.train\n", {"mine"}).startswith("mine is a module of yours")
    assert explain("[rank0]: " + log.format("x").splitlines()[-1]).startswith("x is not")


def test_a_file_that_stayed_behind_is_explained() -> None:
    log = "Traceback (most recent call last):\n  ...\nFileNotFoundError: [Errno 2] No such file or directory: '{}'\n"
    mine = explain(log.format("data/d.csv"), (), lambda path: path == "data/d.csv")
    assert mine.startswith("data/d.csv is here but not in the pod: --workspace DIR takes a folder along")
    assert explain(log.format("d.csv")).startswith("d.csv is not in the pod: --workspace DIR")
    assert "has a disk of its own" in explain(log.format("/home/me/d.csv"), (), lambda path: True)
    assert explain(log.format("/checkpoint/x")) == ""


REPORT = """E1122 failed (exitcode: 1) local_rank: 0
Traceback (most recent call last):
  File "torchrun", line 10, in <module>
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
train.py FAILED"""


def test_the_exception_that_came_first_is_the_cause() -> None:
    causes = Causes()
    mine = '[rank1]: Traceback (most recent call last):\n[rank1]:   File "t.py", line 3\n[rank1]: ValueError: bad shape\n' + REPORT
    theirs = "[rank0]: Traceback (most recent call last):\n[rank0]:     dist.barrier()\n[rank0]: RuntimeError: Connection closed by peer"
    for line in mine.splitlines():
        causes.hear("node-1", line)
    for line in theirs.splitlines():
        causes.hear("node-0", line)
    assert causes.first == "node-1: ValueError: bad shape"
    assert first("all is well: no error\n" + REPORT, "node-0") == ""
    began = "Traceback (most recent call last):\n  File\n"
    chained = f"{began}KeyError: 'x'\n\nThe above exception ...\n\n{began}mine.Broken\n"
    assert first(chained, "node-0") == "node-0: mine.Broken"
