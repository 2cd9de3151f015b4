"""Why not there: every node's answer, and how it is shown."""

import pytest

from lightship.meta.objects import Obj
from lightship.scheduler import explain, reading, reasons
from lightship.scheduler.claims import question
from lightship.scheduler.cli import text
from lightship.scheduler.plan import Planner
from tests.scheduler import make


def test_every_node_answers() -> None:
    small, busy = make.node("small", cpu="1"), make.node("busy", cpu="2")
    other = make.node("other", taints=[{"key": "team", "value": "a", "effect": "NoSchedule"}])
    there = make.pod("there", requests={"cpu": "2"}, nodeName="busy")
    there["metadata"]["uid"] = "there"
    pod = make.pod("p", requests={"cpu": "2"}, priority=5)
    cluster = explain.assemble([small, busy, other, make.node("good")], [there])
    answers = explain.explain(reading.pod_info(pod), cluster)
    assert [(a.node, a.reasons, [victim.key.name for victim in a.victims]) for a in answers] == [
        ("busy", ("Insufficient cpu",), ["there"]),
        ("good", (), []),
        ("other", ("node(s) had untolerated taint(s)",), []),
        ("small", ("Insufficient cpu",), []),
    ]
    shown = text(pod, answers)
    assert shown.startswith("Pod default/p has no node; 1 of 4 nodes could run it now.\n")
    assert "node busy has 0 of 2 left. It could run there if default/there had to go." in shown
    assert "The pod does not tolerate team=a:NoSchedule." in shown
    assert text(pod, answers, "Its group g waits.").splitlines()[1] == "Its group g waits."


def test_it_names_a_full_node_that_is_large_enough_before_a_free_one_that_is_not() -> None:
    nodes = [make.node("large", cpu="8"), make.node("small", cpu="1")]
    there = make.pod("there", requests={"cpu": "8"}, nodeName="large")
    there["metadata"]["uid"] = "there"
    pod, cluster = reading.pod_info(make.pod("p", requests={"cpu": "4"})), explain.assemble(nodes, [there])
    verdicts = {answer.node: Planner(cluster).verdicts(pod)[answer.node] for answer in explain.explain(pod, cluster)}
    assert reasons.missing(pod, cluster, verdicts).startswith("The pod asks for 4 cpu; node large has 0 of 8 left.")


def test_nodes_that_say_the_same_share_a_line() -> None:
    nodes = [make.node(f"n-{number}", cpu="1") for number in range(50)] + [make.node("good"), make.node("m", cpu="2")]
    pod = make.pod("p", requests={"cpu": "3"})
    shown = text(pod, explain.explain(reading.pod_info(pod), explain.assemble(nodes, []))).splitlines()
    assert [line.partition("  ")[0] for line in shown[3:]] == ["good", "m", "n-0 and 49 more"]
    assert shown[-1].endswith("The pod asks for 3 cpu; node n-0 has 1 in all.")


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


def test_only_as_many_would_have_to_go_as_are_in_the_way() -> None:
    there = [make.pod(f"t{i}", requests={"cpu": "1"}, nodeName="n", priority=i) for i in range(6)]
    for pod in there:
        pod["metadata"]["uid"] = pod["metadata"]["name"]
    pods = [make.pod(f"p{cpu}", requests={"cpu": str(cpu)}, priority=9) for cpu in (2, 5)]
    cluster = explain.assemble([make.node("n", cpu="6")], there)
    few, many = [text(pod, explain.explain(reading.pod_info(pod), cluster)) for pod in pods]
    assert few.endswith("It could run there if default/t1 and default/t0 had to go.")
    assert many.endswith("It could run there if default/t4, default/t3, default/t2 and 2 more had to go.")
    meek = make.pod("meek", requests={"cpu": "2"}, priority=9, preemptionPolicy="Never")
    assert "had to go" not in text(meek, explain.explain(reading.pod_info(meek), cluster))


def test_devices_that_a_node_lacks_are_told() -> None:
    selector = {"cel": {"expression": 'device.driver == "d"'}}
    h100 = {"metadata": {"name": "h100"}, "spec": {"selectors": [selector], "extendedResourceName": "example.com/h100"}}
    slices = [
        {
            "metadata": {"name": node},
            "spec": {
                "driver": "d",
                "nodeName": node,
                "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
                "devices": [{"name": f"g{i}"} for i in range(count)],
            },
        }
        for node, count in (("few", 2), ("many", 3))
    ]
    claims = [claim("mine", 2), claim("theirs", 1)]
    results = [{"request": "r", "driver": "d", "pool": "few", "device": "g0"}]
    claims[1]["status"] = {"allocation": {"devices": {"results": results}}}
    pod = make.pod("p", resourceClaims=[{"name": "g", "resourceClaimName": "mine"}])
    cluster = explain.assemble([make.node(name) for name in ("few", "many", "none")], [])

    def answers(pod: Obj) -> list[tuple[str, tuple[str, ...], str]]:
        info = reading.pod_info(pod)
        assert question.concerns(info)
        found = explain.explain(info, cluster, desk=question.desk(pod, info, claims, [h100], slices, 0.0))
        return [(answer.node, answer.reasons, answer.missing) for answer in found]

    asks, cannot = "The claim mine asks for 2 devices of class h100", ("cannot allocate all claims",)
    assert answers(pod) == [
        ("few", cannot, f"{asks}; node few has 1 of 2 left."),
        ("many", (), ""),
        ("none", cannot, f"{asks}; node none has none that it wants."),
    ]
    by_number = make.pod("q", requests={"example.com/h100": "3"})
    assert [reasons for _, reasons, _ in answers(by_number)] == [cannot, (), cannot]
    pod["spec"]["resourceClaims"][0]["resourceClaimName"] = "nobodys"
    assert answers(pod)[0][1] == ('resourceclaim.resource.k8s.io "nobodys" not found',)


def claim(name: str, count: int) -> Obj:
    request = {"name": "r", "exactly": {"deviceClassName": "h100", "count": count, "allocationMode": "ExactCount"}}
    return {"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": {"devices": {"requests": [request]}}}
