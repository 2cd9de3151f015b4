"""What nobody thought of: random writes by several managers to a Deployment and a Service, the same on both servers, owners and all."""

import itertools
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import oracle

from . import servers
from .answers import differences
from .known import KNOWN
from .steps import Step, apply, delete, patch, post, put, strategic
from .test_parity import Play

pytestmark = oracle.marks
_numbers = itertools.count()
_few: Any = {"max_size": 2}
_letter = st.sampled_from("ab")
_labels = st.dictionaries(_letter, _letter, **_few)
_ports = st.lists(
    st.fixed_dictionaries(
        {"containerPort": st.sampled_from([80, 81])},
        optional={"name": st.sampled_from(["web", "api"]), "protocol": st.sampled_from(["TCP", "UDP"])},
    ),
    **_few,
)
_env = st.lists(st.fixed_dictionaries({"name": st.sampled_from("AB")}, optional={"value": _letter}), **_few, unique_by=lambda e: e["name"])
_containers = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("cd"), "image": st.sampled_from("ij")},
        optional={"env": _env, "ports": _ports, "args": st.lists(_letter, **_few), "workingDir": st.sampled_from(["/", ""])},
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda container: container["name"],
)
_pods = st.fixed_dictionaries(
    {"containers": _containers},
    optional={
        "nodeSelector": _labels,
        "tolerations": st.lists(st.fixed_dictionaries({"operator": st.just("Exists"), "key": _letter}), **_few),
        "hostNetwork": st.booleans(),
    },
)
_specs = st.builds(
    lambda pod, labels, more: {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {**labels, "app": "x"}}, "spec": pod},
        **more,
    },
    _pods,
    _labels,
    st.fixed_dictionaries({}, optional={"replicas": st.sampled_from([0, 1, 2]), "paused": st.booleans(), "minReadySeconds": st.just(3)}),
)
_objects = st.builds(
    lambda spec, labels: {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", **labels}, "spec": spec},
    _specs,
    st.just({}) | st.fixed_dictionaries({"labels": _labels}) | st.fixed_dictionaries({"annotations": _labels}),
)
_managers = st.sampled_from(["one", "two", "three"])
D = "deployments/d"
_steps = st.one_of(
    st.builds(lambda obj, who, force: apply(D, obj, who, force=force), _objects, _managers, st.booleans()),
    st.builds(lambda obj, who: put(f"{D}?fieldManager={who}", obj), _objects, _managers),
    st.builds(lambda obj, who: strategic(f"{D}?fieldManager={who}", {"spec": obj["spec"]}), _objects, _managers),
    st.builds(lambda obj, who: patch(f"{D}?fieldManager={who}", {"spec": obj["spec"]}), _objects, _managers),
    st.builds(lambda n, who: patch(f"{D}/status?fieldManager={who}", {"status": {"replicas": n}}), st.integers(1, 3), _managers),
    st.just(delete(D)),
)


@settings(max_examples=60, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
@given(first=_objects, steps=st.lists(_steps, min_size=2, max_size=6))
def test_random_writes_to_a_deployment(first: Any, steps: list[Step]) -> None:
    _compare([post("deployments", first), *steps])


def _compare(steps: list[Step]) -> None:
    namespace = f"random-{next(_numbers)}"
    plays = [Play(server(), namespace) for server in (servers.real, servers.ours)]
    for step in steps:
        real, ours = (play.shown(step) for play in plays)
        found = [d for d in differences(real, ours) if not any(line.covers("", step, d) for line in KNOWN)]
        assert not found, "\n".join([f"{step} {step.body}", *map(str, found)])
    for play in plays:
        play.close()
