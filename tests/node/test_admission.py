"""Who may run on this node, and who ends when the node does: pure, in the kubelet's words."""

import pytest

from lightship.meta.objects import Obj
from lightship.node.pods import admission, shutdown
from lightship.node.pods.admission import Admitted, Refusal
from lightship.node.pods.pulling import malformed

from .make import container, pod

NODE: Obj = {"metadata": {"name": "n1", "labels": {"disk": "ssd", "size": "5", "kubernetes.io/os": "linux"}}}


def wants(uid: str, **amounts: str) -> Obj:
    return pod(container(resources={"requests": dict(amounts)}), meta={"uid": uid})


def room(**amounts: str) -> Admitted:
    return Admitted({"cpu": "2", "memory": "1Gi", "pods": "3", **amounts})


def test_what_others_were_given_is_not_there_any_more() -> None:
    here = room()
    assert here.admit(wants("a", cpu="1500m"), {}) is None
    want = "Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000"
    assert here.admit(wants("b", cpu="600m"), {}) == Refusal("OutOfcpu", want)
    here.release("a")
    assert here.admit(wants("b", cpu="600m"), {}) is None


def test_memory_and_places_run_out_too() -> None:
    here = room()
    refusal = here.admit(wants("a", memory="2Gi"), {})
    assert refusal is not None
    assert refusal.reason == "OutOfmemory"
    for uid in "abc":
        assert here.admit(wants(uid), {}) is None
    assert here.admit(wants("d"), {}) == Refusal("OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3")


def test_extended_resources_count_only_where_the_node_has_them() -> None:
    assert room().admit(pod(container(resources={"requests": {"example.com/foo": "5"}})), {}) is None
    here = Admitted({"cpu": "2", "pods": "3", "example.com/foo": "4"})
    refusal = here.admit(pod(container(resources={"requests": {"example.com/foo": "5"}})), {})
    assert refusal is not None
    assert refusal.reason == "OutOfexample.com/foo"


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, True),
        ({"nodeSelector": {"disk": "hdd"}}, False),
        ({"affinity": {"nodeAffinity": {}}}, True),
        ([{"key": "disk", "operator": "In", "values": ["ssd", "x"]}], True),
        ([{"key": "disk", "operator": "NotIn", "values": ["ssd"]}], False),
        ([{"key": "disk", "operator": "Exists"}, {"key": "gpu", "operator": "DoesNotExist"}], True),
        ([{"key": "size", "operator": "Gt", "values": ["4"]}], True),
        ([{"key": "size", "operator": "Lt", "values": ["5"]}], False),
        ([], False),
    ],
)
def test_a_node_that_the_pod_did_not_want(spec: Obj | list[Obj], want: bool) -> None:
    if isinstance(spec, list):
        terms = {"nodeSelectorTerms": [{"matchExpressions": spec}]}
        spec = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}
    refusal = room().admit(pod(**spec), NODE)
    assert (refusal is None) is want
    if refusal is not None:
        assert refusal == ("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")
        assert admission.asks_for_node(pod(**spec))


def test_a_port_of_the_machine_is_given_once() -> None:
    here = room()
    ports = [{"containerPort": 80, "hostPort": 8080}]
    assert here.admit(pod(container(ports=ports), meta={"uid": "a"}), {}) is None
    other = here.admit(pod(container(ports=[{"containerPort": 1, "hostPort": 8080, "hostIP": "127.0.0.1"}]), meta={"uid": "b"}), {})
    assert other is not None
    assert other.reason == "NodePorts"
    udp = [{"containerPort": 80, "hostPort": 8080, "protocol": "UDP"}]
    assert here.admit(pod(container(ports=udp), meta={"uid": "c"}), {}) is None


def test_settings_of_the_kernel_that_others_would_feel() -> None:
    wanted = [{"name": "net/ipv4/tcp_rmem", "value": "1 2 3"}, {"name": "kernel/msgmax", "value": "1"}]
    assert room().admit(pod(securityContext={"sysctls": wanted[:1]}), {}) is None
    want = ("SysctlForbidden", 'forbidden sysctl: "kernel.msgmax" not allowlisted')
    assert room().admit(pod(securityContext={"sysctls": wanted}), {}) == want


def test_pods_of_the_system_end_last_and_within_their_own_time() -> None:
    quick, slow = pod(meta={"uid": "quick"}, terminationGracePeriodSeconds=3), pod(meta={"uid": "slow"})
    system = pod(meta={"uid": "system"}, priority=2_000_001_000)
    found = shutdown.groups([system, quick, slow], 20, 5)
    assert found == [shutdown.Group(15, {"quick": 3, "slow": 15}), shutdown.Group(5, {"system": 5})]


@pytest.mark.parametrize(
    ("image", "want"),
    [
        ("python", ""),
        ("registry.k8s.io/e2e-test-images/agnhost:2.53", ""),
        ("localhost:5000/a/b_c--d:v1@sha256:" + "0" * 64, ""),
        ("Python", "repository name must be lowercase"),
        ("x y", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("", "invalid reference format"),
        (":tag", "invalid reference format"),
    ],
)
def test_names_of_images(image: str, want: str) -> None:
    found = malformed(image)
    assert found.endswith(want)
    assert bool(found) is bool(want)
