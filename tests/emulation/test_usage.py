"""What emulated pods use, as their annotations say it."""

import pytest

from lightship.emulation import api, usage
from lightship.meta.objects import Obj
from lightship.meta.rest import Measured


def pod(name: str, phase: str = "Running", **said: str) -> Obj:
    annotations = {api.USAGE_CPU: said.get("cpu", ""), api.USAGE_MEMORY: said.get("memory", "")}
    spec = {"containers": [{"name": "a"}, {"name": "b"}]}
    metadata = {"name": name, "uid": name, "annotations": {key: text for key, text in annotations.items() if text}}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("said", "used"),
    [
        ({}, Measured(1_000_000, 1024**2)),
        ({"cpu": "250m", "memory": "64Mi"}, Measured(250_000_000, 64 * 1024**2)),
        ({"cpu": "2", "memory": "1G"}, Measured(2_000_000_000, 10**9)),
        ({"cpu": "a lot", "memory": "more"}, Measured(1_000_000, 1024**2)),
    ],
)
def test_each_container_uses_what_is_said(said: dict[str, str], used: Measured) -> None:
    assert usage.of_container(pod("p", **said)) == used


def test_a_node_uses_what_its_pods_use() -> None:
    found = usage.measurement([pod("p", cpu="1"), pod("q"), pod("done", "Succeeded", cpu="9")], 5.0)
    assert found.pods == {
        "p": {"a": Measured(10**9, 1024**2), "b": Measured(10**9, 1024**2)},
        "q": {"a": Measured(10**6, 1024**2), "b": Measured(10**6, 1024**2)},
    }
    assert found.node == Measured(2 * 10**9 + 2 * 10**6, 4 * 1024**2)
    assert found.time == 5.0
