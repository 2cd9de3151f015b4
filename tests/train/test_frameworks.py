"""Every framework and every example that is a program, for real: through the unmodified SDK, on a platform that runs pods.

Environments are made of packages of PyPI, once. What is looked at is what no process alone could print: sums over all of them, trees and
weights that are the same on both, parameters of which each holds a part, losses that fall.
"""

import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.testing import cluster

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "train"
Logs = tuple[str, str]


@pytest.fixture(scope="module")
def sdk() -> Iterator[Any]:
    from kubeflow.common.types import KubernetesBackendConfig
    from kubeflow.trainer import TrainerClient

    with cluster() as platform:
        yield TrainerClient(KubernetesBackendConfig(config_file=platform.kubeconfig))


class Patient:
    """The SDK's client, for machines that build the environment first: the examples wait ten minutes, as the SDK does by itself.

    `args` are for the function: those that leave time to look on have nobody here who would."""

    def __init__(self, client: Any, args: dict[str, Any]) -> None:
        self._client = client
        self._args = args

    def train(self, *, trainer: Any, **given: Any) -> Any:
        if self._args:
            trainer.func_args = self._args
        return self._client.train(trainer=trainer, **given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def wait_for_job_status(self, *given: Any) -> Any:
        return self._client.wait_for_job_status(*given, timeout=1800, polling_interval=1)


def run(name: str, sdk: Any, args: dict[str, Any]) -> Logs:
    """What the first two nodes of an example print."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    job = module.main(Patient(sdk, args))
    first, second = ("\n".join(sdk.get_job_logs(job, step=f"node-{node}")) for node in (0, 1))
    return first, second


def found(pattern: str, text: str) -> list[str]:
    assert re.search(pattern, text), text
    return re.findall(pattern, text)


def mnist(logs: Logs) -> None:
    assert [re.search(r"process (\d) of 2", log) is not None for log in logs] == [True, True]
    losses = [float(loss) for loss in found(r"epoch \d loss ([\d.]+)", logs[0])]
    assert losses[-1] < losses[0] / 3
    assert "training is finished" in logs[0]


def fsdp(logs: Logs) -> None:
    held = [int(found(r"holds (\d+) of (?:\d+) parameters", log)[0]) for log in logs]
    assert sum(held) == int(found(r"of (\d+) parameters", logs[0])[0]), "each holds a part, and all of them everything"
    first, last = map(float, found(r"step \d+ loss ([\d.]+)", logs[0]))
    assert last < first / 3


def question_answering(logs: Logs) -> None:
    for number, log in enumerate(logs):
        assert int(found(rf"process {number} of 2: (\d+) of 64 answers right", log)[0]) > 56
    steps, seconds = (float(found(rf"'train_{what}': '([\d.]+)'", logs[0])[0]) for what in ("steps_per_second", "runtime"))
    assert 86 < steps * seconds < 106, "24 steps an epoch: the sentences were shared"


def lora(logs: Logs) -> None:
    for number, log in enumerate(logs):
        assert f"process {number} of 2: 16384 parameters learnt, base unchanged: True" in log
    first, last = (float(found(rf"loss .*?([\d.]+) at {when}", logs[0])[0]) for when in ("first", "last"))
    assert last < first - 0.3


def xgboost_classification(logs: Logs) -> None:
    assert sorted(found(r"worker (\d) of 2", "\n".join(logs))) == ["0", "1"]
    assert found(r"trees (\w+)", logs[0]) == found(r"trees (\w+)", logs[1]), "both have built the same trees"
    assert float(found(r"accuracy ([\d.]+)", logs[0])[0]) > 0.9


def jax_classification(logs: Logs) -> None:
    for number, log in enumerate(logs):
        assert f"process {number} of 2 sees 2 devices, 1 its own" in log
        assert "sum over processes 3" in log
    before, after = found(r"accuracy ([\d.]+)%", logs[0])
    assert float(after) > 80 > float(before)


def tensorflow_classification(logs: Logs) -> None:
    assert [found(r"worker (\d) of 2", log) for log in logs] == [["0"], ["1"]]
    assert found(r"weights (\S+)", logs[0]) == found(r"weights (\S+)", logs[1])
    first, last = map(float, found(r"step \d+ loss ([\d.]+)", logs[0]))
    assert last < first / 10


def digits(logs: Logs) -> None:
    accuracies = [float(share) for share in found(r"accuracy ([\d.]+)", logs[0])]
    assert accuracies[-1] > accuracies[0]


def deepspeed_zero(logs: Logs) -> None:
    learnt = found(r"rank (\d) of 2 learnt \[\[(?:2.99|3.0)\d*, -(?:1.99|2.0)", logs[0])
    assert sorted(learnt) == ["0", "1"], "the launcher prints what all of them say"


def survivor(logs: Logs) -> None:
    for number, log in enumerate(logs):
        assert f"rank {number} of 2 goes on after step 0" in log
    assert "finished with 20 losses" in logs[0]


def elastic(logs: Logs) -> None:
    assert "finished with 20 losses" in logs[0]


def ship(logs: Logs) -> None:
    assert float(found(r"loss before training ([\d.]+)", logs[0])[0]) > 0


FRAMEWORKS = (mnist, fsdp, question_answering, lora, xgboost_classification, jax_classification, tensorflow_classification, deepspeed_zero)
CHECKS = (*FRAMEWORKS, digits, survivor, elastic, ship)
ARGS = {"digits": {"epochs": 2}, "survivor": {"epochs": 2, "seconds": 0}, "elastic": {"epochs": 2, "seconds": 0}}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_example_trains(check: Callable[[Logs], None], sdk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    check(run(check.__name__, sdk, ARGS.get(check.__name__, {})))


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {check.__name__ for check in CHECKS}
