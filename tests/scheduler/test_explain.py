"""Why not there: every node's answer, and how it is shown."""

import pytest

from lightship.scheduler import explain, reading
from lightship.scheduler.cli import text
from tests.scheduler import make


def test_every_node_answers() -> None:
    small, busy = make.node("small", cpu="1"), make.node("busy", cpu="2")
    other = make.node("other", taints=[{"key": "team", "value": "a", "effect": "NoSchedule"}])
    there = make.pod("there", requests={"cpu": "2"}, nodeName="busy")
    there["metadata"]["uid"] = "there"
    pod = make.pod("p", requests={"cpu": "2"}, priority=5)
    cluster = explain.assemble([small, busy, other, make.node("good")], [there])
    answers = explain.explain(reading.pod_info(pod), cluster)
    assert [(a.node, a.reasons, a.resolvable) for a in answers] == [
        ("busy", ("Insufficient cpu",), True),
        ("good", (), False),
        ("other", ("node(s) had untolerated taint(s)",), False),
        ("small", ("Insufficient cpu",), False),
    ]
    shown = text(pod, answers)
    assert shown.startswith("Pod default/p has no node; 1 of 4 nodes could run it now.\n")
    assert "node busy has 0 of 2 left." in shown
    assert "The pod does not tolerate team=a:NoSchedule." in shown


def test_a_pod_is_not_in_its_own_way() -> None:
    pod = make.pod("p", requests={"cpu": "3"}, nodeName="n")
    pod["metadata"]["uid"] = "u"
    cluster = explain.assemble([make.node("n")], [pod])
    (answer,) = explain.explain(reading.pod_info(pod), cluster, node="n")
    assert answer.reasons == ()
    assert text(pod, [answer]).startswith("Pod default/p is on node n; 1 of 1 nodes could run it now.")
    assert cluster.nodes["n"].used["cpu"] == 3000
    with pytest.raises(KeyError):
        explain.explain(reading.pod_info(pod), cluster, node="elsewhere")
