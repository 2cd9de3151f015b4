"""`lightship train SCRIPT` and `ship` for real: processes on a whole platform, two nodes of PyTorch among them. Pods have real time."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.kinds import CONFIG_MAPS
from lightship.main.commands import main
from lightship.meta import objects
from lightship.testing import Cluster, cluster
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS
from lightship.train.shipping import ship
from tests.train import make

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EXAMPLE = Path(__file__).parents[2] / "examples" / "train" / "workspace"


@pytest.fixture(scope="module")
def platform() -> Iterator[Cluster]:
    with cluster() as running:
        labels = {"trainer.kubeflow.org/framework": "plain"}
        runtime = make.runtime("plain", policy={"numNodes": 1}, labels=labels, node={"image": "python"})
        job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
        job["backoffLimit"] = 0
        job["template"]["spec"]["restartPolicy"] = "Never"
        running.run(running.client.create(CLUSTER_TRAINING_RUNTIMES, runtime))
        yield running


def train(platform: Cluster, *words: str) -> int:
    """The command, with everything behind `--` last."""
    at = words.index("--") if "--" in words else len(words)
    return main(["train", *words[:at], "--kubeconfig", platform.kubeconfig, *words[at:]])


def test_a_script_with_its_modules(platform: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.py").write_text("import sys, os, mine\nprint(mine.NAME, os.environ['JOB_COMPLETION_INDEX'], *sys.argv[1:])\n")
    (tmp_path / "mine.py").write_text("NAME = open('data.txt').read()\n")
    (tmp_path / "data.txt").write_text("hello")
    words = (str(tmp_path / "train.py"), "--framework", "plain", "--workspace", str(tmp_path), "--nodes", "2", "--", "--lr", "1")
    assert train(platform, *words) == 0
    said = capsys.readouterr()
    assert sorted(said.out.splitlines()) == ["node-0 | hello 0 --lr 1", "node-1 | hello 1 --lr 1"]
    assert "created on plain with 3 files" in said.err
    assert "Complete" in said.err.splitlines()[-1]


def test_the_exit_status_and_why(platform: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.py").write_text("import importlib\nimportlib.import_module('mi' + 'ne')\n")
    (tmp_path / "mine.py").write_text("")
    assert train(platform, str(tmp_path / "train.py"), "--framework", "plain") == 1
    assert "mine is a module of yours, which is here but not in the pod: ship it with" in capsys.readouterr().err
    (tmp_path / "exits.sh").write_text("echo bye; exit 7\n")
    assert train(platform, str(tmp_path / "exits.sh"), "--framework", "plain") == 7
    assert capsys.readouterr().out == "bye\n"


def test_a_function_of_the_sdk_imports_what_was_shipped(platform: Cluster, tmp_path: Path) -> None:
    from kubeflow.common.types import KubernetesBackendConfig
    from kubeflow.trainer import CustomTrainer, TrainerClient

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("NAME = 'mine'\n")
    sdk: Any = TrainerClient(KubernetesBackendConfig(config_file=platform.kubeconfig))

    def use() -> None:
        import mine  # type: ignore[import-not-found]  # it is where the function runs

        print("have", mine.NAME)

    name = sdk.train(runtime="plain", trainer=CustomTrainer(func=use), options=[ship(tmp_path)])
    sdk.wait_for_job_status(name, timeout=120, polling_interval=1)
    assert list(sdk.get_job_logs(name)) == ["have mine"]
    listed = platform.run(platform.client.list(CONFIG_MAPS, "default")).items
    (made,) = (found for found in listed if objects.name(found).startswith(f"{name}-workspace"))
    assert [owner["name"] for owner in objects.owners(made)] == [name]


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_go_on(platform: Cluster, tmp_path: Path) -> None:
    """As a terminal has it, in processes that are interrupted; what is printed then is what is typed after that."""
    (tmp_path / "count.sh").write_text("i=0; while echo $i; do i=$((i+1)); sleep 0.05; done\n")
    where = shlex.join(["-n", "default", "--kubeconfig", platform.kubeconfig])
    seen, said = _interrupted(f"lightship train {tmp_path}/count.sh --framework plain --name counts {where}", after=2)
    follow, end = (f"lightship train {verb} counts {where}" for verb in ("logs -f", "delete"))
    assert said.splitlines()[-1] == f"Detached: counts goes on. `{follow}` follows it, `{end}` ends it."
    further, _ = _interrupted(follow, after=seen)
    assert further > seen
    assert main(shlex.split(end)[1:]) == 0
    assert platform.run(platform.client.get_or_none(TRAIN_JOBS, "counts", "default")) is None


def _interrupted(command: str, after: int) -> tuple[int, str]:
    """Interrupt a command that counts when it has printed a greater number than `after`; the number, and what it said besides."""
    words = [sys.executable, "-m", *shlex.split(command)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stderr
        number = next((int(line) for line in running.stdout if int(line) > after), None)
        running.send_signal(signal.SIGINT)
        running.stdout.read()
        said = running.stderr.read()
        assert number is not None, said
    assert (running.returncode, "Traceback" in said) == (130, False), said
    return number, said


@pytest.mark.torch
def test_two_nodes_of_torch_with_two_modules(platform: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    words = (str(EXAMPLE / "train.py"), "--nodes", "2", "--framework", "torch", "--workspace", str(EXAMPLE), "--", "--epochs", "4")
    assert train(platform, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    losses = [float(line.rpartition(" ")[2]) for line in lines if line.startswith("node-0 | epoch")]
    assert len(losses) == 4
    assert losses[-1] < losses[0] / 2
    assert "epoch 4/4 of 2 processes in files: loss" in lines[-1]
