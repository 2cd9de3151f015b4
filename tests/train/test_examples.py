"""The examples that are objects, as their first lines say: the commands in them are typed as they are printed, and what comes is looked at.

Examples that are programs are `test_frameworks`'. Real time is unavoidable: pods are processes.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightship.main.commands import main
from lightship.testing import Cluster, cluster

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PRINTED = {
    "gang.yaml": r"node 3 of 4",
    "hello.yaml": r"node 1 of 2, the first one is hello-node-0-0\.hello:29500",
    "mpi.yaml": r"rank 2 of 3: 3\.14159265",
    "progress.yaml": r"progress  Complete .*100%  loss 0\.1(?s:.*)step 9",
    "runtime.yaml": r"writing to \['scratch'\] for me",
    "suspended.yaml": r"at last",
}
FROM_THE_INTERNET = {"initializers.yaml", "language-model.yaml"}
"""Their sources: `initializers` has tests of git and https, `test_tune_runs` tunes on the runtime of the second one."""


@pytest.fixture(scope="module")
def platform() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.torch) if n == "mpi.yaml" else n for n in PRINTED])
def test_it_does_what_it_says(name: str, platform: Cluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", platform.kubeconfig)
    monkeypatch.chdir(ROOT)
    typed = commands(name)
    assert typed[0] == f"lightship apply -f examples/train/{name}"
    assert len(typed) > 1
    for command in typed:
        assert main(shlex.split(command)[1:]) == 0, command
    said = capfd.readouterr().out
    assert re.search(PRINTED[name], said), said


def commands(name: str) -> list[str]:
    """What the comment at the top of an example says to type."""
    lines = (ROOT / "examples" / "train" / name).read_text().splitlines()
    head = " ".join(line.removeprefix("#").strip() for line in lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))])
    return re.findall(r"`(lightship [^`]+)`", head)


def test_every_example_is_tried_or_says_why_not() -> None:
    assert {path.name for path in (ROOT / "examples" / "train").glob("*.yaml")} == PRINTED.keys() | FROM_THE_INTERNET
    assert all(commands(name)[0] == f"lightship apply -f examples/train/{name}" for name in FROM_THE_INTERNET)
