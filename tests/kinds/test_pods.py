"""Small questions about Pods: what they ask for, how they are treated, whether they are over."""

from typing import Any

import pytest

from lightship import kinds
from lightship.kinds import pods
from lightship.kinds.pods.defaults import pull_policy
from lightship.meta.objects import Obj

from .judge import stored


def _asks(name: str = "c", *, limits: Obj | None = None, sidecar: bool = False, **requests: str) -> Obj:
    resources = {"requests": requests, **({"limits": limits} if limits else {})}
    return {"name": name, "resources": resources, **({"restartPolicy": "Always"} if sidecar else {})}


def _pod(*containers: Obj, init: list[Obj] | None = None, **spec: Any) -> Obj:
    return {"spec": {"containers": list(containers), "initContainers": init or [], **spec}}


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        pytest.param(_pod(_asks(cpu="500m"), _asks(cpu="1", memory="1Gi")), {"cpu": "1500m", "memory": "1Gi"}, id="containers-add-up"),
        pytest.param(_pod(_asks(cpu="1"), init=[_asks(cpu="3"), _asks(cpu="2")]), {"cpu": "3"}, id="hungriest-init-container"),
        pytest.param(_pod(_asks(cpu="1"), init=[_asks(cpu="1", sidecar=True), _asks(cpu="3")]), {"cpu": "4"}, id="init-beside-a-sidecar"),
        pytest.param(_pod(_asks(cpu="1"), init=[_asks(cpu="3"), _asks(cpu="1", sidecar=True)]), {"cpu": "3"}, id="init-before-a-sidecar"),
        pytest.param(_pod(_asks(cpu="2"), init=[_asks(cpu="1", sidecar=True)]), {"cpu": "3"}, id="sidecars-run-on"),
        pytest.param(_pod(_asks(cpu="1"), overhead={"cpu": "100m", "memory": "1Mi"}), {"cpu": "1100m", "memory": "1Mi"}, id="overhead"),
        pytest.param(
            _pod(_asks(cpu="1", memory="1Gi"), resources={"requests": {"cpu": "5"}}), {"cpu": "5", "memory": "1Gi"}, id="pod-level"
        ),
        pytest.param({"spec": {}}, {}, id="nothing"),
    ],
)
def test_total_requests(pod: Obj, want: dict[str, str]) -> None:
    assert pods.total_requests(pod) == want


_FULL = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        (_pod(_asks()), "BestEffort"),
        (_pod(_asks(cpu="0")), "BestEffort"),
        (_pod(_asks(cpu="1")), "Burstable"),
        (_pod(_asks(limits=_FULL)), "Guaranteed"),
        (_pod(_asks(limits=_FULL, cpu="500m")), "Burstable"),
        (_pod(_asks(limits={"cpu": "1"})), "Burstable"),
        (_pod(_asks(limits=_FULL), _asks()), "Burstable"),
        (_pod(_asks(limits=_FULL), init=[_asks(cpu="1")]), "Burstable"),
        (_pod(_asks(), resources={"limits": _FULL}), "Guaranteed"),
    ],
)
def test_qos_class(pod: Obj, want: str) -> None:
    assert pods.qos_class(pod) == want


def test_terminal_and_ready() -> None:
    assert [pods.is_terminal({"status": {"phase": p}}) for p in ("Pending", "Running", "Succeeded", "Failed")] == [False, False, True, True]
    assert pods.phase({}) == "Pending"
    assert pods.is_ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    assert not pods.is_ready({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    assert not pods.is_ready({})


@pytest.mark.parametrize(
    ("image", "want"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("a:1", "IfNotPresent"),
        ("host:5000/a", "Always"),
        ("host:5000/a:1", "IfNotPresent"),
        ("a@sha256:00", "IfNotPresent"),
    ],
)
def test_pull_policy(image: str, want: str) -> None:
    assert pull_policy(image) == want


def test_defaults_are_stable() -> None:
    """The server may fill defaults twice, around admission."""
    pod = stored(
        kinds.PODS, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": _FULL}}]}}
    )
    again = stored(kinds.PODS, pod)
    assert again == pod


def test_a_template_has_fewer_defaults_than_a_pod() -> None:
    spec: Obj = {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": 1}}}]}
    pods.default_pod_spec(spec)
    assert "enableServiceLinks" not in spec
    assert "tolerations" not in spec
    assert spec["containers"][0]["resources"] == {"limits": {"cpu": "1"}}


def test_paths_follow_the_template() -> None:
    spec = {"containers": [{"name": "A", "image": "i"}]}
    pods.default_pod_spec(spec)
    causes = pods.check_pod_spec(spec, "spec.template.spec")
    assert {c.field for c in causes} == {"spec.template.spec.containers[0].name"}


def test_no_grace_is_a_grace() -> None:
    spec = {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 0}
    pods.default_pod_spec(spec)
    assert spec["terminationGracePeriodSeconds"] == 0
